#include "pipeline/fill_holes.h"

#include <gtest/gtest.h>

#include <cmath>

#include "pipeline/base.h"
#include "pipeline/clean.h"
#include "pipeline/finish.h"
#include "tests/pipeline/jaw.h"
#include "tests/pipeline/manifold.h"

namespace cusp {
namespace {

using testing::jaw;
using testing::keep_where;
using testing::manifold_fault;
using testing::sphere;
using testing::volume_mm3;
using testing::watertight;

Mesh ball_with_a_hole(float height) {
  Mesh mesh = sphere(10, {0, 0, 0}, 60);
  keep_where(mesh, [&](const Eigen::Vector3f& p) { return p.z() < height; });
  return mesh;
}

TEST(FillHoles, GoesOnAsTheSurfaceDoes) {
  WorkerPool pool(2);
  Mesh mesh = ball_with_a_hole(9.5F);
  const std::size_t seen = mesh.triangles.size();
  std::vector<std::uint8_t> marks;
  const HoleReport report = fill_holes(mesh, 100, marks, pool);
  EXPECT_EQ(report.filled, 1U);
  EXPECT_EQ(report.left_open, 0U);
  EXPECT_EQ(manifold_fault(mesh), "");
  EXPECT_TRUE(watertight(mesh));
  ASSERT_EQ(marks.size(), mesh.triangles.size());
  for (std::size_t t = 0; t < marks.size(); ++t) EXPECT_EQ(marks[t], t < seen ? 0 : kFilledMark);
  // A flat lid would be 0.5 mm below the ball's top.
  for (const Eigen::Vector3f& v : mesh.vertices_mm) EXPECT_NEAR(v.norm(), 10, 0.25);
  EXPECT_NEAR(volume_mm3(mesh), 4.0 / 3 * M_PI * 1000, 15);
}

TEST(FillHoles, LeavesHolesThatAreTooWide) {
  WorkerPool pool(2);
  Mesh mesh = ball_with_a_hole(9.5F);
  const std::size_t before = mesh.triangles.size();
  std::vector<std::uint8_t> marks;
  const HoleReport report = fill_holes(mesh, 2, marks, pool);
  EXPECT_EQ(report.filled, 0U);
  EXPECT_EQ(report.left_open, 1U);
  EXPECT_GT(report.largest_open_mm, 6);
  EXPECT_EQ(mesh.triangles.size(), before);
}

TEST(FillHoles, NeverClosesTheOuterBorder) {
  WorkerPool pool(2);
  Mesh mesh = jaw();
  const Eigen::Vector3f middle(0, 0, 7);
  keep_where(mesh, [&](const Eigen::Vector3f& p) { return (p - middle).head<2>().norm() > 1.2F; });
  std::vector<std::uint8_t> marks;
  EXPECT_EQ(find_holes(mesh, pool).size(), 1U);
  const HoleReport report = fill_holes(mesh, 1000, marks, pool);
  EXPECT_EQ(report.filled, 1U);
  EXPECT_EQ(manifold_fault(mesh), "");
  EXPECT_EQ(border_loops(mesh, find_twins(mesh, find_corners(mesh), pool)).size(), 1U);
  EXPECT_EQ(find_holes(mesh, pool).size(), 0U);
}

TEST(FillHoles, FinishFillsAndMarksOnlyWhenAsked) {
  const Mesh mesh = ball_with_a_hole(9.9F);
  const auto open = finish(mesh, {});
  const auto closed = finish(mesh, {.target_triangles = 4000, .max_hole_mm = 5});
  ASSERT_TRUE(open.ok() && closed.ok());
  EXPECT_FALSE(watertight(open->mesh));
  EXPECT_TRUE(open->filled.empty());
  EXPECT_TRUE(watertight(closed->mesh));
  EXPECT_EQ(closed->report.holes_filled, 1U);
  ASSERT_EQ(closed->filled.size(), closed->mesh.triangles.size());
  for (std::size_t t = 0; t < closed->filled.size(); ++t)
    if (closed->filled[t] == kFilledMark) {
      EXPECT_GT(closed->mesh.vertices_mm[closed->mesh.triangles[t][0]].z(), 9.7F);
    }
}

TEST(FillHoles, AnySoupStaysAManifold) {
  WorkerPool pool(2);
  for (unsigned seed = 1; seed <= 60; ++seed) {
    Mesh mesh = testing::random_soup(seed, 8 + seed % 20, 20 + seed);
    drop_bad_triangles(mesh, pool);
    make_manifold(mesh, pool);
    std::vector<std::uint8_t> marks;
    fill_holes(mesh, 1e9, marks, pool);
    ASSERT_EQ(manifold_fault(mesh), "") << "seed " << seed;
    ASSERT_TRUE(validate(mesh).ok()) << "seed " << seed;
    ASSERT_EQ(marks.size(), mesh.triangles.size());
  }
}

TEST(Base, MakesAClosedSolidWithAFlatFoot) {
  WorkerPool pool(2);
  Mesh mesh = jaw();
  keep_where(mesh, [](const Eigen::Vector3f& p) { return (p.head<2>()).norm() > 1; });
  const auto solid = add_base(mesh, {.height_mm = 4}, pool);
  ASSERT_TRUE(solid.ok()) << solid.error().message;
  EXPECT_EQ(manifold_fault(*solid), "");
  EXPECT_TRUE(watertight(*solid));
  float lowest = 100;
  for (const Eigen::Vector3f& v : solid->vertices_mm) lowest = std::min(lowest, v.z());
  EXPECT_NEAR(lowest, -4, 1e-4);
  // The ridge and a slab of 4 mm below it.
  double slab = 0;
  for (const auto& [a, b, c] : solid->triangles) {
    const auto& p = solid->vertices_mm[a];
    const auto& q = solid->vertices_mm[b];
    const auto& r = solid->vertices_mm[c];
    if (p.z() < -3.9F && q.z() < -3.9F && r.z() < -3.9F) slab -= 2.0 * ((q - p).cross(r - p)).z();
  }
  EXPECT_GT(volume_mm3(*solid), slab);
  EXPECT_LT(volume_mm3(*solid), slab * 3.5);
}

TEST(Base, RefusesAClosedBall) {
  WorkerPool pool(1);
  const auto solid = add_base(sphere(10, {0, 0, 0}), {}, pool);
  ASSERT_FALSE(solid.ok());
  EXPECT_EQ(solid.error().code, ErrorCode::kInvalidArgument);
}

TEST(Base, ABorderThatCrossesItselfStillGivesAClosedSolid) {
  WorkerPool pool(1);
  // A ribbon that winds over itself.
  Mesh mesh;
  for (int i = 0; i <= 60; ++i)
    for (int k = 0; k <= 1; ++k) {
      const double turn = 4 * M_PI * i / 60;
      const double radius = 5 + k;
      mesh.vertices_mm.emplace_back(static_cast<float>(radius * std::cos(turn)),
                                    static_cast<float>(radius * std::sin(turn)),
                                    static_cast<float>(0.1 * i));
    }
  for (std::uint32_t i = 0; i < 60; ++i) {
    mesh.triangles.push_back({2 * i, 2 * i + 1, 2 * i + 3});
    mesh.triangles.push_back({2 * i, 2 * i + 3, 2 * i + 2});
  }
  const auto solid = add_base(mesh, {.height_mm = 1}, pool);
  ASSERT_TRUE(solid.ok());
  EXPECT_EQ(manifold_fault(*solid), "");
  EXPECT_TRUE(watertight(*solid));
}

}  // namespace
}  // namespace cusp
