#include "pipeline/gyro.h"

#include <gtest/gtest.h>

#include <limits>

namespace cusp {
namespace {

using std::chrono::milliseconds;

RawFrame frame(milliseconds time, const Eigen::Vector3f& rad_s) {
  RawFrame made;
  made.device_time = time;
  made.imu = ImuSample{.angular_velocity_rad_s = {rad_s.x(), rad_s.y(), rad_s.z()}};
  return made;
}
double angle_between(const Eigen::Matrix3d& a, const Eigen::Matrix3d& b) {
  return Eigen::AngleAxisd(a.transpose() * b).angle();
}

TEST(GyroTurn, IsTheWholeTurnSinceItWasLastAsked) {
  GyroTurn gyro;
  EXPECT_FALSE(gyro.take());
  const Eigen::Vector3f rate(0.3F, -1, 2);
  for (int k = 0; k <= 3; ++k) gyro.add(frame(milliseconds(8 * k), rate));
  EXPECT_FALSE(gyro.take()) << "nobody knows what was before the first";
  for (int k = 4; k <= 9; ++k) gyro.add(frame(milliseconds(8 * k), rate));
  const auto turn = gyro.take();
  ASSERT_TRUE(turn);
  const Eigen::Vector3d whole = 6 * 0.008 * rate.cast<double>();
  const Eigen::Matrix3d wanted =
      Eigen::AngleAxisd(whole.norm(), whole.normalized()).toRotationMatrix();
  EXPECT_LT(angle_between(*turn, wanted), 1e-7);
  EXPECT_TRUE(gyro.take()->isIdentity()) << "no time has passed";
}

TEST(GyroTurn, TurnsAboutTheSensorsOwnAxes) {
  GyroTurn gyro;
  gyro.add(frame(milliseconds(0), {20, 0, 0}));
  gyro.take();
  gyro.add(frame(milliseconds(50), {20, 0, 0}));  // 1 rad about x
  gyro.add(frame(milliseconds(51), {0, 20, 0}));
  gyro.add(frame(milliseconds(101), {0, 20, 0}));  // then 1 rad about the new y
  const Eigen::Matrix3d wanted = (Eigen::AngleAxisd(1, Eigen::Vector3d::UnitX()) *
                                  Eigen::AngleAxisd(1, Eigen::Vector3d::UnitY()))
                                     .toRotationMatrix();
  EXPECT_LT(angle_between(*gyro.take(), wanted), 0.03);
}

TEST(GyroTurn, SaysNothingAcrossAGapOrOfNonsense) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const auto after = [](const RawFrame& second) {
    GyroTurn gyro;
    gyro.add(frame(milliseconds(1000), {1, 0, 0}));
    gyro.take();
    gyro.add(second);
    return gyro.take();
  };
  EXPECT_TRUE(after(frame(milliseconds(1033), {1, 0, 0})));
  EXPECT_FALSE(after(frame(milliseconds(1500), {1, 0, 0})));
  EXPECT_FALSE(after(frame(milliseconds(1000), {1, 0, 0})));
  EXPECT_FALSE(after(frame(milliseconds(10), {1, 0, 0}))) << "its clock began anew";
  EXPECT_FALSE(after(frame(milliseconds(1033), {1e30F, 0, 0})));
  EXPECT_FALSE(after(frame(milliseconds(1033), {kNan, 0, 0})));
}

RawFrame silent(milliseconds time) {
  RawFrame made;
  made.device_time = time;
  return made;
}

TEST(GyroTurn, BridgesASilentFrameButIsNotAskedAtOne) {
  GyroTurn gyro;
  gyro.add(frame(milliseconds(0), {0, 0, 1}));
  gyro.take();
  gyro.add(silent(milliseconds(10)));
  gyro.add(frame(milliseconds(20), {0, 0, 1}));
  const auto bridged = gyro.take();
  ASSERT_TRUE(bridged);
  EXPECT_NEAR(Eigen::AngleAxisd(*bridged).angle(), 0.02, 1e-7);
  gyro.add(frame(milliseconds(30), {0, 0, 1}));
  gyro.add(silent(milliseconds(40)));
  EXPECT_FALSE(gyro.take()) << "of the last ten milliseconds nothing is known yet";
  gyro.add(frame(milliseconds(50), {0, 0, 1}));
  EXPECT_FALSE(gyro.take()) << "twenty would be told, of which ten are past";
  gyro.add(frame(milliseconds(60), {0, 0, 1}));
  EXPECT_NEAR(Eigen::AngleAxisd(*gyro.take()).angle(), 0.01, 1e-7);
  for (int k = 7; k < 20; ++k) {
    gyro.add(silent(milliseconds(10 * k)));
    EXPECT_FALSE(gyro.take()) << "it broke";
  }
}

}  // namespace
}  // namespace cusp
