// GyroTurn: how far the sensor turned from frame to frame, by the gyroscope that a device may have.
//
// Angular velocities are integrated by the trapezoidal rule over the device's own clock, each as a
// rotation about a fixed axis. What a gyroscope drifts in the tenths of a second between two frames
// is far below what tracking corrects; its turn is a prediction and nothing else. Sensor frame.
// Threads: one at a time.
#pragma once

#include <Eigen/Geometry>
#include <chrono>
#include <optional>

#include "core/frame.h"

namespace cusp {

class GyroTurn {
 public:
  // Of every frame that the device sends; those without a sample or a time tell nothing.
  void add(const RawFrame& frame);
  // before_from_now since it was last asked, to the last frame. Nothing, where the samples do not
  // reach from there to here.
  std::optional<Eigen::Matrix3d> take();

 private:
  struct Sample {
    std::chrono::nanoseconds time{};
    Eigen::Vector3d rad_s = Eigen::Vector3d::Zero();
  };
  std::optional<Sample> last_;
  bool silent_ = true;  // the last frame told nothing
  bool whole_ = false;  // nothing is missing since take()
  Eigen::Quaterniond turn_ = Eigen::Quaterniond::Identity();
};

}  // namespace cusp
