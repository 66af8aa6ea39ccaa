#include "pipeline/fringe_tables.h"

#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <numbers>
#include <optional>

#include "pipeline/lens.h"

namespace cusp {
namespace {

constexpr double kRasterMargin = 0.02;  // of its width
constexpr int kEdgeRounds = 10;
constexpr std::size_t kNodes = 5;
// Smooth as the lenses are, a few pixels tell of all; each lane of the eights in turn.
constexpr std::size_t kCheckedEvery = 15;
constexpr int kCheckedDepths = 9;

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

// The same function of another middle's columns (W. G. Horner's scheme).
Quartic moved(Quartic quartic, double middle) {
  const double step = middle - quartic.middle;
  for (std::size_t first = 0; first + 1 < kNodes; ++first)
    for (std::size_t k = kNodes - 1; k-- > first;) quartic.power[k] += step * quartic.power[k + 1];
  quartic.middle = middle;
  return quartic;
}

using Lanes = Eigen::Matrix<double, kFringeLanes, 1>;

// Polynomials of N powers through what some of an eight's lanes say, by least squares; the shortest
// of them where those are too few.
template <int N>
class LaneFits {
 public:
  std::array<float, N> fit(std::uint32_t lanes, const Lanes& values) {
    std::optional<Weights>& weights = weights_[lanes];
    if (!weights) {
      Eigen::Matrix<double, kFringeLanes, N> design;
      for (std::size_t k = 0; k < kFringeLanes; ++k)
        for (int power = 0; power < N; ++power)
          design(static_cast<int>(k), power) =
              (lanes >> k & 1) != 0 ? std::pow(fringe_way(k), power) : 0;
      weights = design.completeOrthogonalDecomposition().pseudoInverse();
    }
    const Eigen::Matrix<float, N, 1> found = (*weights * values).template cast<float>();
    std::array<float, N> powers{};
    std::copy_n(found.data(), N, powers.begin());
    return powers;
  }

 private:
  using Weights = Eigen::Matrix<double, N, kFringeLanes>;
  std::array<std::optional<Weights>, 1U << kFringeLanes> weights_;
};

template <std::size_t N>
float at_lane(const std::array<float, N>& powers, std::size_t lane) {
  float value = 0;
  for (std::size_t k = N; k-- > 0;) value = value * fringe_way(lane) + powers[k];
  return value;
}

// The pixels of an eight, and how the tables come to hold them.
class Eights {
 public:
  Eights(const Calibration& calibration, const Span& range)
      : camera_(calibration.depth),
        optics_(*calibration.fringe),
        turn_(optics_.projector_from_camera.linear()),
        range_(range) {}

  FringeSources sources(std::size_t first, std::size_t y) {
    std::uint32_t lanes = 0;
    Lanes columns = Lanes::Zero(), rows = Lanes::Zero();
    for (std::size_t k = 0; k < kFringeLanes; ++k) {
      const Eigen::Vector2d straight = pixel(camera_, first + k, y);
      const Eigen::Vector2d bent = distort(optics_.camera_distortion, straight);
      const auto lane = static_cast<Eigen::Index>(k);
      columns[lane] = bent.x() * camera_.fx_px + camera_.cx_px;
      rows[lane] = bent.y() * camera_.fy_px + camera_.cy_px;
      if (first + k < static_cast<std::size_t>(camera_.width_px) &&
          is_seen(columns[lane], rows[lane]))
        lanes |= 1U << k;
    }
    FringeSources sources{.column = bows_.fit(lanes, columns), .row = bows_.fit(lanes, rows)};
    for (std::size_t k = 0; k < kFringeLanes; ++k)
      if ((lanes >> k & 1) != 0 && is_seen(at_lane(sources.column, k), at_lane(sources.row, k)))
        sources.seen |= 1U << k;
    return sources;
  }

  FringeRays rays(std::size_t first, std::size_t y) {
    std::uint32_t lanes = 0;
    std::array<Quartic, kFringeLanes> quartics;
    Lanes middles = Lanes::Zero(), reaches = Lanes::Zero();
    for (std::size_t k = 0; k < kFringeLanes; ++k) {
      if (first + k >= static_cast<std::size_t>(camera_.width_px)) break;
      const auto sight = sight_of(first + k, y);
      const auto span = sight ? lit_part(*sight, range_) : std::nullopt;
      const auto quartic = span ? fit_quartic(*sight, *span) : std::nullopt;
      if (!quartic) continue;
      lanes |= 1U << k;
      quartics[k] = *quartic;
      middles[static_cast<Eigen::Index>(k)] = quartic->middle;
      reaches[static_cast<Eigen::Index>(k)] = quartic->reach;
    }
    FringeRays rays{.lit = lanes,
                    .middle_px = lines_.fit(lanes, middles),
                    .reach_px = lines_.fit(lanes, reaches)};
    std::array<Lanes, kNodes> powers;
    powers.fill(Lanes::Zero());
    for (std::size_t k = 0; k < kFringeLanes; ++k) {
      const Quartic quartic = moved(quartics[k], at_lane(rays.middle_px, k));
      for (std::size_t n = 0; n < kNodes; ++n)
        powers[n][static_cast<Eigen::Index>(k)] = quartic.power[n];
    }
    for (std::size_t n = 0; n < 2; ++n) {
      rays.low_powers[n] = bows_.fit(lanes, powers[n]);
      rays.high_powers[n] = lines_.fit(lanes, powers[n + 2]);
    }
    rays.fourth_power = means_.fit(lanes, powers[4])[0];
    return rays;
  }

