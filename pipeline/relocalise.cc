#include "pipeline/relocalise.h"

#include <algorithm>
#include <cmath>

namespace cusp {
namespace {

constexpr int kGridX = 32;
constexpr int kGridY = 24;
constexpr int kMostShift = 3;  // cells, of the picture against a keyframe's
constexpr std::size_t kMinSamplesACell = 4;
// Keyframes are this far apart: a tenth of the distance to the object, or 10 degrees.
constexpr double kApartShare = 0.1;
constexpr double kApartRad = 0.17;
constexpr std::size_t kMaxKeyframes = 500;
// What a twentieth of a second allows: a view costs as much as forty wide steps.
constexpr std::size_t kStarts = 10;
constexpr std::size_t kVerified = 3;
// A wide fit that is worth a second look has this share of what the gate asks for.
constexpr double kWorthALook = 0.6;
// A difference of this share of the depth counts as much as a cell that only one of the two has.
constexpr float kUnlikeShare = 0.05F;
// Two poses that put the middle of the frame so far apart, or turn it by so much, are different.
constexpr double kOtherPlaceNarrows = 3;
constexpr double kOtherTurnRad = 0.05;
// Another pose is clearly worse below this share of the best one's overlap.
constexpr double kClearlyWorse = 0.9;

double turn_between(const RigidTransform& a, const RigidTransform& b) {
  return Eigen::AngleAxisd(a.rotation().transpose() * b.rotation()).angle();
}

struct Likeness {
  float difference = 1;  // 0: the same picture, 1: nothing in common
  int shift_x = 0, shift_y = 0;
};

// `seen` against `kept`, whose cell (x, y) is cell (x + shift_x, y + shift_y) of `seen`.
float difference(const DepthThumbnail& kept, const DepthThumbnail& seen, int shift_x, int shift_y) {
  float sum = 0;
  int cells = 0;
  for (int y = std::max(0, -shift_y); y < std::min(kGridY, kGridY - shift_y); ++y) {
    for (int x = std::max(0, -shift_x); x < std::min(kGridX, kGridX - shift_x); ++x) {
      const float a = kept[static_cast<std::size_t>(y * kGridX + x)];
      const float b = seen[static_cast<std::size_t>((y + shift_y) * kGridX + x + shift_x)];
      if (a == 0 && b == 0) continue;
      ++cells;
      sum += a == 0 || b == 0 ? 1.0F
                              : std::min(1.0F, std::abs(a - b) / (kUnlikeShare * std::max(a, b)));
    }
  }
  return cells == 0 ? 1.0F : sum / static_cast<float>(cells);
}

Likeness likeness(const DepthThumbnail& kept, const DepthThumbnail& seen) {
  Likeness best{.difference = difference(kept, seen, 0, 0)};
  for (int y = -kMostShift; y <= kMostShift; ++y)
    for (int x = -kMostShift; x <= kMostShift; ++x) {
      const float found = difference(kept, seen, x, y);
      if (found < best.difference) best = {.difference = found, .shift_x = x, .shift_y = y};
    }
  return best;
}

// The start, shifted so that what is measured and what is predicted have the same middle.
RigidTransform centred(const RigidTransform& start, const MeasuredSurface& surface,
                       const ModelView& view) {
  Eigen::Vector3d predicted = Eigen::Vector3d::Zero();
  for (const ModelPoint& point : view.points)
    if (point.seen > 0) predicted += Eigen::Vector3d(point.x, point.y, point.z);
  predicted /= static_cast<double>(view.seen);
  RigidTransform shifted = start;
  shifted.translation() += view.model_from_view * predicted - start * surface.middle_mm;
  return shifted;
}

bool differ(const Fit& a, const Fit& b, const Eigen::Vector3d& middle_mm, double narrow_mm) {
  const double apart_mm =
      (a.model_from_sensor * middle_mm - b.model_from_sensor * middle_mm).norm();
  return apart_mm > kOtherPlaceNarrows * narrow_mm ||
         turn_between(a.model_from_sensor, b.model_from_sensor) > kOtherTurnRad;
}

// Best first; of those that are the same pose only the best.
void rank(std::vector<Fit>& fits, const Eigen::Vector3d& middle_mm, double narrow_mm) {
  std::stable_sort(fits.begin(), fits.end(),
                   [](const Fit& a, const Fit& b) { return a.overlap > b.overlap; });
  std::vector<Fit> kept;
  for (const Fit& fit : fits)
    if (std::all_of(kept.begin(), kept.end(),
                    [&](const Fit& better) { return differ(fit, better, middle_mm, narrow_mm); }))
      kept.push_back(fit);
  fits = std::move(kept);
}

}  // namespace

DepthThumbnail thumbnail_of(const MeasuredSurface& surface) {
  const Intrinsics& in = surface.intrinsics;
  const SampleGrid& grid = surface.coarse;
  DepthThumbnail sums(static_cast<std::size_t>(kGridX * kGridY), 0.0F);
  std::vector<std::size_t> counts(sums.size(), 0);
  for (int row = 0; row < grid.height; ++row) {
    const int y = row * grid.step * kGridY / in.height_px;
    for (int column = 0; column < grid.width; ++column) {
      const std::size_t i =
          static_cast<std::size_t>(row) * grid.stride + static_cast<std::size_t>(column);
      if (grid.weight[i] == 0) continue;
      const int x = column * grid.step * kGridX / in.width_px;
      const auto cell = static_cast<std::size_t>(y * kGridX + x);
      sums[cell] += grid.z_mm[i];
      ++counts[cell];
    }
  }
  for (std::size_t i = 0; i < sums.size(); ++i)
    sums[i] = counts[i] < kMinSamplesACell ? 0.0F : sums[i] / static_cast<float>(counts[i]);
  return sums;
}

void Keyframes::offer(const RigidTransform& model_from_sensor, const MeasuredSurface& surface) {
  if (keyframes_.size() >= kMaxKeyframes) return;
  const double apart_mm = kApartShare * surface.mean_depth_mm;
  for (const Keyframe& kept : keyframes_) {
    const RigidTransform& other = kept.model_from_sensor;
    if ((other.translation() - model_from_sensor.translation()).norm() < apart_mm &&
        turn_between(other, model_from_sensor) < kApartRad)
      return;
  }
  keyframes_.push_back({.model_from_sensor = model_from_sensor,
                        .thumbnail = thumbnail_of(surface),
                        .mean_depth_mm = surface.mean_depth_mm});
}

std::vector<RigidTransform> Keyframes::nearest(const MeasuredSurface& surface,
                                               std::size_t count) const {
  const DepthThumbnail wanted = thumbnail_of(surface);
  std::vector<std::pair<Likeness, std::size_t>> ranked;
  for (std::size_t i = 0; i < keyframes_.size(); ++i)
    ranked.emplace_back(likeness(keyframes_[i].thumbnail, wanted), i);
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    return a.first.difference < b.first.difference;
  });
  const Intrinsics& in = surface.intrinsics;
  std::vector<RigidTransform> poses;
  for (std::size_t i = 0; i < std::min(count, ranked.size()); ++i) {
    const auto& [like, number] = ranked[i];
    const Keyframe& kept = keyframes_[number];
    // What moved to the right in the picture was left behind by a sensor that went to the left.
    const double cell_x_mm = in.width_px / in.fx_px / kGridX * kept.mean_depth_mm;
    const double cell_y_mm = in.height_px / in.fy_px / kGridY * kept.mean_depth_mm;
    poses.push_back(kept.model_from_sensor *
                    Eigen::Translation3d(-like.shift_x * cell_x_mm, -like.shift_y * cell_y_mm, 0));
  }
  return poses;
}

