#include "pipeline/expected_error.h"

#include <gtest/gtest.h>

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <vector>

namespace cusp {
namespace {

constexpr float kDepthMm = 50;
constexpr Intrinsics kImage{
    .width_px = 160, .height_px = 120, .fx_px = 150, .fy_px = 150, .cx_px = 79.5, .cy_px = 59.5};

// Keyframes of the plane z = 0, seen from +z, of which each measures it a little off.
class Scan {
 public:
  // From that many degrees beside the normal, turned about it: another pass.
  void add_pass(double beside_deg, double turn_deg, int frames, double pass_sigma_mm,
                double noise_sigma_mm) {
    constexpr double kRadians = std::numbers::pi / 180;
    RigidTransform pose = RigidTransform::Identity();
    pose.linear() = (Eigen::AngleAxisd(turn_deg * kRadians, Eigen::Vector3d::UnitZ()) *
                     Eigen::AngleAxisd(beside_deg * kRadians, Eigen::Vector3d::UnitX()))
                        .toRotationMatrix() *
                    Eigen::DiagonalMatrix<double, 3>(1, -1, -1);
    pose.translation() = -kDepthMm * pose.linear().col(2);
    const double shared = pass_sigma_mm * normal_(random_);
    for (int i = 0; i < frames; ++i) add_frame(pose, shared, noise_sigma_mm);
  }

  [[nodiscard]] ErrorMap expected(int threads = 2) const {
    WorkerPool pool(threads);
    return expected_error({.frames = frames_,
                           .model_from_sensor = poses_,
                           .layout = layout_,
                           .warp = warp_,
                           .gate_mm = 0.5},
                          pool);
  }

 private:
  void add_frame(const RigidTransform& pose, double shared_mm, double noise_sigma_mm) {
    KeyframeCells frame{.cells = {}, .middle_mm = kDepthMm};
    const Eigen::Vector3d normal = pose.linear().transpose().col(2);
    for (int y = 0; y < layout_.height; ++y)
      for (int x = 0; x < layout_.width; ++x) {
        const Eigen::Vector3d ray((x - static_cast<double>(layout_.cx)) / layout_.fx,
                                  (y - static_cast<double>(layout_.cy)) / layout_.fy, 1);
        const double height = shared_mm + noise_sigma_mm * normal_(random_);
        Cell cell;
        cell.z_mm =
            static_cast<float>((height - pose.translation().z()) / (pose.linear() * ray).z());
        for (int i = 0; i < 3; ++i)
          cell.normal[static_cast<std::size_t>(i)] =
              static_cast<std::int16_t>(std::lround(normal[i] * static_cast<double>(kNormalUnit)));
        cell.weight = static_cast<std::uint16_t>(kWeightUnit);
        frame.cells.push_back(cell);
      }
    frames_.push_back(std::move(frame));
    poses_.push_back(pose);
  }

  CellLayout layout_ = cell_layout(kImage);
  DepthWarp warp_;
  std::vector<KeyframeCells> frames_;
  std::vector<RigidTransform> poses_;
  std::mt19937 random_{7};
  std::normal_distribution<double> normal_;
};

// One vertex at the place, looking up or down.
Mesh vertex(float x_mm, float y_mm, float z_mm = 0, float looks = 1) {
  return {.vertices_mm = {{x_mm, y_mm, z_mm}}, .normals = {{0, 0, looks}}, .triangles = {}};
}

double at(const ErrorMap& map, const Mesh& mesh) {
  WorkerPool pool(1);
  return static_cast<double>(map.of(mesh, pool).at(0));
}

TEST(ExpectedError, NoiseOfItsOwnFallsWithTheFrames) {
  for (const int frames : {4, 36}) {
    Scan scan;
    for (int turn = 0; turn < 4; ++turn) scan.add_pass(25, 90 * turn, frames, 0, 0.02);
    EXPECT_NEAR(at(scan.expected(), vertex(0, 0)), 0.02 / std::sqrt(4 * frames),
                0.2 * 0.02 / std::sqrt(4 * frames));
  }
}

TEST(ExpectedError, WhatAPassSharesFallsWithThePassesAlone) {
  Scan scan;
  constexpr int kPasses = 24;
  for (int turn = 0; turn < kPasses; ++turn)
    scan.add_pass(turn % 2 == 0 ? 15 : 35, 163 * turn, 20, 0.03, 0.01);
  const double expected = 0.03 / std::sqrt(kPasses);
  EXPECT_NEAR(at(scan.expected(), vertex(0, 0)), expected, 0.3 * expected);
}

TEST(ExpectedError, OnePassAloneIsJudgedByHowPassesDifferElsewhere) {
  Scan scan;
  // The outermost of the second pass' picture is seen by it alone.
  for (int turn = 0; turn < 4; ++turn) scan.add_pass(22, 90 * turn, 10, 0.03, 0.005);
  scan.add_pass(60, 45, 10, 0.03, 0.005);
  const ErrorMap map = scan.expected();
  const double in_the_middle = at(map, vertex(0, 0));
  double worst = 0;
  for (float mm = 10; mm < 60; mm += 0.5F)
    for (const float sign : {-1.0F, 1.0F})
      worst = std::max(worst, at(map, vertex(sign * mm * 0.7F, sign * mm * 0.7F)));
  EXPECT_GT(worst, 1.5 * in_the_middle);
}

TEST(ExpectedError, WhereNothingWasSeenTheWorstIsExpected) {
  Scan scan;
  for (int turn = 0; turn < 4; ++turn) scan.add_pass(25, 90 * turn, 8, 0.01, 0.01);
  const ErrorMap map = scan.expected();
  const double far_away = at(map, vertex(0, 0, 300));
  EXPECT_GE(far_away, at(map, vertex(0, 0)));
  EXPECT_EQ(at(map, vertex(0, 0, 0, -1)), far_away) << "its back was not seen";
}

TEST(ExpectedError, OneFrameTellsNothing) {
  Scan scan;
  scan.add_pass(0, 0, 1, 0, 0.01);
  const ErrorMap map = scan.expected();
  EXPECT_TRUE(map.empty());
  WorkerPool pool(1);
  EXPECT_TRUE(map.of(vertex(0, 0), pool).empty());
  EXPECT_TRUE(Scan().expected().empty());
}

TEST(ExpectedError, SameBitsWithAnyNumberOfThreads) {
  Scan scan;
  for (int turn = 0; turn < 3; ++turn) scan.add_pass(25, 120 * turn, 4, 0.01, 0.01);
  Mesh mesh;
  for (float x = -20; x < 20; x += 0.3F) {
    mesh.vertices_mm.emplace_back(x, 0.4F * x, 0.0F);
    mesh.normals.emplace_back(0.0F, 0.0F, 1.0F);
  }
  WorkerPool one(1), three(3);
  EXPECT_EQ(scan.expected(1).of(mesh, one), scan.expected(3).of(mesh, three));
}

}  // namespace
}  // namespace cusp
