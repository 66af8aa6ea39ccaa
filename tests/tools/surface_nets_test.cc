#include "tools/sim/surface_nets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/tools/manifold.h"
#include "tools/sim/implicit.h"

namespace cusp::sim {
namespace {

const Eigen::AlignedBox3f kBox(Eigen::Vector3f(-6.1f, -6.2f, -6.3f), Eigen::Vector3f(6, 6, 6));

float ball(const Eigen::Vector3f& p, const Eigen::Vector3f& centre, float radius) {
  return (p - centre).norm() - radius;
}

float box(const Eigen::Vector3f& p, const Eigen::Vector3f& centre, float half) {
  return (p - centre).cwiseAbs().maxCoeff() - half;
}

TEST(SurfaceNets, PutEveryVertexOfABallOnTheBall) {
  const Mesh mesh = surface_nets(
      [](const Eigen::Vector3f& p) { return ball(p, Eigen::Vector3f::Zero(), 5.0f); }, kBox, 0.3f);
  ASSERT_FALSE(mesh.empty());
  for (const Eigen::Vector3f& p : mesh.vertices_mm) ASSERT_NEAR(p.norm(), 5.0f, 0.02f);
  EXPECT_TRUE(every_edge_is_shared_by_two_opposite_triangles(mesh));
  EXPECT_TRUE(every_vertex_has_one_fan(mesh));
  EXPECT_NEAR(volume_mm3(mesh), 4.0 / 3.0 * std::numbers::pi * 125.0, 5.0);
}

// Cubes that meet along an edge and at a corner are the cases where plain surface nets pinch.
TEST(SurfaceNets, StayManifoldWhereSolidsTouchInALineOrAPoint) {
  const auto field = [](const Eigen::Vector3f& p) {
    const float first = box(p, {-1.0f, -1.0f, 0.0f}, 1.0f);
    const float along_an_edge = box(p, {1.0f, 1.0f, 0.0f}, 1.0f);
    const float at_a_corner = box(p, {-3.0f, -3.0f, 2.0f}, 1.0f);
    return std::min({first, along_an_edge, at_a_corner});
  };
  for (const float spacing : {0.1f, 0.2f, 0.33f}) {
    const Mesh mesh = surface_nets(field, kBox, spacing);
    EXPECT_TRUE(every_edge_is_shared_by_two_opposite_triangles(mesh)) << spacing;
    EXPECT_TRUE(every_vertex_has_one_fan(mesh)) << spacing;
  }
}

TEST(SurfaceNets, StayManifoldOnNoiseAsFineAsTheGrid) {
  const auto field = [](const Eigen::Vector3f& p) {
    return std::max(ball(p, Eigen::Vector3f::Zero(), 5.0f),
                    value_noise(2.5f * p.x(), 2.5f * p.y(), 2.5f * p.z(), 3U));
  };
  const Mesh mesh = surface_nets(field, kBox, 0.25f);
  ASSERT_GT(mesh.triangles.size(), 10000U);
  EXPECT_TRUE(every_edge_is_shared_by_two_opposite_triangles(mesh));
  EXPECT_TRUE(every_vertex_has_one_fan(mesh));
  EXPECT_GT(smallest_triangle_mm2(mesh), 0.0f);
}

// Beyond the slope limit the centre of a block says that the surface is far when it is not.
TEST(SurfaceNets, FollowTheSurfaceOfAFieldThatIsSteeperThanPromised) {
  const auto field = [](const Eigen::Vector3f& p) {
    return 6.0f * ball(p, Eigen::Vector3f::Zero(), 5.0f);
  };
  const Mesh mesh = surface_nets(field, kBox, 0.15f);
  EXPECT_TRUE(every_edge_is_shared_by_two_opposite_triangles(mesh));
  EXPECT_NEAR(volume_mm3(mesh), 4.0 / 3.0 * std::numbers::pi * 125.0, 5.0);
}

TEST(SurfaceNets, OfAnEmptyFieldAreEmpty) {
  EXPECT_TRUE(surface_nets([](const Eigen::Vector3f&) { return 1.0f; }, kBox, 0.5f).empty());
  EXPECT_TRUE(largest_part(Mesh{}).empty());
}

TEST(LargestPart, DropsTheSmallerBall) {
  const auto field = [](const Eigen::Vector3f& p) {
    return std::min(ball(p, {-2.5f, 0.0f, 0.0f}, 2.0f), ball(p, {3.0f, 0.0f, 0.0f}, 1.0f));
  };
  const Mesh both = surface_nets(field, kBox, 0.2f);
  const Mesh one = largest_part(both);
  EXPECT_LT(one.triangles.size(), both.triangles.size());
  EXPECT_TRUE(every_edge_is_shared_by_two_opposite_triangles(one));
  EXPECT_NEAR(volume_mm3(one), 4.0 / 3.0 * std::numbers::pi * 8.0, 0.5);
}

}  // namespace
}  // namespace cusp::sim
