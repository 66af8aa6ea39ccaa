#include "pipeline/point_groups.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "pipeline/packed_frame.h"

namespace cusp {
namespace {

constexpr std::size_t kAtOnce = 8;  // frames at hand

}  // namespace

SensorPlace::SensorPlace(const RigidTransform& model_from_sensor) {
  const RigidTransform sensor_from_model = model_from_sensor.inverse();
  rotation = sensor_from_model.linear().cast<float>();
  shift = sensor_from_model.translation().cast<float>();
}

PointGroups::PointGroups(std::span<const Eigen::Vector3f> points_mm, WorkerPool& pool)
    : balls_((points_mm.size() + kSize - 1) / kSize) {
  pool.for_chunks(points_mm.size(), kSize, [&](std::size_t begin, std::size_t end) {
    Eigen::AlignedBox3f box;
    for (std::size_t i = begin; i < end; ++i) box.extend(points_mm[i]);
    balls_[begin / kSize] = {box.center(), box.diagonal().norm() / 2};
  });
}

bool PointGroups::may_be_seen(std::size_t group, const SensorPlace& place, const Intrinsics& in,
                              float near_mm, float far_mm) const {
  const Ball& ball = balls_[group];
  const Eigen::Vector3f p = place * ball.middle_mm;
  if (p.z() + ball.radius_mm < near_mm || p.z() - ball.radius_mm > far_mm) return false;
  // Beyond a side of the image: farther than the radius from the plane through it and the eye.
  const auto beyond = [&](float across, double focal_px, double edge_px) {
    const auto tangent = static_cast<float>(edge_px / focal_px);
    return across - tangent * p.z() > ball.radius_mm * std::sqrt(1 + tangent * tangent);
  };
  // The image goes half a pixel beyond the centres of its outer pixels.
  return !beyond(p.x(), in.fx_px, in.width_px - 0.5 - in.cx_px) &&
         !beyond(-p.x(), in.fx_px, in.cx_px + 0.5) &&
         !beyond(p.y(), in.fy_px, in.height_px - 0.5 - in.cy_px) &&
         !beyond(-p.y(), in.fy_px, in.cy_px + 0.5);
}

bool PointGroups::may_touch(std::size_t group, const RegionTest& test, float reach_mm) const {
  return test.may_touch(balls_[group].middle_mm, balls_[group].radius_mm + reach_mm);
}

Result<void> show_frames(
    std::span<const Eigen::Vector3f> points_mm, const ScanLog& log, const FrameWalk& walk,
    WorkerPool& pool, const std::stop_token& stop,
    const std::function<void(const FrameView& view, std::size_t begin, std::size_t end)>& visit) {
  std::vector<std::pair<std::size_t, const KeptFrame*>> frames;
  std::size_t number = 0;
  for (const ScanEntry& entry : log.entries())
    if (const auto* frame = std::get_if<KeptFrame>(&entry)) {
      if (number % walk.step == 0) frames.emplace_back(number, frame);
      ++number;
    }
  const PointGroups groups(points_mm, pool);
  std::vector<FrameView> views(kAtOnce);
  for (std::size_t next = 0; next < frames.size(); next += kAtOnce) {
    if (stop.stop_requested())
      return error(ErrorCode::kCancelled, "model: its making was cancelled");
    const std::size_t count = std::min(kAtOnce, frames.size() - next);
    pool.for_chunks(count, 1, [&](std::size_t i, std::size_t) {
      const auto& [which, frame] = frames[next + i];
      auto depth = unpack(*frame->packed);
      views[i] = {.number = which,
                  .depth = depth.ok() ? std::move(*depth) : DepthFrame{},
                  .place = SensorPlace(frame->model_from_sensor),
                  .eye_mm = frame->model_from_sensor.translation().cast<float>()};
    });
    pool.for_chunks(points_mm.size(), PointGroups::kSize, [&](std::size_t begin, std::size_t end) {
      for (std::size_t k = 0; k < count; ++k)
        if (!views[k].depth.depth_mm.empty() &&
            groups.may_be_seen(begin / PointGroups::kSize, views[k].place,
                               views[k].depth.intrinsics, walk.near_mm, walk.far_mm))
          visit(views[k], begin, end);
    });
  }
  return {};
}

}  // namespace cusp
