#include "pipeline/fringe_tables.h"

#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

#include "pipeline/lens.h"

namespace cusp {
namespace {

constexpr double kRasterMargin = 0.02;  // of its width
constexpr int kEdgeRounds = 10;
constexpr int kUndistortRounds = 30;
constexpr double kUndistortedWithin = 1e-7;  // at z = 1
constexpr std::size_t kNodes = 5;
// Smooth as the lenses are, a few pixels tell of all.
constexpr std::size_t kCheckedEvery = 16;
constexpr int kCheckedDepths = 9;

// By fixed-point iteration; none where the lens model folds over.
std::optional<Eigen::Vector2d> undistort(const LensDistortion& lens, const Eigen::Vector2d& seen) {
  Eigen::Vector2d at = seen;
  for (int round = 0; round < kUndistortRounds; ++round) {
    const Eigen::Vector2d miss = seen - distort(lens, at);
    if (miss.norm() < kUndistortedWithin) return at;
    at += miss;
  }
  return std::nullopt;
}

// In front of the lens at z = 1, as the lens shows it.
Eigen::Vector2d pixel(const Intrinsics& camera, std::size_t x, std::size_t y) {
  return {(static_cast<double>(x) - camera.cx_px) / camera.fx_px,
          (static_cast<double>(y) - camera.cy_px) / camera.fy_px};
}

// A camera pixel's line of sight in the projector's frame: what lies at inverse depth w is in the
// direction ray + w * centre.
struct Sight {
  Eigen::Vector3d ray, centre;
  const FringeOptics* optics = nullptr;

  // The projector's column that lights the point there.
  [[nodiscard]] double column(double w) const {
    const Eigen::Vector3d point = ray + w * centre;
    if (point.z() <= 0) return std::numeric_limits<double>::quiet_NaN();
    return distort(optics->projector_distortion, point.hnormalized()).x() *
               optics->projector.fx_px +
           optics->projector.cx_px;
  }
};

struct Quartic {
  double middle = 0, reach = 0;        // columns
  std::array<double, kNodes> power{};  // of the column, from the middle

