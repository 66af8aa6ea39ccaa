#include "pipeline/relocalise.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace cusp {
namespace {

constexpr int kGridX = 32;
constexpr int kGridY = 24;
constexpr std::size_t kMinSamplesACell = 4;
// Keyframes are this far apart: a tenth of the distance to the object, or 10 degrees.
constexpr double kApartShare = 0.1;
constexpr double kApartRad = 0.17;
constexpr std::size_t kMaxKeyframes = 500;
constexpr std::size_t kStarts = 4;
// A difference of this share of the depth counts as much as a cell that only one of the two has.
constexpr float kUnlikeShare = 0.05F;

double turn_between(const RigidTransform& a, const RigidTransform& b) {
  return Eigen::AngleAxisd(a.rotation().transpose() * b.rotation()).angle();
}

// 0: the same picture, 1: nothing in common.
float difference(const DepthThumbnail& a, const DepthThumbnail& b) {
  float sum = 0;
  std::size_t cells = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == 0 && b[i] == 0) continue;
    ++cells;
    sum += a[i] == 0 || b[i] == 0
               ? 1.0F
               : std::min(1.0F, std::abs(a[i] - b[i]) / (kUnlikeShare * std::max(a[i], b[i])));
  }
  return cells == 0 ? 1.0F : sum / static_cast<float>(cells);
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

}  // namespace

DepthThumbnail thumbnail_of(const MeasuredSurface& surface) {
  const Intrinsics& in = surface.intrinsics;
  DepthThumbnail sums(static_cast<std::size_t>(kGridX * kGridY), 0.0F);
  std::vector<std::size_t> counts(sums.size(), 0);
  for (std::size_t i = 0; i < surface.coarse.weight.size(); ++i) {
    if (surface.coarse.weight[i] == 0) continue;
    const Eigen::Vector3f p = surface.coarse.point_mm(i);
    const double u = p.x() / p.z() * in.fx_px + in.cx_px;
    const double v = p.y() / p.z() * in.fy_px + in.cy_px;
    const int x = std::clamp(static_cast<int>(u * kGridX / in.width_px), 0, kGridX - 1);
    const int y = std::clamp(static_cast<int>(v * kGridY / in.height_px), 0, kGridY - 1);
    const auto cell = static_cast<std::size_t>(y * kGridX + x);
    sums[cell] += p.z();
    ++counts[cell];
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
  keyframes_.push_back(
      {.model_from_sensor = model_from_sensor, .thumbnail = thumbnail_of(surface)});
}

std::vector<RigidTransform> Keyframes::nearest(const MeasuredSurface& surface,
                                               std::size_t count) const {
  const DepthThumbnail wanted = thumbnail_of(surface);
  std::vector<std::pair<float, std::size_t>> ranked;
  for (std::size_t i = 0; i < keyframes_.size(); ++i)
    ranked.emplace_back(difference(keyframes_[i].thumbnail, wanted), i);
  std::sort(ranked.begin(), ranked.end());
  std::vector<RigidTransform> poses;
  for (std::size_t i = 0; i < std::min(count, ranked.size()); ++i)
    poses.push_back(keyframes_[ranked[i].second].model_from_sensor);
  return poses;
}

std::optional<Fit> relocalise(const MeasuredSurface& surface, const LiveMesh& mesh,
                              const Keyframes& keyframes, const RigidTransform& last_good,
                              const RelocaliseSearch& search, WorkerPool& pool) {
  if (surface.coarse.count == 0) return std::nullopt;
  std::vector<RigidTransform> starts = keyframes.nearest(surface, kStarts - 1);
  starts.insert(starts.begin(), last_good);

  std::optional<Fit> best;
  const auto consider = [&](const RigidTransform& start, const ModelView& view) {
    const Fit found = fit(surface, view, start, search.limits, pool);
    if (!passes(found, search.gate)) return;
    if (!best || found.overlap > best->overlap) best = found;
  };
  for (const RigidTransform& start : starts) {
    const ModelView view = predict_view(mesh, start, surface.intrinsics, search.view_step,
                                        search.max_depth_mm, pool);
    if (view.seen == 0) continue;
    consider(start, view);
    consider(centred(start, surface, view), view);
  }
  if (!best) return std::nullopt;

  // Once more, against what is seen from the pose found: a fit against a distant view knows only a
  // part of the surface.
  const ModelView view = predict_view(mesh, best->model_from_sensor, surface.intrinsics,
                                      search.view_step, search.max_depth_mm, pool);
  const Fit checked = fit(surface, view, best->model_from_sensor, search.limits, pool);
  return passes(checked, search.gate) ? std::optional(checked) : std::nullopt;
}

}  // namespace cusp