  // How far a lane's depth misses the lenses' own, of the depth, at most.
  [[nodiscard]] double miss_of(const FringeRays& rays, std::size_t lane, std::size_t first,
                               std::size_t y) const {
    if ((rays.lit >> lane & 1) == 0) return 0;
    const auto sight = sight_of(first + lane, y);
    const auto span = lit_part(*sight, range_);
    const float middle = at_lane(rays.middle_px, lane);
    double worst = 0;
    for (int k = 0; k < kCheckedDepths; ++k) {
      const double w = span->far + (span->near - span->far) * k / (kCheckedDepths - 1);
      const float d = static_cast<float>(sight->column(w)) - middle;
      float found = rays.fourth_power;
      for (std::size_t n = 2; n-- > 0;) found = found * d + at_lane(rays.high_powers[n], lane);
      for (std::size_t n = 2; n-- > 0;) found = found * d + at_lane(rays.low_powers[n], lane);
      worst = std::max(worst, std::abs(found / w - 1));
    }
    return worst;
  }

 private:
  [[nodiscard]] bool is_seen(double column, double row) const {
    constexpr double kRim = 0.01;  // px: within the kernel's reach, and what rounding needs
    return column > -kRim && row > -kRim && column < camera_.width_px - 1 + kRim &&
           row < camera_.height_px - 1 + kRim;
  }
  [[nodiscard]] std::optional<Sight> sight_of(std::size_t x, std::size_t y) const {
    const auto straight = undistort(optics_.camera_distortion, pixel(camera_, x, y));
    if (!straight) return std::nullopt;
    return Sight{.ray = turn_ * straight->homogeneous(),
                 .centre = optics_.projector_from_camera.translation(),
                 .optics = &optics_};
  }

  const Intrinsics& camera_;
  const FringeOptics& optics_;
  const Eigen::Matrix3d turn_;
  const Span range_;
  LaneFits<1> means_;
  LaneFits<2> lines_;
  LaneFits<3> bows_;
};

}  // namespace

Result<FringeTables> FringeTables::create(const Calibration& calibration, double min_depth_mm,
                                          double max_depth_mm) {
  const auto width = static_cast<std::size_t>(calibration.depth.width_px);
  const auto height = static_cast<std::size_t>(calibration.depth.height_px);
  FringeTables tables;
  tables.eights = (width + kFringeLanes - 1) / kFringeLanes;
  tables.rays.reserve(tables.eights * height);
  tables.sources.reserve(tables.eights * height);
  const auto eights =
      std::make_unique<Eights>(calibration, Span{1 / max_depth_mm, 1 / min_depth_mm});
  for (std::size_t y = 0; y < height; ++y)
    for (std::size_t first = 0; first < width; first += kFringeLanes) {
      tables.sources.push_back(eights->sources(first, y));
      const FringeRays& rays = tables.rays.emplace_back(eights->rays(first, y));
      const std::size_t number = tables.rays.size();
      if (number % kCheckedEvery == 0)
        tables.misses =
            std::max(tables.misses, eights->miss_of(rays, number % kFringeLanes, first, y));
    }
  if (!(tables.misses <= kWithin))
    return error(ErrorCode::kInvalidArgument,
                 "calibration {}: over {} to {} mm its lenses bend the fringes more than can be "
                 "followed (a miss of {:.1e} of the depth)",
                 calibration.id, min_depth_mm, max_depth_mm, tables.misses);
  return tables;
}

std::pair<std::size_t, std::size_t> FringeTables::source_rows(std::size_t first,
                                                              std::size_t end) const {
  std::size_t lowest = std::numeric_limits<std::size_t>::max(), highest = 0;
  for (std::size_t i = first * eights; i < end * eights; ++i)
    for (std::size_t lane = 0; lane < kFringeLanes; ++lane)
      if ((sources[i].seen >> lane & 1) != 0) {
        const auto row = static_cast<std::size_t>(std::max(0.0F, at_lane(sources[i].row, lane)));
        lowest = std::min(lowest, row);
        highest = std::max(highest, row);
      }
  return {std::min(lowest, highest), highest};
}

}  // namespace cusp
