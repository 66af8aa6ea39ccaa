// fuse(): what a frame does to the field.
#include "pipeline/fuse.h"

#include <gtest/gtest.h>

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "pipeline/mesh.h"
#include "pipeline/noise_model.h"
#include "pipeline/preprocess.h"
#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

constexpr std::size_t kPlenty = std::size_t{1} << 28;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Fuse, TheFieldOfAPlaneIsItsDistance) {
  const Eigen::Vector3d normal = Eigen::Vector3d(0.5, -0.2, -1).normalized();
  const double d = -70;
  const ReconstructionOptions options = testing::small_options();
  const NoiseModel noise(options, testing::small_camera());
  WorkerPool pool(2);
  const MeasuredSurface surface = preprocess(testing::tilted_plane(normal, d), noise, pool);
  RigidTransform pose = RigidTransform::Identity();
  pose.rotate(Eigen::AngleAxisd(0.4, Eigen::Vector3d(1, 2, 3).normalized()));
  pose.pretranslate(Eigen::Vector3d(5, -3, 11));
  Volume volume(0.3, 1.2, kPlenty);
  ASSERT_TRUE(fuse(surface, pose, volume, pool).ok());
  std::size_t checked = 0;
  for (std::size_t b = 0; b < volume.size(); ++b) {
    for (int k = 0; k < kBlockVoxels; ++k) {
      const Voxel voxel = volume.voxel(volume.block(b), static_cast<std::size_t>(k));
      if (voxel.weight == 0) continue;
      const Eigen::Vector3i local(k & 7, (k >> 3) & 7, k >> 6);
      const Eigen::Vector3d p =
          pose.inverse() * ((volume.info(b).index * kBlockSide + local).cast<double>() *
                            static_cast<double>(volume.voxel_mm()));
      ASSERT_NEAR(voxel.distance_mm, normal.dot(p) - d, 0.003);
      ++checked;
    }
  }
  EXPECT_GT(checked, 200000U);
}

TEST(Fuse, WhatWasThereForAMomentGoesAway) {
  const ReconstructionOptions options = testing::small_options();
  const NoiseModel noise(options, testing::small_camera());
  WorkerPool pool(1);
  const Eigen::Vector3d normal(0, 0, -1);
  const MeasuredSurface near = preprocess(testing::tilted_plane(normal, -70), noise, pool);
  const MeasuredSurface far = preprocess(testing::tilted_plane(normal, -80), noise, pool);
  Volume volume(0.3, 1.2, kPlenty);
  ASSERT_TRUE(fuse(near, RigidTransform::Identity(), volume, pool).ok());
  for (int k = 0; k < 60; ++k)
    ASSERT_TRUE(fuse(far, RigidTransform::Identity(), volume, pool).ok());
  for (const Eigen::Vector3f& vertex : extract_mesh(volume, 2, pool).vertices_mm)
    EXPECT_NEAR(vertex.z(), 80, 0.1);
}

// Planes without a frame behind them: every pixel's own.
MeasuredSurface surface_of(const Intrinsics& in, const Eigen::Vector4f& plane, float weight) {
  const auto pixels = static_cast<std::size_t>(in.width_px * in.height_px);
  MeasuredSurface surface;
  surface.intrinsics = in;
  surface.planes.assign(pixels, plane);
  surface.weights.assign(pixels, weight);
  surface.mean_depth_mm = std::abs(plane.w());
  return surface;
}

