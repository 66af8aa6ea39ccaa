#include "tools/sim/operator_path.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tools/sim/scan_frame.h"
#include "tools/sim/spline.h"
#include "tools/sim/tremor.h"

namespace cusp::sim {
namespace {

constexpr double kRadians = std::numbers::pi / 180;
constexpr double kSoftShare = 0.06;  // of the time, for starting and for stopping
constexpr int kSamples = 4096;       // of the curve, to measure its length

// A view: tilt of the optical axis away from straight down (an axis-angle in the plane, so that
// nothing is singular at zero), the point that is aimed at in that plane, and the distance from it.
using View =
    Eigen::Matrix<double, 5, 1>;  // tilt along, tilt across [rad], aim along, across, distance [mm]

// Towards the camera, seen from the object.
Eigen::Vector3d outward(const ScanFrame& frame, const Eigen::Vector2d& tilt) {
  const double angle = tilt.norm();
  if (angle < 1e-12) return frame.axes.col(2);
  const Eigen::Vector3d side = frame.axes.leftCols<2>() * (tilt / angle);
  return std::cos(angle) * frame.axes.col(2) + std::sin(angle) * side;
}

RigidTransform pose_of(const ScanFrame& frame, const View& view) {
  const Eigen::Vector2d tilt = view.head<2>();
  const Eigen::Vector3d out = outward(frame, tilt);
  // Straight down: x along the object, z onto it. Leaning turns this without rolling it.
  Eigen::Matrix3d down;
  down.col(0) = frame.axes.col(0);
  down.col(1) = -frame.axes.col(1);
  down.col(2) = -frame.axes.col(2);
  const double angle = tilt.norm();
  Eigen::Matrix3d lean = Eigen::Matrix3d::Identity();
  if (angle > 1e-12)
    lean = Eigen::AngleAxisd(angle, frame.axes.col(2).cross(out).normalized()).toRotationMatrix();
  RigidTransform pose = RigidTransform::Identity();
  pose.linear() = lean * down;
  pose.translation() =
      frame.centre_mm + frame.axes.leftCols<2>() * view.segment<2>(2) + view[4] * out;
  return pose;
}

// The distance at which the object's nearest point has the stand-off as its depth.
double distance_for(const Mesh& mesh, const ScanFrame& frame, const View& view,
                    double standoff_mm) {
  const Eigen::Vector3f out = outward(frame, view.head<2>()).cast<float>();
  const Eigen::Vector3d aim = frame.centre_mm + frame.axes.leftCols<2>() * view.segment<2>(2);
  float nearest = -std::numeric_limits<float>::max();
  for (const auto& vertex : mesh.vertices_mm) nearest = std::max(nearest, vertex.dot(out));
  return static_cast<double>(nearest) - aim.dot(out.cast<double>()) + standoff_mm;
}

std::vector<View> turning_points(const Mesh& mesh, const ScanFrame& frame, double standoff_mm,
                                 const OperatorPathOptions& options) {
  const double along = frame.half_extent_mm[0], across = frame.half_extent_mm[1];
  const double tilt = options.tilt_deg * kRadians;
  std::vector<View> points;
  const auto add = [&](double tilt_along, double tilt_across, double aim_along, double aim_across) {
    View view;
    view << tilt_along, tilt_across, aim_along, aim_across, 0;
    view[4] = distance_for(mesh, frame, view, standoff_mm);
    points.push_back(view);
  };
  // Above one end of the arch, then along it to the other.
  constexpr int kPass = 5;
  for (int i = 0; i < kPass; ++i) {
    const double s = 1 - 2.0 * i / (kPass - 1);
    add(0.1 * s, 0.1 * (1 - s * s), 0.35 * along * s, 0.2 * across * (1 - s * s));
  }
  // Out to that side and round.
  constexpr double kStepDeg = 15;
  const int steps = std::max(1, static_cast<int>(std::lround(options.orbit_deg / kStepDeg)));
  for (int i = 0; i <= steps; ++i) {
    const double azimuth = std::numbers::pi - options.orbit_deg * kRadians * i / steps;
    const double lean = tilt * std::min(1.0, 0.45 + 0.2 * i);
    add(lean * std::cos(azimuth), lean * std::sin(azimuth), 0.12 * along * std::cos(azimuth),
        0.12 * across * std::sin(azimuth));
  }
  return points;
}

// Way gone at time t (both in [0, 1]) when speed rises by a smooth step, stays, and falls again.
double soft_way(double t) {
  const auto ramp = [](double x) { return kSoftShare * (x * x * x - 0.5 * x * x * x * x); };
  const double whole = 1 - kSoftShare;
  if (t < kSoftShare) return ramp(t / kSoftShare) / whole;
  if (t > 1 - kSoftShare) return 1 - ramp((1 - t) / kSoftShare) / whole;
  return (t - 0.5 * kSoftShare) / whole;
}

}  // namespace

Result<OperatorPath> OperatorPath::around(const Mesh& mesh, const Intrinsics& intrinsics,
                                          const OperatorPathOptions& options) {
  if (options.frames < 2)
    return error(ErrorCode::kInvalidArgument, "path: {} frames are too few, 2 are needed",
                 options.frames);
  CUSP_ASSIGN(const ScanFrame frame, find_scan_frame(mesh));
  // From the stand-off, the object's middle must fit nine tenths of the view.
  const double fit =
      std::max(frame.half_extent_mm[0] * intrinsics.fx_px / (0.45 * intrinsics.width_px),
               frame.half_extent_mm[1] * intrinsics.fy_px / (0.45 * intrinsics.height_px)) -
      frame.half_extent_mm[2];
  const double standoff = std::max(options.standoff_mm, fit);
  const std::vector<View> points = turning_points(mesh, frame, standoff, options);

  std::vector<double> way(kSamples + 1, 0.0);
  Eigen::Vector3d before = pose_of(frame, points.front()).translation();
  for (int i = 1; i <= kSamples; ++i) {
    const Eigen::Vector3d here =
        pose_of(frame, spline(points, static_cast<double>(i) / kSamples)).translation();
    way[static_cast<std::size_t>(i)] =
        way[static_cast<std::size_t>(i) - 1] + (here - before).norm();
    before = here;
  }

  const Tremor tremor(options.seed, options.tremor_scale);
  std::vector<RigidTransform> poses;
  poses.reserve(options.frames);
  for (std::uint64_t k = 0; k < options.frames; ++k) {
    const double goal =
        way.back() * soft_way(static_cast<double>(k) / static_cast<double>(options.frames - 1));
    const auto above = std::upper_bound(way.begin() + 1, way.end() - 1, goal);
    const double step = *above - *(above - 1);
    const double part = step > 0 ? (goal - *(above - 1)) / step : 0;
    const double s = (static_cast<double>(above - way.begin() - 1) + part) / kSamples;
    poses.push_back(pose_of(frame, spline(points, s)) *
                    tremor.at(static_cast<double>(k) / options.rate_hz));
  }
  return OperatorPath(std::move(poses));
}

const RigidTransform& OperatorPath::scene_from_sensor(std::uint64_t frame) const {
  return poses_[static_cast<std::size_t>(std::min<std::uint64_t>(frame, poses_.size() - 1))];
}

}  // namespace cusp::sim
