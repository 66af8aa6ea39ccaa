#include "pipeline/expected_error.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>

#include "core/check.h"

namespace cusp {
namespace {

constexpr std::size_t kGrain = 64;
constexpr int kPlaceCells = 4;  // width of a place
constexpr int kLookEvery = 2;   // cell, for places
constexpr float kMinCosine = 0.7F;
constexpr float kLateralCells = 2.5F;
// One pass: seen all along, but for so many keyframes, and from within 20 degrees.
constexpr std::size_t kPassGap = 10;
constexpr float kPassCosine = 0.94F;
// What a place says of its own variances counts as so many degrees of freedom of the whole.
constexpr double kPriorFreedom = 6;
constexpr double kWorstShare = 0.99;

// Of where a point lies and which of six ways it looks.
std::uint64_t key_of(const Eigen::Vector3f& point_mm, const Eigen::Vector3f& normal, float place_mm,
                     const Eigen::Vector3i& off = Eigen::Vector3i::Zero()) {
  constexpr std::int64_t kMiddle = std::int64_t{1} << 19;
  constexpr std::uint64_t kMask = (std::uint64_t{1} << 20) - 1;
  std::uint64_t key = 0;
  for (int i = 0; i < 3; ++i) {
    const auto at = static_cast<std::int64_t>(std::floor(point_mm[i] / place_mm)) + off[i];
    key = key << 20 | (static_cast<std::uint64_t>(at + kMiddle) & kMask);
  }
  Eigen::Index axis = 0;
  normal.cwiseAbs().maxCoeff(&axis);
  return key << 3 | static_cast<std::uint64_t>(2 * axis + (normal[axis] < 0 ? 1 : 0));
}

Eigen::Vector3f normal_of(const Cell& cell) {
  return Eigen::Vector3f(cell.normal[0], cell.normal[1], cell.normal[2]) / kNormalUnit;
}

using Variances = std::unordered_map<std::uint64_t, float>;

// Of the places up to one away that look the same way.
std::optional<float> mean_around(const Variances& variances_mm2, const Eigen::Vector3f& point_mm,
                                 const Eigen::Vector3f& normal, float place_mm) {
  float sum = 0, count = 0;
  for (int z = -1; z <= 1; ++z)
    for (int y = -1; y <= 1; ++y)
      for (int x = -1; x <= 1; ++x) {
        const auto found = variances_mm2.find(key_of(point_mm, normal, place_mm, {x, y, z}));
        if (found == variances_mm2.end()) continue;
        sum += found->second;
        ++count;
      }
  return count > 0 ? std::optional(sum / count) : std::nullopt;
}

struct Place {
  std::uint64_t key = 0;
  Eigen::Vector3f point_mm, normal;
};

// Sums of squares over the frames that see a place, and how many free numbers are in them.
struct Spread {
  double within_mm2 = 0, within_free = 0;    // of frames about their pass
  double between_mm2 = 0, between_free = 0;  // of passes about their mean
  double per_frames = 0;                     // sum over the passes of 1 / frames, as above
  std::vector<int> frames{};                 // of each pass

