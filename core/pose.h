// Pose: where the sensor was when a frame was taken, and whether that may be believed.
#pragma once

#include <Eigen/Geometry>
#include <string_view>

namespace cusp {

// Rigid: p_in_model = model_from_sensor * p_in_sensor, millimetres.
using RigidTransform = Eigen::Isometry3d;

// A share of a motion, or several times it, at an even pace about one axis.
inline RigidTransform scaled(const RigidTransform& motion, double factor) {
  const Eigen::AngleAxisd turn(motion.rotation());
  RigidTransform result = RigidTransform::Identity();
  result.linear() = Eigen::AngleAxisd(turn.angle() * factor, turn.axis()).toRotationMatrix();
  result.translation() = motion.translation() * factor;
  return result;
}

enum class PoseVerdict { kTracked, kRelocalised, kLost };
std::string_view to_string(PoseVerdict verdict);

struct Pose {
  PoseVerdict verdict = PoseVerdict::kLost;
  // Meaningless when lost: never read it then, never fuse with it.
  RigidTransform model_from_sensor = RigidTransform::Identity();
  double residual_mm = 0;  // root mean square point-to-plane distance of the inliers
  double overlap = 0;  // share of the frame's valid sampled pixels that found their surface, 0..1

  [[nodiscard]] bool usable() const { return verdict != PoseVerdict::kLost; }
};

}  // namespace cusp