TEST(FuseKernel, GivesTheSameBitsOnEveryProcessor) {
  std::mt19937 random(7);
  const auto uniform = [&](float low, float high) {
    return low + (high - low) * static_cast<float>(random()) / 4294967296.0F;
  };
  constexpr int kWidth = 64;
  constexpr int kHeight = 48;
  std::vector<Eigen::Vector4f> planes(kWidth * kHeight);
  std::vector<float> weights(planes.size());
  for (std::size_t i = 0; i < planes.size(); ++i) {
    const Eigen::Vector3f normal = Eigen::Vector3f(uniform(-1, 1), uniform(-1, 1), -1).normalized();
    planes[i] << normal, 10 * normal.z() + uniform(-0.3F, 0.3F);
    weights[i] = uniform(0, 4);
    if (i % 11 == 0) planes[i].setZero();
    if (i % 97 == 0) planes[i].setConstant(kNan);
    if (i % 101 == 0) planes[i] << 0, 0, -kInfinity, kInfinity;
    if (i % 89 == 0) weights[i] = kNan;
    if (i % 83 == 0) weights[i] = kInfinity;
  }
  const FuseFrame once{.planes = planes.data()->data(),
                       .weights = weights.data(),
                       .width_px = kWidth,
                       .height_px = kHeight,
                       .fx_px = 60,
                       .fy_px = 61,
                       .cx_px = 32,
                       .cy_px = 24,
                       .truncation_mm = 1.2F,
                       .distance_steps_a_mm = kDistanceSteps / 1.2F,
                       .near_steps = kDistanceSteps / 2,
                       .step_x = {0.25F, 0.1F, 0.1F},
                       .step_y = {-0.1F, 0.25F, 0.1F},
                       .step_z = {-0.1F, -0.1F, 0.25F}};
  FuseFrame twice = once;
  twice.stands_for = 2;
  std::size_t changed = 0;
  Block one;
  Block other;
  for (int k = 0; k < 300; ++k) {
    const FuseFrame& frame = k % 3 == 0 ? twice : once;
    // Near and far, beside the image, behind the camera, nowhere.
    std::array<float, 3> first = {uniform(-6, 6), uniform(-5, 5), uniform(7, 11)};
    if (k % 17 == 0) first[2] = uniform(-2, 2);
    if (k % 31 == 0) first[0] = kNan;
    if (k % 37 == 0) first[1] = kInfinity;
    const FusedBlock a = block_fuser()(frame, first, one.distance.data(), one.weight.data());
    const FusedBlock b =
        baseline_block_fuser()(frame, first, other.distance.data(), other.weight.data());
    ASSERT_EQ(one.distance, other.distance);
    ASSERT_EQ(one.weight, other.weight);
    ASSERT_EQ(a.changed, b.changed);
    ASSERT_EQ(a.seen, b.seen);
    ASSERT_EQ(a.lowest, b.lowest);
    ASSERT_EQ(a.highest, b.highest);
    ASSERT_EQ(a.moved, b.moved);
    ASSERT_EQ(a.least_weight, b.least_weight);
    changed += a.changed ? 1 : 0;
  }
  EXPECT_GT(changed, 100U);
}

TEST(Fuse, AThousandNoisyFramesEndWhereTheyAreOnAverage) {
  constexpr int kFrames = 1000;
  constexpr float kSigma_mm = 0.05F;
  const Intrinsics in{
      .width_px = 32, .height_px = 24, .fx_px = 60, .fy_px = 60, .cx_px = 15.5, .cy_px = 11.5};
  std::mt19937 random(3);
  std::normal_distribution<float> noise(0, kSigma_mm);
  WorkerPool pool(1);
  Volume volume(0.2, 0.8, kPlenty);
  MeasuredSurface surface = surface_of(in, {0, 0, -1, -20.03F}, 1);
  for (int k = 0; k < kFrames; ++k) {
    for (Eigen::Vector4f& plane : surface.planes) plane.w() = -20.03F + noise(random);
    ASSERT_TRUE(fuse(surface, RigidTransform::Identity(), volume, pool).ok());
  }
  double sum = 0;
  double squares = 0;
  const Mesh mesh = extract_mesh(volume, 2, pool);
  ASSERT_GT(mesh.vertices_mm.size(), 500U);
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm) {
    const double error = static_cast<double>(vertex.z()) - 20.03;
    sum += error;
    squares += error * error;
  }
  const auto count = static_cast<double>(mesh.vertices_mm.size());
  // The weight saturates at kMaxVoxelWeight frames: older ones count less than newer ones, as if
  // there were twice as many.
  EXPECT_LT(std::abs(sum / count), kSigma_mm / std::sqrt(kFrames));
  EXPECT_LT(std::sqrt(squares / count), 1.2 * kSigma_mm / std::sqrt(2 * kMaxVoxelWeight));
}