  void add(const Spread& other) {
    within_mm2 += other.within_mm2;
    within_free += other.within_free;
    between_mm2 += other.between_mm2;
    between_free += other.between_free;
    per_frames += other.per_frames;
  }
};

// Variance of a frame's own noise, and of what a pass shares.
struct Components {
  double noise_mm2 = 0, pass_mm2 = 0;
};

Components components_of(const Spread& spread, const Components& prior, double prior_free) {
  const double noise = (spread.within_mm2 + prior_free * prior.noise_mm2) /
                       std::max(spread.within_free + prior_free, 1.0);
  const double free = std::max(spread.between_free + prior_free, 1.0);
  const double from_noise = noise * spread.per_frames / std::max(spread.between_free, 1.0);
  const double seen = std::max(0.0, spread.between_mm2 - spread.between_free * from_noise);
  return {noise, (seen + prior_free * prior.pass_mm2) / free};
}

// A keyframe, ready to be asked.
struct View {
  const Cell* cells = nullptr;
  Eigen::Matrix3f rotation;  // sensor_from_model
  Eigen::Vector3f shift;
  float lateral_mm = 0;
};

}  // namespace

class ErrorSearch {
 public:
  ErrorSearch(const AdjustedKeyframes& scan, WorkerPool& pool) : scan_(scan), pool_(pool) {
    const CellLayout& in = scan.layout;
    warp_mm_.resize(static_cast<std::size_t>(in.width) * static_cast<std::size_t>(in.height));
    if (!scan.warp.is_none())
      for (int y = 0; y < in.height; ++y)
        for (int x = 0; x < in.width; ++x) {
          const double px =
              (static_cast<double>(in.warp_x0 + static_cast<float>(x) * in.warp_x) + 1) / 2;
          const double py =
              (static_cast<double>(in.warp_y0 + static_cast<float>(y) * in.warp_y) + 1) / 2;
          warp_mm_[at(x, y)] = static_cast<float>(
              scan.warp.at(px * scan.warp.width_px() - 0.5, py * scan.warp.height_px() - 0.5));
        }
    double depth_sum = 0;
    std::size_t measured = 0;
    for (std::size_t f = 0; f < scan.frames.size(); ++f) {
      const RigidTransform sensor_from_model = scan.model_from_sensor[f].inverse();
      views_.push_back({.cells = scan.frames[f].cells.data(),
                        .rotation = sensor_from_model.linear().cast<float>(),
                        .shift = sensor_from_model.translation().cast<float>(),
                        .lateral_mm = kLateralCells * scan.frames[f].middle_mm / in.fx});
      depth_sum += static_cast<double>(scan.frames[f].middle_mm);
      measured += scan.frames[f].middle_mm > 0 ? 1 : 0;
    }
    if (measured > 0)
      place_mm_ =
          static_cast<float>(kPlaceCells * depth_sum / static_cast<double>(measured)) / in.fx;
  }

