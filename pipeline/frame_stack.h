// FrameStack: the frames between two that are kept, so that what they measured is kept as well.
//
// Each pixel of the frame that is kept becomes the mean of what it and the frames before it
// measured of the place that it shows, weighted by 1 / sigma^2: they are looked up where the poses
// say that the place was in them, as in depth fusion of neighbouring views (P. Merrell et al.,
// "Real-time visibility-based fusion of depth maps", ICCV 2007, doi:10.1109/ICCV.2007.4408984).
// What differs by more than the noise can is another surface and does not count, nor does what lies
// at a depth jump. Of n frames the noise is less by sqrt(n); what is fixed to the sensor stays, as
// they are few and near each other.
//
// Sensor frames, mm. Threads: one at a time; average() uses the pool, same bits with any number of
// threads.
#pragma once

#include <cstddef>
#include <vector>

#include "core/frame.h"
#include "core/pose.h"
#include "pipeline/noise_model.h"
#include "pipeline/worker_pool.h"

namespace cusp {

class FrameStack {
 public:
  // The last `most` count, of at least one.
  explicit FrameStack(std::size_t most) : most_(most) {}

  // Takes the frame's depth.
  void push(DepthFrame& frame, const RigidTransform& model_from_sensor);
  // Into `frame`, and the stack is empty. The arithmetic: stack_kernel.h.
  void average(DepthFrame& frame, const RigidTransform& model_from_sensor, const NoiseModel& noise,
               WorkerPool& pool);
  void clear() { used_ = 0; }

 private:
  struct Layer {
    RigidTransform model_from_sensor = RigidTransform::Identity();
    std::vector<float> depth_mm, sigma_mm;
  };

  std::size_t most_;
  std::size_t used_ = 0;
  std::vector<Layer> layers_;  // their memory serves again
};

}  // namespace cusp