std::optional<Fit> find_near(const MeasuredSurface& surface, const LiveMesh& mesh,
                             const std::vector<RigidTransform>& likely,
                             const RelocaliseSearch& search, WorkerPool& pool) {
  if (surface.coarse.count == 0) return std::nullopt;
  const double narrow_mm = search.limits.narrow_mm;

  ModelView view;
  const auto look_from = [&](const RigidTransform& pose) {
    view = predict_view(mesh, pose, surface.intrinsics, search.view_step, search.max_depth_mm, pool,
                        std::move(view));
    return view.seen > 0;
  };

  TrackLimits wide = search.limits;
  wide.fine_steps = 0;
  std::vector<Gate> worth = search.gates;
  for (Gate& gate : worth) {
    gate.min_overlap *= kWorthALook;
    gate.min_agreement *= kWorthALook;
    gate.max_rms_mm = narrow_mm;
    gate.min_stiffness = 0;
  }
  std::vector<Fit> found;
  for (const RigidTransform& start : likely) {
    if (!look_from(start)) continue;
    for (const RigidTransform& pose : {start, centred(start, surface, view)}) {
      const Fit tried = fit(surface, view, pose, wide, pool);
      if (passes_one(tried, worth)) found.push_back(tried);
    }
  }
  rank(found, surface.middle_mm, narrow_mm);
  if (found.size() > kVerified) found.resize(kVerified);

  // A fit against a distant view knows only a part of the surface.
  std::vector<Fit> verified;
  for (const Fit& candidate : found) {
    if (!look_from(candidate.model_from_sensor)) continue;
    const Fit checked = fit(surface, view, candidate.model_from_sensor, search.limits, pool);
    if (passes_one(checked, search.gates)) verified.push_back(checked);
  }
  rank(verified, surface.middle_mm, narrow_mm);
  if (verified.empty()) return std::nullopt;
  if (verified.size() > 1 && verified[1].overlap > kClearlyWorse * verified[0].overlap)
    return std::nullopt;
  return verified[0];
}

std::optional<Fit> relocalise(const MeasuredSurface& surface, const LiveMesh& mesh,
                              const Keyframes& keyframes, std::vector<RigidTransform> likely,
                              const RelocaliseSearch& search, WorkerPool& pool) {
  if (surface.coarse.count == 0) return std::nullopt;
  const std::size_t known = std::min(likely.size(), kStarts - 1);
  for (const RigidTransform& pose : keyframes.nearest(surface, kStarts - known))
    likely.push_back(pose);
  return find_near(surface, mesh, likely, search, pool);
}

}  // namespace cusp