  ErrorMap run() {
    const std::vector<Place> places = find_places();
    std::vector<Spread> spreads(places.size());
    pool_.for_chunks(places.size(), kGrain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) spreads[i] = spread_at(places[i]);
    });
    Spread whole;
    for (const Spread& spread : spreads) whole.add(spread);
    ErrorMap map;
    if (whole.within_free + whole.between_free == 0) return map;
    const Components usual = components_of(whole, {}, 0);
    map.place_mm_ = place_mm_;
    Variances own;
    std::vector<float> all;
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (spreads[i].frames.empty()) continue;
      const Components here = components_of(spreads[i], usual, kPriorFreedom);
      double information = 0;
      for (const int frames : spreads[i].frames)
        information += 1 / (here.pass_mm2 + here.noise_mm2 / frames);
      const auto variance = static_cast<float>(1 / information);
      own.emplace(places[i].key, variance);
      all.push_back(variance);
    }
    // A place by itself knows little: it counts with those around it.
    for (const Place& place : places)
      if (const auto around = mean_around(own, place.point_mm, place.normal, place_mm_))
        map.variance_mm2_.emplace(place.key, *around);
    const auto at = all.begin() +
                    static_cast<std::ptrdiff_t>(kWorstShare * static_cast<double>(all.size() - 1));
    std::nth_element(all.begin(), at, all.end());
    map.worst_mm_ = std::sqrt(*at);
    return map;
  }

 private:
  [[nodiscard]] std::size_t at(int x, int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(scan_.layout.width) +
           static_cast<std::size_t>(x);
  }
  [[nodiscard]] Eigen::Vector3f ray(int x, int y) const {
    return {(static_cast<float>(x) - scan_.layout.cx) / scan_.layout.fx,
            (static_cast<float>(y) - scan_.layout.cy) / scan_.layout.fy, 1};
  }

  // The first cell of each place.
  std::vector<Place> find_places() const {
    std::vector<Place> places;
    std::unordered_map<std::uint64_t, std::size_t> known;
    for (std::size_t f = 0; f < views_.size(); ++f) {
      const Eigen::Matrix3f rotation = views_[f].rotation.transpose();
      const Eigen::Vector3f eye = scan_.model_from_sensor[f].translation().cast<float>();
      for (int y = 0; y < scan_.layout.height; y += kLookEvery)
        for (int x = 0; x < scan_.layout.width; x += kLookEvery) {
          const Cell& cell = views_[f].cells[at(x, y)];
          if (cell.z_mm == 0) continue;
          Place place;
          place.point_mm = rotation * (ray(x, y) * (cell.z_mm + warp_mm_[at(x, y)])) + eye;
          place.normal = rotation * normal_of(cell);
          place.key = key_of(place.point_mm, place.normal, place_mm_);
          if (known.emplace(place.key, places.size()).second) places.push_back(place);
        }
    }
    return places;
  }

  // How far the frame's surface lies in front of the place.
  [[nodiscard]] std::optional<float> off_mm(const View& view, const Place& place) const {
    const CellLayout& in = scan_.layout;
    const Eigen::Vector3f p = view.rotation * place.point_mm + view.shift;
    if (!(p.z() > 0)) return std::nullopt;
    const float u = p.x() / p.z() * in.fx + in.cx + 0.5F;
    const float v = p.y() / p.z() * in.fy + in.cy + 0.5F;
    if (!(u >= 0 && v >= 0 && u < static_cast<float>(in.width) &&
          v < static_cast<float>(in.height)))
      return std::nullopt;
    const int x = static_cast<int>(u), y = static_cast<int>(v);
    const Cell& cell = view.cells[at(x, y)];
    if (cell.z_mm == 0) return std::nullopt;
    const Eigen::Vector3f normal = normal_of(cell);
    const Eigen::Vector3f own = view.rotation * place.normal;
    if (!(normal.dot(own) > kMinCosine)) return std::nullopt;
    const Eigen::Vector3f apart = ray(x, y) * (cell.z_mm + warp_mm_[at(x, y)]) - p;
    // Symmetric, as the adjustment measures (adjust_kernel.h).
    const float off = apart.dot((normal + own).normalized());
    if (!(std::abs(off) < static_cast<float>(scan_.gate_mm)) ||
        apart.squaredNorm() > off * off + view.lateral_mm * view.lateral_mm)
      return std::nullopt;
    return off;
  }

  [[nodiscard]] Spread spread_at(const Place& place) const {
    struct Pass {
      std::size_t last = 0;
      Eigen::Vector3f axis;
      double sum = 0, squares = 0;
      int frames = 0;
    };
    std::vector<Pass> passes;
    for (std::size_t f = 0; f < views_.size(); ++f) {
      const auto off = off_mm(views_[f], place);
      if (!off) continue;
      const Eigen::Vector3f axis = views_[f].rotation.row(2);
      if (passes.empty() || f - passes.back().last > kPassGap ||
          passes.back().axis.dot(axis) < kPassCosine)
        passes.push_back({.last = f, .axis = axis});
      Pass& pass = passes.back();
      pass.last = f;
      pass.sum += static_cast<double>(*off);
      pass.squares += static_cast<double>(*off) * static_cast<double>(*off);
      ++pass.frames;
    }
    Spread spread;
    double mean = 0;
    for (const Pass& pass : passes)
      mean += pass.sum / pass.frames / static_cast<double>(passes.size());
    for (const Pass& pass : passes) {
      const double of_pass = pass.sum / pass.frames;
      spread.within_mm2 += std::max(0.0, pass.squares - pass.frames * of_pass * of_pass);
      spread.within_free += pass.frames - 1;
      spread.between_mm2 += (of_pass - mean) * (of_pass - mean);
      spread.per_frames += 1.0 / pass.frames;
      spread.frames.push_back(pass.frames);
    }
    if (!passes.empty()) {
      spread.between_free = static_cast<double>(passes.size()) - 1;
      // So that its mean over the passes, times what is free, is what noise leaves.
      spread.per_frames *= spread.between_free / static_cast<double>(passes.size());
    }
    return spread;
  }

  const AdjustedKeyframes& scan_;
  WorkerPool& pool_;
  std::vector<float> warp_mm_;  // of each cell
  std::vector<View> views_;
  float place_mm_ = 1;
};

ErrorMap expected_error(const AdjustedKeyframes& scan, WorkerPool& pool) {
  return ErrorSearch(scan, pool).run();
}

std::vector<float> ErrorMap::of(const Mesh& mesh, WorkerPool& pool) const {
  if (empty()) return {};
  CUSP_CHECK(mesh.normals.size() == mesh.vertices_mm.size(), "the side that a vertex shows counts");
  std::vector<float> sigma_mm(mesh.vertices_mm.size(), worst_mm_);
  pool.for_chunks(sigma_mm.size(), kGrain * kGrain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const Eigen::Vector3f &at = mesh.vertices_mm[i], &normal = mesh.normals[i];
      if (const auto found = variance_mm2_.find(key_of(at, normal, place_mm_));
          found != variance_mm2_.end())
        sigma_mm[i] = std::sqrt(found->second);
      else if (const auto around = mean_around(variance_mm2_, at, normal, place_mm_))
        sigma_mm[i] = std::sqrt(*around);
    }
  });
  return sigma_mm;
}

}  // namespace cusp
