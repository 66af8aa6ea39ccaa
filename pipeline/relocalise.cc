#include "pipeline/relocalise.h"

#include <algorithm>
#include <cmath>

namespace cusp {
namespace {

constexpr int kGridX = 32;
constexpr int kGridY = 24;
// Of the picture against a keyframe's, in cells: a quarter of it is still in common. A half of the
// shifts is tried with a quarter of the cells, then those round the best with all.
constexpr int kMostShiftX = 24, kMostShiftY = 18;
constexpr int kCoarseStep = 2;
// And so it may be turned, about the optical axis; what is between is in reach of a wide fit.
constexpr double kTurnsRad[] = {0, -0.35, 0.35};
constexpr std::size_t kMinSamplesACell = 4;
// Keyframes are this far apart: a tenth of the distance to the object, or 10 degrees.
constexpr double kApartShare = 0.1;
constexpr double kApartRad = 0.17;
constexpr std::size_t kMaxKeyframes = 500;
// Starts that are nearer than this end in one place.
constexpr double kSameStartShare = 0.04, kSameStartRad = 0.06;
// What a twentieth of a second allows: a view costs as much as forty wide steps.
constexpr std::size_t kStarts = 10;
constexpr std::size_t kVerified = 3;
// A wide fit that is worth a second look has this share of what the gate asks for.
constexpr double kWorthALook = 0.6;
// A difference of this share of the depth counts as much as a cell that only one of the two has.
constexpr float kUnlikeShare = 0.05F;
// What the frame shows beside the keyframe's picture: neither like it nor unlike.
constexpr float kBeside = 0.5F;
constexpr float kMinCommonShare = 0.2F;  // of the frame's cells
// Two poses that put the middle of the frame so far apart, or turn it by so much, are different.
constexpr double kOtherPlaceNarrows = 3;
constexpr double kOtherTurnRad = 0.05;
// Another pose is clearly worse below this share of the best one's overlap.
constexpr double kClearlyWorse = 0.9;

double turn_between(const RigidTransform& a, const RigidTransform& b) {
  return Eigen::AngleAxisd(a.rotation().transpose() * b.rotation()).angle();
}

bool are_close(const RigidTransform& a, const RigidTransform& b, double limit_mm,
               double limit_rad) {
  return (a.translation() - b.translation()).norm() < limit_mm && turn_between(a, b) < limit_rad;
}

struct Likeness {
  float difference = 1;  // 0: the same picture, 1: nothing in common
  int shift_x = 0, shift_y = 0;
};

// `seen` against `kept`, whose cell (x, y) is cell (x + shift_x, y + shift_y) of `seen`; every
// step-th row and column. `cells`: how many of these `seen` has in all.
float difference(const DepthThumbnail& kept, const DepthThumbnail& seen, int shift_x, int shift_y,
                 int step, int cells) {
  float sum = 0;
  int common = 0, only_kept = 0;
  const auto first = [&](int shift) { return (std::max(0, shift) + step - 1) / step * step; };
  for (int y = first(shift_y); y < std::min(kGridY, kGridY + shift_y); y += step) {
    for (int x = first(shift_x); x < std::min(kGridX, kGridX + shift_x); x += step) {
      const float a = kept[static_cast<std::size_t>((y - shift_y) * kGridX + x - shift_x)];
      const float b = seen[static_cast<std::size_t>(y * kGridX + x)];
      if (a == 0 && b == 0) continue;
      if (b == 0) ++only_kept;
      if (b != 0) ++common;
      sum += a == 0 || b == 0 ? 1.0F
                              : std::min(1.0F, std::abs(a - b) / (kUnlikeShare * std::max(a, b)));
    }
  }
  if (static_cast<float>(common) < kMinCommonShare * static_cast<float>(cells) || common == 0)
    return 1.0F;
  const auto beside = static_cast<float>(cells - common);
  return (sum + kBeside * beside) / static_cast<float>(cells + only_kept);
}

int cells_of(const DepthThumbnail& seen, int step) {
  int cells = 0;
  for (int y = 0; y < kGridY; y += step)
    for (int x = 0; x < kGridX; x += step)
      cells += seen[static_cast<std::size_t>(y * kGridX + x)] != 0 ? 1 : 0;
  return cells;
}

Likeness likeness(const DepthThumbnail& kept, const DepthThumbnail& seen) {
  Likeness best;
  const auto look = [&](int x, int y, int step, int cells) {
    const float found = difference(kept, seen, x, y, step, cells);
    if (found < best.difference) best = {.difference = found, .shift_x = x, .shift_y = y};
  };
  const int few = cells_of(seen, kCoarseStep);
  look(0, 0, kCoarseStep, few);
  for (int y = -kMostShiftY; y <= kMostShiftY; y += kCoarseStep)
    for (int x = -kMostShiftX; x <= kMostShiftX; x += kCoarseStep) look(x, y, kCoarseStep, few);
  const Likeness coarse = best;
  best = {};
  const int all = cells_of(seen, 1);
  for (int y = coarse.shift_y - 1; y <= coarse.shift_y + 1; ++y)
    for (int x = coarse.shift_x - 1; x <= coarse.shift_x + 1; ++x) look(x, y, 1, all);
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

DepthThumbnail thumbnail_of(const MeasuredSurface& surface, double turn_rad) {
  const Intrinsics& in = surface.intrinsics;
  // From a sample's ray to its cell.
  const auto cosine = static_cast<float>(std::cos(turn_rad));
  const auto sine = static_cast<float>(std::sin(turn_rad));
  const auto cells_x = static_cast<float>(in.fx_px * kGridX / in.width_px);
  const auto cells_y = static_cast<float>(in.fy_px * kGridY / in.height_px);
  const auto first_x = static_cast<float>((in.cx_px + 0.5) * kGridX / in.width_px);
  const auto first_y = static_cast<float>((in.cy_px + 0.5) * kGridY / in.height_px);
  const SampleGrid& grid = surface.coarse;
  DepthThumbnail sums(static_cast<std::size_t>(kGridX * kGridY), 0.0F);
  std::vector<std::size_t> counts(sums.size(), 0);
  for (int row = 0; row < grid.height; ++row) {
    const float ray_y = grid.ray_y[static_cast<std::size_t>(row)];
    for (int column = 0; column < grid.width; ++column) {
      const std::size_t i =
          static_cast<std::size_t>(row) * grid.stride + static_cast<std::size_t>(column);
      if (grid.weight[i] == 0) continue;
      const float ray_x = grid.ray_x[static_cast<std::size_t>(column)];
      const float x = (cosine * ray_x - sine * ray_y) * cells_x + first_x;
      const float y = (sine * ray_x + cosine * ray_y) * cells_y + first_y;
      if (!(x >= 0 && y >= 0 && x < kGridX && y < kGridY)) continue;
      const auto cell =
          static_cast<std::size_t>(static_cast<int>(y) * kGridX + static_cast<int>(x));
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
    if (are_close(kept.model_from_sensor, model_from_sensor, apart_mm, kApartRad)) return;
  }
  keyframes_.push_back({.model_from_sensor = model_from_sensor,
                        .thumbnail = thumbnail_of(surface),
                        .mean_depth_mm = surface.mean_depth_mm});
}

std::vector<RigidTransform> Keyframes::nearest(const MeasuredSurface& surface,
                                               std::size_t count) const {
  struct Match {
    Likeness like;
    std::size_t keyframe;
    double turn_rad;
  };
  std::vector<Match> ranked;
  for (const double turn_rad : kTurnsRad) {
    const DepthThumbnail wanted = thumbnail_of(surface, turn_rad);
    for (std::size_t i = 0; i < keyframes_.size(); ++i)
      ranked.push_back({likeness(keyframes_[i].thumbnail, wanted), i, turn_rad});
  }
  std::ranges::stable_sort(ranked, {}, [](const Match& match) { return match.like.difference; });
  const Intrinsics& in = surface.intrinsics;
  std::vector<RigidTransform> poses;
  for (const auto& [like, number, turn_rad] : ranked) {
    if (poses.size() == count || like.difference >= 1) break;
    const Keyframe& kept = keyframes_[number];
    // What moved to the right in the picture was left behind by a sensor that went to the left.
    const double cell_x_mm = in.width_px / in.fx_px / kGridX * kept.mean_depth_mm;
    const double cell_y_mm = in.height_px / in.fy_px / kGridY * kept.mean_depth_mm;
    const RigidTransform pose =
        kept.model_from_sensor *
        Eigen::Translation3d(-like.shift_x * cell_x_mm, -like.shift_y * cell_y_mm, 0) *
        Eigen::AngleAxisd(turn_rad, Eigen::Vector3d::UnitZ());
    // Neighbours say the same.
    if (std::ranges::none_of(poses, [&](const RigidTransform& other) {
          return are_close(other, pose, kSameStartShare * kept.mean_depth_mm, kSameStartRad);
        }))
      poses.push_back(pose);
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
    view = predict_view(mesh, pose, surface.intrinsics, surface.fine.step, search.max_depth_mm,
                        pool, std::move(view));
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
