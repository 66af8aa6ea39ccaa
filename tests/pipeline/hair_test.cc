#include "pipeline/hair.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>
#include <random>

#include "pipeline/packed_frame.h"

namespace cusp {
namespace {

constexpr double kDepthMm = 350;
constexpr double kSkinSigmaMm = 0.25;
constexpr int kFrames = 24;
const Intrinsics kCamera{
    .width_px = 320, .height_px = 240, .fx_px = 600, .fy_px = 600, .cx_px = 159.5, .cy_px = 119.5};
const Calibration kDevice{.depth_unit_mm = 0.1, .baseline_mm = 55, .depth = kCamera};
const ReconstructionOptions kOptions{
    .voxel_mm = 0.5, .min_depth_mm = 250, .max_depth_mm = 600, .hair_at = 2};

// What is at a place of the picture, mm from its middle: how far off a frame measures it, one
// sigma, and how often it measures nothing.
struct Coat {
  double sigma_mm = kSkinSigmaMm;
  double lost = 0;
};
constexpr Coat kSkin{}, kHair{.sigma_mm = 1.0, .lost = 0.2};
using Head = std::function<Coat(double x_mm, double y_mm)>;

// A face as flat as a wall, with hair on both sides.
Coat face_with_hair(double x_mm, double) { return std::abs(x_mm) < 50 ? kSkin : kHair; }

double across_mm(double pixel, double centre_px) {
  return (pixel - centre_px) / kCamera.fx_px * kDepthMm;
}

Mesh wall() {
  constexpr int kStepPx = 2, kMarginPx = 2;
  const int columns = (kCamera.width_px - 2 * kMarginPx) / kStepPx,
            rows = (kCamera.height_px - 2 * kMarginPx) / kStepPx;
  Mesh mesh;
  for (int y = 0; y < rows; ++y)
    for (int x = 0; x < columns; ++x)
      mesh.vertices_mm.push_back(Eigen::Vector3d(across_mm(kMarginPx + kStepPx * x, kCamera.cx_px),
                                                 across_mm(kMarginPx + kStepPx * y, kCamera.cy_px),
                                                 kDepthMm)
                                     .cast<float>());
  for (int y = 0; y + 1 < rows; ++y)
    for (int x = 0; x + 1 < columns; ++x) {
      const auto a = static_cast<std::uint32_t>(y * columns + x);
      const auto below = a + static_cast<std::uint32_t>(columns);
      mesh.triangles.push_back({a, below, a + 1});
      mesh.triangles.push_back({a + 1, below, below + 1});
    }
  return mesh;
}

ScanEntry kept(const DepthFrame& depth) {
  const float step = packing_step(NoiseModel(kOptions, kDevice), kOptions.min_depth_mm);
  return KeptFrame{.packed = std::make_shared<const std::vector<std::uint8_t>>(pack(depth, step))};
}
ScanEntry frame_of(const Head& head, int number, double noise = 1) {
  std::mt19937 random(static_cast<std::uint32_t>(number));
  const auto uniform = [&] { return static_cast<double>(random()) / 4294967296.0; };
  DepthFrame depth{.sequence = 0, .host_time = {}, .intrinsics = kCamera, .depth_mm = {}};
  for (int y = 0; y < kCamera.height_px; ++y)
    for (int x = 0; x < kCamera.width_px; ++x) {
      const Coat coat = head(across_mm(x, kCamera.cx_px), across_mm(y, kCamera.cy_px));
      const double off = noise * coat.sigma_mm * std::numbers::sqrt3 * (2 * uniform() - 1);
      depth.depth_mm.push_back(uniform() < coat.lost ? 0 : static_cast<float>(kDepthMm + off));
    }
  return kept(depth);
}
ScanLog log_of(const Head& head, double noise = 1) {
  ScanLog log;
  for (int k = 0; k < kFrames; ++k) EXPECT_TRUE(log.apply(frame_of(head, k, noise)));
  return log;
}

Mesh after(const ScanLog& log, int threads = 2) {
  WorkerPool pool(threads);
  Mesh mesh = wall();
  const std::size_t before = mesh.triangles.size();
  const auto dropped = drop_hair(mesh, log, kOptions, NoiseModel(kOptions, kDevice), pool, {});
  EXPECT_TRUE(dropped.ok());
  EXPECT_EQ(before - mesh.triangles.size(), dropped.ok() ? *dropped : 0);
  return mesh;
}

// The share that is left of what lies where `where` says.
double left_of(const Mesh& mesh, const std::function<bool(double x_mm, double y_mm)>& where) {
  const auto count = [&](const Mesh& of) {
    return static_cast<double>(std::ranges::count_if(of.triangles, [&](const auto& triangle) {
      const Eigen::Vector3f& p = of.vertices_mm[triangle[0]];
      return where(static_cast<double>(p.x()), static_cast<double>(p.y()));
    }));
  };
  return count(mesh) / count(wall());
}
// The border of a cell belongs to either.
bool is_inner_face(double x, double) { return std::abs(x) < 47; }
bool is_outer_hair(double x, double) { return std::abs(x) > 56; }
bool everywhere(double, double) { return true; }

TEST(Hair, GoesAndTheFaceStays) {
  const Mesh mesh = after(log_of(face_with_hair));
  EXPECT_EQ(left_of(mesh, is_inner_face), 1);
  EXPECT_EQ(left_of(mesh, is_outer_hair), 0);
}

TEST(Hair, OfADeviceThatIsThreeTimesAsNoisyGoesTheSame) {
  const Mesh mesh = after(log_of(face_with_hair, 3));
  EXPECT_EQ(left_of(mesh, is_inner_face), 1);
  EXPECT_LT(left_of(mesh, is_outer_hair), 0.01);
}

TEST(Hair, DarkHairIsToldByWhatIsNotMeasured) {
  const Mesh mesh =
      after(log_of([](double x, double) { return std::abs(x) < 50 ? kSkin : Coat{.lost = 0.6}; }));
  EXPECT_EQ(left_of(mesh, is_inner_face), 1);
  EXPECT_EQ(left_of(mesh, is_outer_hair), 0);
}

TEST(Hair, NothingGoesFromSkinAlone) {
  EXPECT_EQ(left_of(after(log_of([](double, double) { return kSkin; })), everywhere), 1);
}

TEST(Hair, AMouthWithinTheFaceStays) {
  const auto is_mouth = [](double x, double y) {
    return std::abs(x) < 25 && std::abs(y - 20) < 14;
  };
  const Mesh mesh = after(
      log_of([&](double x, double y) { return is_mouth(x, y) ? kHair : face_with_hair(x, y); }));
  EXPECT_EQ(left_of(mesh, is_mouth), 1);
  EXPECT_EQ(left_of(mesh, is_outer_hair), 0);
}

TEST(Hair, ABeardStaysAboveANeckAndGoesWithoutOne) {
  const auto is_beard = [](double, double y) { return y > 10 && y < 45; };
  const auto is_chin = [&](double x, double y) { return is_beard(x, y) && std::abs(x) < 30; };
  const Head with_neck = [&](double x, double y) {
    return is_beard(x, y) ? kHair : y >= 45 && std::abs(x) > 35 ? kHair : face_with_hair(x, y);
  };
  const Mesh mesh = after(log_of(with_neck));
  EXPECT_EQ(left_of(mesh, is_chin), 1);
  EXPECT_EQ(left_of(mesh, is_outer_hair), 0);

  const Head without = [&](double x, double y) { return y > 10 ? kHair : face_with_hair(x, y); };
  EXPECT_LT(left_of(after(log_of(without)), [](double, double y) { return y > 16; }), 0.01);
}

TEST(Hair, ASmallPlaceIsNone) {
  const auto is_ear = [](double x, double y) { return x + y > 140; };  // at the rim
  const Mesh mesh = after(log_of([&](double x, double y) { return is_ear(x, y) ? kHair : kSkin; }));
  EXPECT_EQ(left_of(mesh, everywhere), 1);
}

TEST(Hair, WhereMostIsLooseNothingGoes) {
  const Mesh mesh =
      after(log_of([](double x, double) { return std::abs(x) < 20 ? kSkin : kHair; }));
  EXPECT_EQ(left_of(mesh, everywhere), 1);
}

TEST(Hair, StaysWhereItIsLocked) {
  ScanLog log = log_of(face_with_hair);
  const auto is_right = [](double x, double) { return x > 56; };
  const auto is_left = [](double x, double) { return x < -56; };
  constexpr float kDepth = kDepthMm;
  ASSERT_TRUE(log.apply(
      ScanEntry(Lock{Brush{.path_mm = {{100, -80, kDepth}, {100, 80, kDepth}}, .radius_mm = 55}})));
  EXPECT_EQ(left_of(after(log), is_right), 1);
  EXPECT_EQ(left_of(after(log), is_left), 0);
  ASSERT_TRUE(log.apply(ScanEntry(UnlockAll{})));
  EXPECT_EQ(left_of(after(log), is_right), 0);
}

TEST(Hair, FramesBeforeACutSayNothing) {
  ScanLog log = log_of(face_with_hair);
  ASSERT_TRUE(log.apply(ScanEntry(Cut{Brush{.path_mm = {{0, 0, kDepthMm}}, .radius_mm = 200}})));
  for (int k = 0; k < kFrames; ++k)
    ASSERT_TRUE(log.apply(frame_of([](double, double) { return kSkin; }, k)));
  EXPECT_EQ(left_of(after(log), everywhere), 1);
}

TEST(Hair, FramesDuringALockSayNothingEvenAfterIt) {
  ScanLog log = log_of([](double, double) { return kSkin; });
  ASSERT_TRUE(log.apply(ScanEntry(Lock{Brush{.path_mm = {{0, 0, kDepthMm}}, .radius_mm = 200}})));
  for (int k = 0; k < kFrames; ++k) ASSERT_TRUE(log.apply(frame_of(face_with_hair, k)));
  ASSERT_TRUE(log.apply(ScanEntry(UnlockAll{})));
  EXPECT_EQ(left_of(after(log), everywhere), 1);
}

TEST(Hair, WhatAHandHidesForAWhileIsNoHair) {
  ScanLog log;
  for (int k = 0; k < kFrames; ++k) {
    const ScanEntry plain = frame_of([](double, double) { return kSkin; }, k);
    DepthFrame depth = *unpack(*std::get<KeptFrame>(plain).packed);
    if (k < kFrames / 2)
      for (std::size_t i = 0; i < depth.depth_mm.size(); ++i)
        if (i % 320 < 100) depth.depth_mm[i] = 300;
    ASSERT_TRUE(log.apply(kept(depth)));
  }
  EXPECT_EQ(left_of(after(log), everywhere), 1);
}

TEST(Hair, TheSameWithAnyNumberOfThreads) {
  const ScanLog log = log_of(face_with_hair);
  const Mesh one = after(log, 1), three = after(log, 3);
  EXPECT_EQ(one.triangles, three.triangles);
  EXPECT_EQ(one.vertices_mm, three.vertices_mm);
}

TEST(Hair, LivesWithNothingWithDamageAndWithBeingStopped) {
  WorkerPool pool(2);
  const NoiseModel noise(kOptions, kDevice);
  Mesh nothing;
  EXPECT_EQ(*drop_hair(nothing, log_of(face_with_hair), kOptions, noise, pool, {}), 0U);
  EXPECT_EQ(left_of(after(ScanLog()), everywhere), 1);
  ScanLog damaged;
  ASSERT_TRUE(damaged.apply(ScanEntry(KeptFrame{
      .packed = std::make_shared<const std::vector<std::uint8_t>>(std::vector<std::uint8_t>{7})})));
  EXPECT_EQ(left_of(after(damaged), everywhere), 1);
  std::stop_source stop;
  stop.request_stop();
  Mesh mesh = wall();
  const auto stopped =
      drop_hair(mesh, log_of(face_with_hair), kOptions, noise, pool, stop.get_token());
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(left_of(mesh, everywhere), 1);
}

}  // namespace
}  // namespace cusp
