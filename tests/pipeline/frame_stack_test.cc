#include "pipeline/frame_stack.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "pipeline/stack_kernel.h"

namespace cusp {
namespace {

constexpr int kWidth = 160, kHeight = 120;
constexpr float kSigmaMm = 0.02F;

// Depth along a ray from `origin` in the model's frame, or 0.
using Scene = std::function<double(const Eigen::Vector3d& origin, const Eigen::Vector3d& ray)>;

// z = 15 + x / 4, the sensor looks along z.
double slope(const Eigen::Vector3d& origin, const Eigen::Vector3d& ray) {
  return (15 + origin.x() / 4 - origin.z()) / (ray.z() - ray.x() / 4);
}
// A step of 2 mm at x = 0.
double step(const Eigen::Vector3d& origin, const Eigen::Vector3d& ray) {
  const double near = (14 - origin.z()) / ray.z();
  return origin.x() + near * ray.x() < 0 ? near : (16 - origin.z()) / ray.z();
}

class FrameStackTest : public testing::Test {
 protected:
  DepthFrame picture(const Scene& scene, const RigidTransform& model_from_sensor, float noise_mm) {
    DepthFrame frame{.intrinsics = intrinsics_};
    std::normal_distribution<float> noise(0, noise_mm);
    for (int y = 0; y < kHeight; ++y)
      for (int x = 0; x < kWidth; ++x) {
        const Eigen::Vector3d ray((x - intrinsics_.cx_px) / intrinsics_.fx_px,
                                  (y - intrinsics_.cy_px) / intrinsics_.fy_px, 1);
        const double z = scene(model_from_sensor.translation(), model_from_sensor.linear() * ray);
        frame.depth_mm.push_back(static_cast<float>(z) + (noise_mm > 0 ? noise(random_) : 0));
      }
    frame.sigma_mm.assign(frame.depth_mm.size(), kSigmaMm);
    return frame;
  }
  // Where the hand is after k frames.
  static RigidTransform hand(int k) {
    RigidTransform pose = RigidTransform::Identity();
    pose.translate(Eigen::Vector3d(0.21 * k, -0.1 * k, 0.05 * k));
    pose.rotate(Eigen::AngleAxisd(0.01 * k, Eigen::Vector3d(1, 2, 1).normalized()));
    return pose;
  }
  static double rms(const DepthFrame& frame, const DepthFrame& truth) {
    double sum = 0;
    for (std::size_t i = 0; i < frame.depth_mm.size(); ++i)
      sum += std::pow(frame.depth_mm[i] - truth.depth_mm[i], 2);
    return std::sqrt(sum / static_cast<double>(frame.depth_mm.size()));
  }
  void push(FrameStack& stack, const Scene& scene, int k, float noise_mm = kSigmaMm) {
    DepthFrame frame = picture(scene, hand(k), noise_mm);
    stack.push(frame, hand(k));
  }

