#include "tools/verify/surface_error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "tools/sim/scan_frame.h"
#include "tools/verify/best_fit.h"

namespace cusp::verify {
namespace {

constexpr float kCoveredMm = 0.3F;
constexpr std::size_t kCoverageSamples = 30000;
constexpr std::size_t kMostViews = 40;
constexpr double kRadians = std::numbers::pi / 180;
const double kTanHalfWidth = std::tan(42 * kRadians);  // D405: 84 x 58 degrees
const double kTanHalfHeight = std::tan(29 * kRadians);
const float kLeastCosine = static_cast<float>(std::cos(75 * kRadians));

struct Distance {
  double absolute_mm, signed_mm, weight;
};

std::vector<double> vertex_areas(const Mesh& mesh) {
  std::vector<double> areas(mesh.vertices_mm.size(), 0.0);
  for (const auto& triangle : mesh.triangles) {
    const Eigen::Vector3f& a = mesh.vertices_mm[triangle[0]];
    const double third = (mesh.vertices_mm[triangle[1]] - a)
                             .cross(mesh.vertices_mm[triangle[2]] - a)
                             .cast<double>()
                             .norm() /
                         6;
    for (const std::uint32_t corner : triangle) areas[corner] += third;
  }
  return areas;
}

// The distance below which the given share of the weight lies. `sorted` ascends.
double quantile(const std::vector<Distance>& sorted, double whole, double share) {
  double passed = 0;
  for (const Distance& d : sorted) {
    passed += d.weight;
    if (passed >= share * whole) return d.absolute_mm;
  }
  return sorted.back().absolute_mm;
}

// A ring of cameras at 15, 30, 45 and 60 degrees round the scanned side, 100 mm from the nearest
// edge.
Result<std::vector<RigidTransform>> default_views(const Mesh& truth) {
  CUSP_ASSIGN(const sim::ScanFrame frame, sim::find_scan_frame(truth));
  const double distance = 100 + frame.half_extent_mm.norm();
  std::vector<RigidTransform> views;
  for (int ring = 0; ring <= 4; ++ring)
    for (int turn = 0; turn < (ring == 0 ? 1 : 8); ++turn) {
      const Eigen::Matrix3d lean =
          (Eigen::AngleAxisd(turn * std::numbers::pi / 4, Eigen::Vector3d::UnitZ()) *
           Eigen::AngleAxisd(ring * 15 * kRadians, Eigen::Vector3d::UnitY()))
              .toRotationMatrix();
      RigidTransform view = RigidTransform::Identity();
      view.linear() = frame.axes * lean * Eigen::DiagonalMatrix<double, 3>(1, -1, -1);
      view.translation() = frame.centre_mm - distance * view.linear().col(2);
      views.push_back(view);
    }
  return views;
}

bool seen(const AreaSample& sample, const sim::Surface& truth, const RigidTransform& view) {
  const Eigen::Vector3d in_sensor = view.inverse() * sample.point_mm.cast<double>();
  if (in_sensor.z() <= 0 || std::abs(in_sensor.x()) > kTanHalfWidth * in_sensor.z() ||
      std::abs(in_sensor.y()) > kTanHalfHeight * in_sensor.z())
    return false;
  const Eigen::Vector3f camera = view.translation().cast<float>();
  const Eigen::Vector3f back = (camera - sample.point_mm).normalized();
  if (back.dot(sample.normal) < kLeastCosine) return false;
  return !truth.blocked(sample.point_mm, camera, 0.02F);
}

}  // namespace

Mesh moved(Mesh mesh, const RigidTransform& to_from_mesh) {
  for (auto& vertex : mesh.vertices_mm)
    vertex = (to_from_mesh * vertex.cast<double>()).cast<float>();
  for (auto& normal : mesh.normals)
    normal = (to_from_mesh.linear() * normal.cast<double>()).cast<float>();
  return mesh;
}

Result<EdgeError> measure_edge_error(const Mesh& model_in_truth, const Mesh& truth) {
  constexpr float kNearMm = 0.1F;
  const float flat = static_cast<float>(std::cos(10 * kRadians));
  CUSP_ASSIGN(const sim::Surface model, sim::Surface::create(model_in_truth));
  Mesh with_normals = truth;
  compute_normals(with_normals);
  std::vector<std::uint8_t> sharp(truth.vertices_mm.size());
  for (const auto& [a, b, c] : truth.triangles) {
    const Eigen::Vector3f normal = (truth.vertices_mm[b] - truth.vertices_mm[a])
                                       .cross(truth.vertices_mm[c] - truth.vertices_mm[a])
                                       .normalized();
    for (const std::uint32_t corner : {a, b, c})
      if (normal.dot(with_normals.normals[corner]) < flat) sharp[corner] = 1;
  }
  std::vector<double> distances_um;
  double sum_um = 0;
  std::size_t all = 0;
  for (std::size_t i = 0; i < sharp.size(); ++i) {
    if (sharp[i] == 0) continue;
    ++all;
    const auto nearest = model.closest(truth.vertices_mm[i], kNearMm);
    if (!nearest) continue;
    distances_um.push_back(1000 * static_cast<double>(nearest->distance_mm));
    sum_um += distances_um.back();
  }
  if (all == 0) return EdgeError{};
  const double left_out = static_cast<double>(all - distances_um.size()) / static_cast<double>(all);
  if (distances_um.empty()) return EdgeError{.left_out = left_out};
  const auto p95 =
      distances_um.begin() + static_cast<std::ptrdiff_t>(0.95 * (distances_um.size() - 1));
  std::ranges::nth_element(distances_um, p95);
  return EdgeError{.vertices = distances_um.size(),
                   .mean_um = sum_um / static_cast<double>(distances_um.size()),
                   .p95_um = *p95,
                   .left_out = left_out};
}

Result<SurfaceError> measure_surface_error(const Mesh& model_in_truth, const sim::Surface& truth,
                                           std::vector<RigidTransform> views) {
  CUSP_ASSIGN(const sim::Surface model, sim::Surface::create(model_in_truth));
  const std::vector<double> areas = vertex_areas(model_in_truth);
  std::vector<Distance> distances;
  distances.reserve(areas.size());
  double whole = 0;
  for (std::size_t i = 0; i < areas.size(); ++i) {
    if (!(areas[i] > 0)) continue;  // a vertex without a triangle is no surface
    const Eigen::Vector3f& vertex = model_in_truth.vertices_mm[i];
    const auto nearest = truth.closest(vertex, std::numeric_limits<float>::infinity());
    CUSP_CHECK(nearest.has_value(), "a surface has a nearest point to anything");
    const double side = truth.normal(nearest->triangle).dot(vertex - nearest->point_mm);
    const double distance = nearest->distance_mm;
    distances.push_back({distance, std::copysign(distance, side), areas[i]});
    whole += areas[i];
  }
  if (distances.empty()) return error(ErrorCode::kInvalidArgument, "model: it has no area");
  std::sort(distances.begin(), distances.end(),
            [](const Distance& a, const Distance& b) { return a.absolute_mm < b.absolute_mm; });

  SurfaceError result;
  double squares = 0;
  for (const Distance& d : distances) {
    result.mean_um += 1000 * d.weight * d.absolute_mm / whole;
    result.bias_um += 1000 * d.weight * d.signed_mm / whole;
    squares += d.weight * d.absolute_mm * d.absolute_mm / whole;
  }
  result.rms_um = 1000 * std::sqrt(squares);
  result.median_um = 1000 * quantile(distances, whole, 0.5);
  result.p95_um = 1000 * quantile(distances, whole, 0.95);
  result.max_um = 1000 * distances.back().absolute_mm;

  if (views.empty()) {
    CUSP_ASSIGN(views, default_views(truth.mesh()));
  }
  const std::size_t stride = (views.size() + kMostViews - 1) / kMostViews;
  const auto samples = sample_by_area(truth.mesh(), kCoverageSamples);
  std::size_t seeable = 0, covered = 0;
  for (const AreaSample& sample : samples) {
    bool in_view = false;
    for (std::size_t i = 0; i < views.size() && !in_view; i += stride)
      in_view = seen(sample, truth, views[i]);
    if (!in_view) continue;
    ++seeable;
    if (model.closest(sample.point_mm, kCoveredMm)) ++covered;
  }
  double true_area = 0;
  for (const double area : vertex_areas(truth.mesh())) true_area += area;
  result.seeable_mm2 = samples.empty() ? 0
                                       : true_area * static_cast<double>(seeable) /
                                             static_cast<double>(samples.size());
  result.coverage = seeable > 0 ? static_cast<double>(covered) / static_cast<double>(seeable) : 0;
  return result;
}

}  // namespace cusp::verify
