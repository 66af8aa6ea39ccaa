// What a walk over many points of a model and many kept frames needs: which frames may see which
// points. Model frame, mm. Threads: const calls from many threads; what takes a pool uses it, same
// result with any number of threads.
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "core/frame.h"
#include "core/pose.h"
#include "core/result.h"
#include "pipeline/region.h"
#include "pipeline/scan_log.h"
#include "pipeline/worker_pool.h"

namespace cusp {

// Where a sensor was, with the precision that pixels need.
struct SensorPlace {
  Eigen::Matrix3f rotation = Eigen::Matrix3f::Identity();  // sensor_from_model
  Eigen::Vector3f shift = Eigen::Vector3f::Zero();

  SensorPlace() = default;
  explicit SensorPlace(const RigidTransform& model_from_sensor);
  Eigen::Vector3f operator*(const Eigen::Vector3f& p) const { return rotation * p + shift; }
};

// Points that follow one another lie close together: a frame is asked of a group or not at all.
class PointGroups {
 public:
  static constexpr std::size_t kSize = 4096;  // points kSize * i and on are group i

  PointGroups(std::span<const Eigen::Vector3f> points_mm, WorkerPool& pool);
  // False: nothing of the group is in the picture between these depths.
  [[nodiscard]] bool may_be_seen(std::size_t group, const SensorPlace& place, const Intrinsics& in,
                                 float near_mm, float far_mm) const;
  // False: no place within `reach_mm` of a point of the group is in the region.
  [[nodiscard]] bool may_touch(std::size_t group, const RegionTest& test, float reach_mm) const;

 private:
  struct Ball {
    Eigen::Vector3f middle_mm = Eigen::Vector3f::Zero();
    float radius_mm = 0;
  };
  std::vector<Ball> balls_;
};

// A kept frame at hand.
struct FrameView {
  std::size_t number = 0;  // of the log's frames
  DepthFrame depth;        // as it was packed: without the log's warp
  SensorPlace place;
  Eigen::Vector3f eye_mm = Eigen::Vector3f::Zero();
};

// Shows every `step`th kept frame to the groups that it may see between these depths: calls
// visit(view, begin, end) for points begin .. end - 1, in the order of the frames for each group,
// many groups at once. Damaged frames are left out. Errors: kCancelled.
struct FrameWalk {
  std::size_t step = 1;
  float near_mm = 0, far_mm = 0;
};
Result<void> show_frames(
    std::span<const Eigen::Vector3f> points_mm, const ScanLog& log, const FrameWalk& walk,
    WorkerPool& pool, const std::stop_token& stop,
    const std::function<void(const FrameView& view, std::size_t begin, std::size_t end)>& visit);

}  // namespace cusp