  const Intrinsics intrinsics_{kWidth, kHeight, 150, 152, 79.5, 59.5};
  const NoiseModel noise_{
      ReconstructionOptions{.voxel_mm = 0.05, .min_depth_mm = 10, .max_depth_mm = 20},
      Calibration{}};
  std::minstd_rand random_{7};
  WorkerPool pool_{2};
};

TEST_F(FrameStackTest, ThreeFramesHaveTheNoiseOfTheirMean) {
  FrameStack stack(2);
  push(stack, slope, 0);
  push(stack, slope, 1);
  const DepthFrame truth = picture(slope, hand(2), 0);
  DepthFrame frame = picture(slope, hand(2), kSigmaMm);
  const double before = rms(frame, truth);
  stack.average(frame, hand(2), noise_, pool_);
  // What is looked up between pixels has less noise than a pixel.
  EXPECT_LT(rms(frame, truth), before / std::sqrt(3.0));
  EXPECT_GT(rms(frame, truth), before / 3);
  const float sigma = frame.sigma_mm[kWidth * kHeight / 2 + kWidth / 2];
  EXPECT_NEAR(sigma, kSigmaMm / std::sqrt(3.0F), 1e-5);
  // And no bias.
  double sum = 0;
  for (std::size_t i = 0; i < truth.depth_mm.size(); ++i)
    sum += frame.depth_mm[i] - truth.depth_mm[i];
  EXPECT_NEAR(sum / static_cast<double>(truth.depth_mm.size()), 0, 4e-4);
}

TEST_F(FrameStackTest, DevicesThatTellNoSigmaHaveTheModels) {
  FrameStack stack(2);
  DepthFrame earlier = picture(slope, hand(0), 0), frame = picture(slope, hand(1), 0);
  earlier.sigma_mm.clear();
  frame.sigma_mm.clear();
  stack.push(earlier, hand(0));
  stack.average(frame, hand(1), noise_, pool_);
  const std::size_t middle = kWidth * kHeight / 2 + kWidth / 2;
  ASSERT_EQ(frame.sigma_mm.size(), frame.depth_mm.size());
  EXPECT_NEAR(frame.sigma_mm[middle], noise_.sigma_mm(frame.depth_mm[middle]) / std::sqrt(2.0F),
              1e-4);
}

TEST_F(FrameStackTest, WhatMovedInBetweenIsNotMixedIn) {
  FrameStack stack(2);
  const auto cheek = [](const Eigen::Vector3d& origin, const Eigen::Vector3d& ray) {
    const double z = slope(origin, ray);
    return ray.y() > 0 ? z - 1 : z;
  };
  push(stack, cheek, 0);
  const DepthFrame truth = picture(slope, hand(1), 0);
  DepthFrame frame = truth;
  stack.average(frame, hand(1), noise_, pool_);
  for (std::size_t i = 0; i < truth.depth_mm.size(); ++i)
    ASSERT_NEAR(frame.depth_mm[i], truth.depth_mm[i], 5 * kSigmaMm);
}

TEST_F(FrameStackTest, NothingIsLookedUpAcrossAJump) {
  FrameStack stack(2);
  push(stack, step, 0, 0);
  push(stack, step, 1, 0);
  const DepthFrame truth = picture(step, hand(2), 0);
  DepthFrame frame = truth;
  stack.average(frame, hand(2), noise_, pool_);
  EXPECT_LT(rms(frame, truth), 1e-4);
}

TEST_F(FrameStackTest, OnlyTheLastCountAndEachOnce) {
  FrameStack stack(1);
  push(
      stack, [](const auto&, const auto&) { return 15.0; }, 0, 0);  // moves with the hand
  push(stack, slope, 1, 0);
  const DepthFrame truth = picture(slope, hand(2), 0);
  DepthFrame frame = truth;
  stack.average(frame, hand(2), noise_, pool_);
  EXPECT_LT(rms(frame, truth), 2e-4);
  DepthFrame again = truth;
  stack.average(again, hand(2), noise_, pool_);
  EXPECT_EQ(again.depth_mm, truth.depth_mm);
  EXPECT_EQ(again.sigma_mm, truth.sigma_mm);
}

TEST_F(FrameStackTest, WhatIsNotMeasuredStaysSoAndSpoilsNothing) {
  FrameStack stack(2);
  DepthFrame earlier = picture(slope, hand(0), 0);
  for (std::size_t i = 0; i < earlier.depth_mm.size(); i += 7)
    earlier.depth_mm[i] = i % 2 == 0 ? 0 : std::nanf("");
  for (std::size_t i = 3; i < earlier.sigma_mm.size(); i += 11)
    earlier.sigma_mm[i] = i % 2 == 0 ? 0 : std::nanf("");
  stack.push(earlier, hand(0));
  DepthFrame other_size{.intrinsics = {8, 8, 10, 10, 4, 4},
                        .depth_mm = std::vector<float>(64, 15.0F)};
  stack.push(other_size, hand(0));
  const DepthFrame truth = picture(slope, hand(1), 0);
  DepthFrame frame = truth;
  frame.depth_mm[kWidth * 50 + 80] = 0;
  stack.average(frame, hand(1), noise_, pool_);
  EXPECT_EQ(frame.depth_mm[kWidth * 50 + 80], 0);
  frame.depth_mm[kWidth * 50 + 80] = truth.depth_mm[kWidth * 50 + 80];
  EXPECT_LT(rms(frame, truth), 2e-4);
}

TEST_F(FrameStackTest, SameBitsWithAnyNumberOfThreads) {
  FrameStack one(2), two(2);
  for (int k = 0; k < 2; ++k) {
    DepthFrame frame = picture(slope, hand(k), kSigmaMm);
    DepthFrame same = frame;
    one.push(frame, hand(k));
    two.push(same, hand(k));
  }
  DepthFrame with_one = picture(slope, hand(2), kSigmaMm);
  DepthFrame with_two = with_one;
  WorkerPool alone(1);
  one.average(with_one, hand(2), noise_, alone);
  two.average(with_two, hand(2), noise_, pool_);
  EXPECT_EQ(with_one.depth_mm, with_two.depth_mm);
  EXPECT_EQ(with_one.sigma_mm, with_two.sigma_mm);
}

TEST_F(FrameStackTest, EveryProcessorAveragesToTheSameBits) {
  constexpr int kOddWidth = 157;  // no whole number of eights
  const Intrinsics in{kOddWidth, 20, 150, 152, 78, 9.5};
  DepthFrame earlier = picture(step, hand(0), kSigmaMm);
  DepthFrame now = picture(step, hand(1), kSigmaMm);
  now.depth_mm[5] = std::nanf("");
  now.sigma_mm[9] = 0;
  earlier.depth_mm[400] = std::nanf("");
  earlier.sigma_mm[500] = 0;
  for (const bool has_sigma : {true, false}) {
    const StackGeometry geometry{.width = in.width_px,
                                 .height = in.height_px,
                                 .fx_px = 150,
                                 .fy_px = 152,
                                 .cx_px = 78,
                                 .cy_px = 9.5F,
                                 .matching_variance = 1e-8F,
                                 .quantisation_variance = 1e-6F,
                                 .has_sigma = has_sigma};
    const StackLayer layer{.turn = {1, 0, 0, 0, 0.9999F, -0.01F, 0, 0.01F, 0.9999F},
                           .shift_mm = {0.2F, -0.1F, 0},
                           .depth_mm = earlier.depth_mm.data(),
                           .sigma_mm = has_sigma ? earlier.sigma_mm.data() : nullptr};
    DepthFrame fast = now, plain = now;
    for (int y = 0; y < in.height_px; ++y) {
      const auto at = static_cast<std::size_t>(y * kOddWidth);
      stack_row()(geometry, {&layer, 1}, y, &fast.depth_mm[at], &fast.sigma_mm[at]);
      baseline_stack_row()(geometry, {&layer, 1}, y, &plain.depth_mm[at], &plain.sigma_mm[at]);
    }
    EXPECT_EQ(std::memcmp(fast.depth_mm.data(), plain.depth_mm.data(), 4 * now.depth_mm.size()), 0);
    EXPECT_EQ(std::memcmp(fast.sigma_mm.data(), plain.sigma_mm.data(), 4 * now.sigma_mm.size()), 0);
    EXPECT_NE(std::memcmp(fast.depth_mm.data(), now.depth_mm.data(), 4 * now.depth_mm.size()), 0);
  }
}

}  // namespace
}  // namespace cusp