  [[nodiscard]] double at(double column) const {
    const double d = column - middle;
    return power[0] + d * (power[1] + d * (power[2] + d * (power[3] + d * power[4])));
  }
};

// In -1 .. 1, from the lowest.
std::array<double, kNodes> chebyshev_nodes() {
  std::array<double, kNodes> nodes{};
  for (std::size_t k = 0; k < kNodes; ++k)
    nodes[k] = -std::cos(std::numbers::pi * (static_cast<double>(k) + 0.5) / kNodes);
  return nodes;
}

struct Span {
  double far = 0, near = 0;  // inverse depths
};

// The part of the range that the projector's raster, with a margin, can light at all.
std::optional<Span> lit_part(const Sight& sight, const Span& range) {
  const double width = sight.optics->projector.width_px;
  const auto is_lit = [&](double w) {
    const double column = sight.column(w);
    return column >= -kRasterMargin * width && column <= (1 + kRasterMargin) * width;
  };
  if (is_lit(range.far) && is_lit(range.near)) return range;
  constexpr int kSteps = 16;
  const auto at = [&](int k) { return range.far + (range.near - range.far) * k / kSteps; };
  int first = 0, last = kSteps;
  while (first <= kSteps && !is_lit(at(first))) ++first;
  while (last >= 0 && !is_lit(at(last))) --last;
  if (first > last) return std::nullopt;
  const auto edge = [&](double inside, double outside) {
    for (int round = 0; round < kEdgeRounds; ++round) {
      const double middle = 0.5 * (inside + outside);
      (is_lit(middle) ? inside : outside) = middle;
    }
    return inside;
  };
  return Span{first == 0 ? range.far : edge(at(first), at(first - 1)),
              last == kSteps ? range.near : edge(at(last), at(last + 1))};
}

// Inverse depth by the column, through five depths: Newton's divided differences.
std::optional<Quartic> fit_quartic(const Sight& sight, const Span& span) {
  static const std::array<double, kNodes> kNodesAt = chebyshev_nodes();
  const double first = sight.column(span.far);
  const double last = sight.column(span.near);
  if (!std::isfinite(first) || !std::isfinite(last) || first == last) return std::nullopt;
  Quartic quartic{.middle = 0.5 * (first + last), .reach = 0.5 * std::abs(last - first)};
  std::array<double, kNodes> d{}, difference{};
  for (std::size_t k = 0; k < kNodes; ++k) {
    difference[k] = 0.5 * (span.far + span.near) + 0.5 * (span.near - span.far) * kNodesAt[k];
    d[k] = sight.column(difference[k]) - quartic.middle;
    if (k > 0 && !((d[k] - d[k - 1]) * (last - first) > 0)) return std::nullopt;
  }
  for (std::size_t order = 1; order < kNodes; ++order)
    for (std::size_t i = kNodes - 1; i >= order; --i)
      difference[i] = (difference[i] - difference[i - 1]) / (d[i] - d[i - order]);
  // Newton's form to powers, from the inside out.
  quartic.power[0] = difference[kNodes - 1];
  for (std::size_t k = kNodes - 1; k-- > 0;) {
    for (std::size_t i = kNodes - 1; i > 0; --i)
      quartic.power[i] = quartic.power[i - 1] - d[k] * quartic.power[i];
    quartic.power[0] = difference[k] - d[k] * quartic.power[0];
  }
  return quartic;
}

// Of the depth, at most.
double miss_of(const Quartic& quartic, const Sight& sight, const Span& span) {
  double worst = 0;
  for (int k = 0; k < kCheckedDepths; ++k) {
    const double w = span.far + (span.near - span.far) * k / (kCheckedDepths - 1);
    worst = std::max(worst, std::abs(quartic.at(sight.column(w)) / w - 1));
  }
  return worst;
}

}  // namespace

Result<FringeTables> FringeTables::create(const Calibration& calibration, double min_depth_mm,
                                          double max_depth_mm) {
  const FringeOptics& optics = *calibration.fringe;
  const Intrinsics& camera = calibration.depth;
  const auto width = static_cast<std::size_t>(camera.width_px);
  const auto height = static_cast<std::size_t>(camera.height_px);
  const std::size_t size = width * height + kFringeLanes;
  FringeTables tables;
  tables.eights = (width + kFringeLanes - 1) / kFringeLanes;
  FringeRays nowhere;
  nowhere.reach_px.fill(-1);
  tables.rays.assign(tables.eights * height, nowhere);
  tables.sources.column.assign(size, -1);
  tables.sources.row.assign(size, 0);

  const Eigen::Matrix3d turn = optics.projector_from_camera.linear();
  Sight sight{.ray = {}, .centre = optics.projector_from_camera.translation(), .optics = &optics};
  const Span range{1 / max_depth_mm, 1 / min_depth_mm};
  for (std::size_t y = 0; y < height; ++y)
    for (std::size_t x = 0; x < width; ++x) {
      const std::size_t i = y * width + x;
      const Eigen::Vector2d seen = pixel(camera, x, y);
      const Eigen::Vector2d shift = distort(optics.camera_distortion, seen) - seen;
      const double u = static_cast<double>(x) + shift.x() * camera.fx_px;
      const double v = static_cast<double>(y) + shift.y() * camera.fy_px;
      if (u >= 0 && v >= 0 && u <= static_cast<double>(width - 1) &&
          v <= static_cast<double>(height - 1)) {
        tables.sources.column[i] = static_cast<float>(u);
        tables.sources.row[i] = static_cast<float>(v);
      }
      const auto straight = undistort(optics.camera_distortion, seen);
      if (!straight) continue;
      sight.ray = turn * straight->homogeneous();
      const auto span = lit_part(sight, range);
      if (!span) continue;
      const auto quartic = fit_quartic(sight, *span);
      if (!quartic) continue;
      FringeRays& rays = tables.rays[y * tables.eights + x / kFringeLanes];
      const std::size_t lane = x % kFringeLanes;
      rays.middle_px[lane] = static_cast<float>(quartic->middle);
      rays.reach_px[lane] = static_cast<float>(quartic->reach);
      for (std::size_t k = 0; k < kNodes; ++k)
        rays.inverse_depth[k][lane] = static_cast<float>(quartic->power[k]);
      if (x % kCheckedEvery == 0 && y % kCheckedEvery == 0)
        tables.misses = std::max(tables.misses, miss_of(*quartic, sight, *span));
    }
  if (!(tables.misses <= kWithin))
    return error(ErrorCode::kInvalidArgument,
                 "calibration {}: over {} to {} mm its lenses bend the fringes more than can be "
                 "followed (a miss of {:.1e} of the depth)",
                 calibration.id, min_depth_mm, max_depth_mm, tables.misses);
  return tables;
}

}  // namespace cusp
