#include "tools/sim/operator_path.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/tools/shapes.h"
#include "tools/sim/noise_model.h"
#include "tools/sim/scan_frame.h"

namespace cusp::sim {
namespace {

constexpr double kRateHz = 30;
const Intrinsics kCamera = d405_intrinsics(848, 480);

Mesh jaw_sized() { return shapes::ellipsoid({32, 26, 9}, 60); }

OperatorPath path_round(const Mesh& mesh, const OperatorPathOptions& options = {}) {
  auto path = OperatorPath::around(mesh, kCamera, options);
  EXPECT_TRUE(path.ok());
  return *path;
}

double angle_between(const RigidTransform& a, const RigidTransform& b) {
  return Eigen::AngleAxisd(a.linear().transpose() * b.linear()).angle();
}

TEST(OperatorPath, MovesNoFasterThanAHand) {
  const OperatorPath path = path_round(jaw_sized());
  double way_mm = 0;
  for (std::uint64_t k = 1; k < path.frames(); ++k) {
    const RigidTransform &before = path.scene_from_sensor(k - 1), &here = path.scene_from_sensor(k);
    const double step_mm = (here.translation() - before.translation()).norm();
    way_mm += step_mm;
    EXPECT_LT(step_mm * kRateHz, 38) << "frame " << k;
    EXPECT_LT(angle_between(before, here) * 180 / M_PI, 1.2) << "frame " << k;
  }
  EXPECT_LT(way_mm / static_cast<double>(path.frames()) * kRateHz, 30);
}

TEST(OperatorPath, HasNoJerksOnceTheTremorIsTakenAway) {
  OperatorPathOptions options;
  options.tremor_scale = 0;
  const OperatorPath path = path_round(jaw_sized(), options);
  for (std::uint64_t k = 1; k + 1 < path.frames(); ++k) {
    const Eigen::Vector3d bend = path.scene_from_sensor(k + 1).translation() -
                                 2 * path.scene_from_sensor(k).translation() +
                                 path.scene_from_sensor(k - 1).translation();
    EXPECT_LT(bend.norm(), 0.15) << "frame " << k;  // mm a frame, each frame
  }
}

TEST(OperatorPath, SweepsTheSameWayWhateverTheNumberOfFrames) {
  OperatorPathOptions coarse, fine;
  coarse.tremor_scale = fine.tremor_scale = 0;
  coarse.frames = 101;
  fine.frames = 401;
  const OperatorPath few = path_round(jaw_sized(), coarse), many = path_round(jaw_sized(), fine);
  for (std::uint64_t k = 0; k < few.frames(); ++k)
    EXPECT_TRUE(few.scene_from_sensor(k).isApprox(many.scene_from_sensor(4 * k), 1e-9)) << k;
}

TEST(OperatorPath, KeepsItsStandOffAndAimsAtTheObject) {
  const Mesh mesh = jaw_sized();
  const OperatorPath path = path_round(mesh);
  for (std::uint64_t k = 0; k < path.frames(); k += 5) {
    const RigidTransform sensor_from_scene = path.scene_from_sensor(k).inverse();
    double nearest = 1e9;
    for (const auto& vertex : mesh.vertices_mm) {
      const Eigen::Vector3d p = sensor_from_scene * vertex.cast<double>();
      nearest = std::min(nearest, p.z());
      EXPECT_LT(std::abs(p.x() / p.z() * kCamera.fx_px), 0.5 * kCamera.width_px);
      EXPECT_LT(std::abs(p.y() / p.z() * kCamera.fy_px), 0.5 * kCamera.height_px);
    }
    EXPECT_GT(nearest, 73) << "frame " << k;
    EXPECT_LT(nearest, 105) << "frame " << k;
  }
}

TEST(OperatorPath, BeginsAboveAndLeansOutToEverySide) {
  const Mesh mesh = jaw_sized();
  const OperatorPath path = path_round(mesh);
  const Eigen::Vector3d first = -path.scene_from_sensor(0).linear().col(2);
  EXPECT_GT(std::abs(first.z()), std::cos(12 * M_PI / 180));
  int left = 0, right = 0, front = 0, back = 0;
  double steepest = 0;
  for (std::uint64_t k = 0; k < path.frames(); ++k) {
    const Eigen::Vector3d out = -path.scene_from_sensor(k).linear().col(2);
    const double tilt = std::acos(std::abs(out.z())) * 180 / M_PI;
    steepest = std::max(steepest, tilt);
    if (tilt < 30) continue;
    (out.x() < 0 ? left : right) += std::abs(out.x()) > std::abs(out.y()) ? 1 : 0;
    (out.y() < 0 ? front : back) += std::abs(out.y()) > std::abs(out.x()) ? 1 : 0;
  }
  EXPECT_GT(std::min({left, right, front, back}), 20);
  EXPECT_GE(steepest, 35);
  EXPECT_LE(steepest, 55);
}

TEST(OperatorPath, StepsBackFromAnObjectThatDoesNotFitTheView) {
  const Mesh face_sized = shapes::ellipsoid({110, 80, 50}, 60);
  const OperatorPath path = path_round(face_sized);
  EXPECT_GT(path.scene_from_sensor(0).translation().norm(), 150);
}

TEST(OperatorPath, IsTheSameForTheSameSeedAndHoldsItsEnd) {
  OperatorPathOptions other;
  other.seed = 2;
  const OperatorPath one = path_round(jaw_sized()), again = path_round(jaw_sized()),
                     different = path_round(jaw_sized(), other);
  EXPECT_EQ(one.scene_from_sensor(100).matrix(), again.scene_from_sensor(100).matrix());
  EXPECT_NE(one.scene_from_sensor(100).matrix(), different.scene_from_sensor(100).matrix());
  EXPECT_EQ(one.scene_from_sensor(one.frames() + 1000).matrix(),
            one.scene_from_sensor(one.frames() - 1).matrix());
}

TEST(OperatorPath, RefusesWhatHasNoSurface) {
  EXPECT_FALSE(OperatorPath::around(Mesh{}, kCamera, {}).ok());
  Mesh needle;
  needle.vertices_mm = {{0, 0, 0}, {1, 0, 0}, {2, 0, 0}};
  needle.triangles = {{0, 1, 2}};
  EXPECT_FALSE(OperatorPath::around(needle, kCamera, {}).ok());
  OperatorPathOptions still;
  still.frames = 1;
  EXPECT_EQ(OperatorPath::around(jaw_sized(), kCamera, still).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(ScanFrame, LooksAtTheOutsideOfAnOpenSurface) {
  Mesh mesh = shapes::relief(25, 40);
  EXPECT_GT(find_scan_frame(mesh)->axes.col(2).z(), 0.9);
  for (auto& triangle : mesh.triangles) std::swap(triangle[0], triangle[1]);
  EXPECT_LT(find_scan_frame(mesh)->axes.col(2).z(), -0.9);
}

TEST(ScanFrame, LooksAtTheSideOfAClosedObjectThatHasRelief) {
  Mesh mesh = shapes::ellipsoid({30, 25, 8}, 80);
  for (auto& v : mesh.vertices_mm) {
    if (v.z() < 0)
      v.z() = std::max(v.z(), -2.0F);  // a flat base
    else
      v.z() += 0.8F * std::sin(v.x()) * std::sin(v.y());
  }
  EXPECT_GT(find_scan_frame(mesh)->axes.col(2).z(), 0.9);
  for (auto& v : mesh.vertices_mm) {
    v.z() = -v.z();
    v.x() = -v.x();
  }
  EXPECT_LT(find_scan_frame(mesh)->axes.col(2).z(), -0.9);
}

}  // namespace
}  // namespace cusp::sim
