#include "tests/pipeline/scene.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

namespace cusp::testing {
namespace {

constexpr double kCellMm = 0.1;
constexpr int kSide = 2 * static_cast<int>(kRadiusMm / kCellMm) + 1;

struct Bump {
  double x, y, height, width;
};
constexpr std::array<Bump, 14> kBumps = {{{-14, 9, 5, 4},
                                          {-4, 15, 4, 3.2},
                                          {8, 12, 5.5, 4.1},
                                          {17, 3, 4.5, 3.6},
                                          {13, -11, 5, 3.9},
                                          {1, -16, 3.5, 3.1},
                                          {-12, -10, 5.2, 4.4},
                                          {-19, -2, 3.2, 2.8},
                                          {3, 1, -3, 5.5},
                                          {-6, 3, 2, 2.2},
                                          {9, 3, 1.4, 1.8},
                                          {-3, -7, 2.6, 2.4},
                                          {20, 13, 2.2, 3.0},
                                          {-20, 14, -2.0, 3.3}}};

double formula(double x, double y) {
  double sum = 4;
  for (const Bump& bump : kBumps) {
    const double squared = (x - bump.x) * (x - bump.x) + (y - bump.y) * (y - bump.y);
    sum += bump.height * std::exp(-squared / (2 * bump.width * bump.width));
  }
  return sum + 0.4 * std::sin(0.9 * x + 0.02 * x * y) + 0.3 * std::sin(1.1 * y - 0.03 * x * x);
}

}  // namespace

BumpyDisc::BumpyDisc() : grid_(static_cast<std::size_t>(kSide) * kSide) {
  for (int j = 0; j < kSide; ++j)
    for (int i = 0; i < kSide; ++i)
      grid_[static_cast<std::size_t>(j) * kSide + static_cast<std::size_t>(i)] =
          static_cast<float>(formula(i * kCellMm - kRadiusMm, j * kCellMm - kRadiusMm));
}

double BumpyDisc::height_mm(double x, double y) const {
  const double u = std::clamp((x + kRadiusMm) / kCellMm, 0.0, kSide - 1.001);
  const double v = std::clamp((y + kRadiusMm) / kCellMm, 0.0, kSide - 1.001);
  const auto i = static_cast<std::size_t>(u);
  const auto j = static_cast<std::size_t>(v);
  const double fu = u - static_cast<double>(i);
  const double fv = v - static_cast<double>(j);
  const float* row = &grid_[j * kSide + i];
  return (1 - fv) * ((1 - fu) * row[0] + fu * row[1]) +
         fv * ((1 - fu) * row[kSide] + fu * row[kSide + 1]);
}

double BumpyDisc::distance_mm(const Eigen::Vector3d& p) const {
  const double step = 0.2;
  const double sx = (height_mm(p.x() + step, p.y()) - height_mm(p.x() - step, p.y())) / (2 * step);
  const double sy = (height_mm(p.x(), p.y() + step) - height_mm(p.x(), p.y() - step)) / (2 * step);
  return (p.z() - height_mm(p.x(), p.y())) / std::sqrt(1 + sx * sx + sy * sy);
}

double BumpyDisc::depth_mm(const Eigen::Vector3d& origin, const Eigen::Vector3d& direction) const {
  constexpr double kTopMm = 14;
  if (direction.z() >= 0) return 0;
  double z = (kTopMm - origin.z()) / direction.z();
  double last = z;
  for (int step = 0; step < 200; ++step) {
    const Eigen::Vector3d p = origin + z * direction;
    if (p.z() < -3) return 0;
    const double above_mm = p.z() - height_mm(p.x(), p.y());
    if (above_mm < 1e-4) {
      for (int k = 0; k < 20; ++k) {
        const double middle = 0.5 * (last + z);
        const Eigen::Vector3d q = origin + middle * direction;
        (q.z() > height_mm(q.x(), q.y()) ? last : z) = middle;
      }
      const Eigen::Vector3d hit = origin + z * direction;
      return hit.head<2>().norm() < kRadiusMm ? z : 0;
    }
    last = z;
    z += std::max(0.02, 0.4 * above_mm / direction.norm());
  }
  return 0;
}

Calibration small_camera() {
  return {.id = "test-camera",
          .depth_unit_mm = 0.05,
          .baseline_mm = 18,
          .depth = {.width_px = 320,
                    .height_px = 240,
                    .fx_px = 300,
                    .fy_px = 300,
                    .cx_px = 159.5,
                    .cy_px = 119.5}};
}

ReconstructionOptions small_options() {
  ReconstructionOptions options;
  options.voxel_mm = 0.35;
  return options;
}

RigidTransform above(double distance_mm, double tilt_x_rad, double tilt_y_rad,
                     const Eigen::Vector2d& aside_mm) {
  RigidTransform pose = RigidTransform::Identity();
  // Looking down: x right, y towards -y of the scene, z down.
  const Eigen::Matrix3d down = Eigen::Vector3d(1, -1, -1).asDiagonal();
  const Eigen::Matrix3d tilt = (Eigen::AngleAxisd(tilt_x_rad, Eigen::Vector3d::UnitX()) *
                                Eigen::AngleAxisd(tilt_y_rad, Eigen::Vector3d::UnitY()))
                                   .toRotationMatrix();
  pose.linear() = tilt * down;
  pose.translation() =
      Eigen::Vector3d(aside_mm.x(), aside_mm.y(), 4) - distance_mm * (tilt * down).col(2);
  return pose;
}

RigidTransform hand(int k) {
  const double t = k / 30.0;
  return above(80 + 4 * std::sin(0.9 * t), 0.5 * std::sin(0.8 * t), 0.45 * std::sin(0.6 * t),
               {4 * std::sin(1.1 * t), 3 * std::sin(0.7 * t)});
}

RawFrame render(const BumpyDisc& scene, const RigidTransform& scene_from_sensor,
                std::uint64_t sequence, double noise_mm) {
  const Calibration camera = small_camera();
  const Intrinsics& in = camera.depth;
  RawFrame frame = empty_frame(sequence);
  std::mt19937 random(static_cast<std::uint32_t>(sequence) + 1);
  const auto uniform = [&] { return static_cast<double>(random()) / 4294967296.0; };
  for (int y = 0; y < in.height_px; ++y) {
    for (int x = 0; x < in.width_px; ++x) {
      const Eigen::Vector3d ray((x - in.cx_px) / in.fx_px, (y - in.cy_px) / in.fy_px, 1);
      double z = scene.depth_mm(scene_from_sensor.translation(), scene_from_sensor.linear() * ray);
      // The sum of twelve is near enough to a normal distribution, and the same everywhere.
      double noise = -6;
      for (int k = 0; k < 12; ++k) noise += uniform();
      if (z <= 0) continue;
      z += noise * noise_mm * (z / 80) * (z / 80);
      const auto counts = static_cast<std::uint16_t>(std::lround(z / camera.depth_unit_mm));
      const std::size_t i = 2 * static_cast<std::size_t>(y * in.width_px + x);
      frame.bytes[i] = static_cast<std::uint8_t>(counts & 0xff);
      frame.bytes[i + 1] = static_cast<std::uint8_t>(counts >> 8);
    }
  }
  return frame;
}

RawFrame empty_frame(std::uint64_t sequence) {
  const Intrinsics in = small_camera().depth;
  RawFrame frame;
  frame.sequence = sequence;
  frame.width_px = in.width_px;
  frame.height_px = in.height_px;
  frame.bytes.assign(2 * static_cast<std::size_t>(in.width_px * in.height_px), 0);
  return frame;
}

DepthFrame tilted_plane(const Eigen::Vector3d& normal, double d) {
  const Intrinsics in = small_camera().depth;
  DepthFrame frame{.sequence = 0, .host_time = {}, .intrinsics = in, .depth_mm = {}};
  for (int y = 0; y < in.height_px; ++y)
    for (int x = 0; x < in.width_px; ++x) {
      const Eigen::Vector3d ray((x - in.cx_px) / in.fx_px, (y - in.cy_px) / in.fy_px, 1);
      frame.depth_mm.push_back(static_cast<float>(d / normal.dot(ray)));
    }
  return frame;
}

}  // namespace cusp::testing
