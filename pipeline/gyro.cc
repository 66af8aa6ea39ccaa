#include "pipeline/gyro.h"

#include <utility>

namespace cusp {
namespace {

// Samples farther apart say nothing about what was between them.
constexpr double kMaxApart_s = 0.15;
// Faster than gyroscopes measure, or hands turn: 2000 degrees/s.
constexpr double kMostRad_s = 35;

}  // namespace

void GyroTurn::add(const RawFrame& frame) {
  silent_ = !frame.imu || !frame.device_time;
  if (silent_) return;
  const auto& rate = frame.imu->angular_velocity_rad_s;
  const Sample now{.time = *frame.device_time,
                   .rad_s = Eigen::Vector3f(rate[0], rate[1], rate[2]).cast<double>()};
  const auto before = std::exchange(last_, now);
  if (!before) return;
  using Seconds = std::chrono::duration<double>;  // of any times, however far apart
  const double seconds = (Seconds(now.time) - Seconds(before->time)).count();
  const Eigen::Vector3d mean = (before->rad_s + now.rad_s) / 2;
  whole_ &= seconds > 0 && seconds <= kMaxApart_s && mean.norm() <= kMostRad_s;
  if (!whole_ || mean.isZero()) return;
  turn_ = turn_ * Eigen::AngleAxisd(mean.norm() * seconds, mean.normalized());
}

std::optional<Eigen::Matrix3d> GyroTurn::take() {
  const Eigen::Quaterniond turn = std::exchange(turn_, Eigen::Quaterniond::Identity());
  // What the next sample would tell began before now.
  if (silent_) last_.reset();
  const bool known = std::exchange(whole_, last_.has_value()) && last_;
  if (!known) return std::nullopt;
  return turn.normalized().toRotationMatrix();
}

}  // namespace cusp