TEST(Fuse, WhatIsFamiliarTakesEverySecondFrameAndWhatIsKnownEveryFourthWhenAskedTo) {
  const Intrinsics in{
      .width_px = 64, .height_px = 48, .fx_px = 60, .fy_px = 60, .cx_px = 31.5, .cy_px = 23.5};
  WorkerPool pool(2);
  const MeasuredSurface surface = surface_of(in, {0, 0, -1, -20.03F}, 1);
  Volume volume(0.2, 0.8, kPlenty);
  const auto changed_by = [&](FuseRhythm rhythm) {
    EXPECT_TRUE(fuse(surface, RigidTransform::Identity(), volume, pool, rhythm).ok());
    std::vector<std::size_t> changed;
    for (std::size_t i = 0; i < volume.size(); ++i)
      if (volume.info(i).changed == volume.frame()) changed.push_back(i);
    return changed;
  };
  const std::size_t all = changed_by(FuseRhythm::kInTurns).size();
  ASSERT_GT(all, 100U);
  for (int k = 1; k < 8; ++k)
    ASSERT_EQ(changed_by(FuseRhythm::kInTurns).size(), all) << "not familiar yet";
  const auto taken_each_in = [&](int frames) {
    std::vector<int> times(volume.size(), 0);
    for (int k = 0; k < frames; ++k)
      for (const std::size_t i : changed_by(FuseRhythm::kInTurns)) ++times[i];
    return times;
  };
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(taken_each_in(8), 4)), all);
  float most = 0;
  for (std::size_t i = 0; i < volume.size(); ++i)
    for (std::size_t k = 0; k < kBlockVoxels; ++k)
      most = std::max(most, volume.voxel(volume.block(i), k).weight);
  EXPECT_EQ(most, 16) << "the weight of all sixteen frames";
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(taken_each_in(4), 1)), all);
  EXPECT_EQ(changed_by(FuseRhythm::kEveryFrame).size(), all);
}

TEST(Fuse, LeavesOutWhatIsNoNumberOrOutOfReach) {
  const Intrinsics in{
      .width_px = 32, .height_px = 24, .fx_px = 60, .fy_px = 60, .cx_px = 15.5, .cy_px = 11.5};
  WorkerPool pool(2);
  Volume volume(0.2, 0.8, kPlenty);
  const std::vector<Eigen::Vector4f> bad = {{kNan, kNan, kNan, kNan}, {0, 0, -1, -kInfinity},
                                            {0, 0, -1, -1e30F},       {0, 0, -1, 20},
                                            {0, 0, 0, -20},           {0, 0, -kInfinity, -20}};
  for (const Eigen::Vector4f& plane : bad) {
    const auto report = fuse(surface_of(in, plane, 1), RigidTransform::Identity(), volume, pool);
    ASSERT_TRUE(report.ok());
    EXPECT_TRUE(report.value().changed.empty());
  }
  for (const float weight : {0.0F, -1.0F, kNan, kInfinity}) {
    const auto report =
        fuse(surface_of(in, {0, 0, -1, -20}, weight), RigidTransform::Identity(), volume, pool);
    ASSERT_TRUE(report.ok());
    EXPECT_TRUE(report.value().changed.empty());
  }
  RigidTransform nowhere = RigidTransform::Identity();
  nowhere.translation().x() = std::numeric_limits<double>::quiet_NaN();
  const auto refused = fuse(surface_of(in, {0, 0, -1, -20}, 1), nowhere, volume, pool);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(extract_mesh(volume, 0, pool).empty());
}

TEST(Fuse, CostsWhatIsInViewHoweverLongTheScan) {
  const Intrinsics in{
      .width_px = 64, .height_px = 48, .fx_px = 60, .fy_px = 60, .cx_px = 31.5, .cy_px = 23.5};
  const MeasuredSurface surface = surface_of(in, {0, 0, -1, -20}, 1);
  WorkerPool pool(1);
  Volume volume(0.2, 0.8, kPlenty);
  std::size_t first = 0;
  std::size_t last = 0;
  for (int k = 0; k < 40; ++k) {
    RigidTransform pose = RigidTransform::Identity();
    pose.translation().x() = 12.0 * k;
    const auto report = fuse(surface, pose, volume, pool);
    ASSERT_TRUE(report.ok());
    last = report.value().in_view;
    if (k == 4) first = last;
  }
  EXPECT_GT(volume.size(), 5 * first);
  EXPECT_LE(static_cast<double>(last), 1.05 * static_cast<double>(first));
}

}  // namespace
}  // namespace cusp
