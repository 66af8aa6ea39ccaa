#include "tools/sim/depth_renderer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/tools/shapes.h"
#include "tools/sim/noise_model.h"

namespace cusp::sim {
namespace {

// From above, looking down at the origin.
RigidTransform above(double height_mm) {
  RigidTransform pose = RigidTransform::Identity();
  pose.linear() = Eigen::DiagonalMatrix<double, 3>(1, -1, -1);
  pose.translation() = Eigen::Vector3d(0, 0, height_mm);
  return pose;
}

std::size_t pixel(const Intrinsics& camera, int x, int y) {
  return static_cast<std::size_t>(y * camera.width_px + x);
}

TEST(DepthRenderer, SeesAPlaneAtItsDistanceInEveryPixel) {
  const Mesh mesh = shapes::plane(500, 4);
  const Intrinsics camera = d405_intrinsics(101, 63);  // no multiple of a packet
  const auto renderer = DepthRenderer::create(mesh);
  ASSERT_TRUE(renderer.ok());
  DepthImage image;
  renderer->render(camera, above(90), image);
  ASSERT_EQ(image.depth_mm.size(), 101U * 63U);
  for (const float depth : image.depth_mm) EXPECT_NEAR(depth, 90, 1e-3);
}

TEST(DepthRenderer, ReportsTheIncidenceAngleOfATiltedPlane) {
  const Intrinsics camera = d405_intrinsics(101, 61);
  RigidTransform pose = above(90);
  const double tilt = 0.6;
  pose = Eigen::AngleAxisd(tilt, Eigen::Vector3d::UnitX()) * pose;
  const auto renderer = DepthRenderer::create(shapes::plane(2000, 2));
  ASSERT_TRUE(renderer.ok());
  DepthImage image;
  renderer->render(camera, pose, image);
  const std::size_t middle = pixel(camera, 50, 30);
  EXPECT_NEAR(image.depth_mm[middle], 90, 1e-2);
  EXPECT_NEAR(image.cos_incidence[middle], std::cos(tilt), 1e-4);
}

TEST(DepthRenderer, SeesASphereWhereItsEquationSaysAndNothingBesideIt) {
  const double radius = 20, height = 100;
  const Intrinsics camera = d405_intrinsics(424, 240);
  const auto renderer = DepthRenderer::create(shapes::sphere(static_cast<float>(radius), 400));
  ASSERT_TRUE(renderer.ok());
  DepthImage image;
  renderer->render(camera, above(height), image);
  int hits = 0;
  for (int y = 0; y < camera.height_px; ++y)
    for (int x = 0; x < camera.width_px; ++x) {
      const Eigen::Vector3d ray((x - camera.cx_px) / camera.fx_px,
                                (y - camera.cy_px) / camera.fy_px, 1);
      // |t ray - (0, 0, height)| = radius
      const double a = ray.squaredNorm(), b = -2 * height, c = height * height - radius * radius;
      const double root = b * b - 4 * a * c;
      const float depth = image.depth_mm[pixel(camera, x, y)];
      if (root < 0) {
        EXPECT_EQ(depth, 0);
        EXPECT_EQ(image.triangle[pixel(camera, x, y)], kNoTriangle);
      } else if (root > 300) {  // not at the rim, where facets and sphere part
        EXPECT_NEAR(depth, (-b - std::sqrt(root)) / (2 * a), 0.02);
        ++hits;
      }
    }
  EXPECT_GT(hits, 1000);
}

TEST(DepthRenderer, NamesTheTriangleThatWasHit) {
  Mesh mesh;
  mesh.vertices_mm = {{-300, -300, 0}, {300, -300, 0}, {0, 300, 0},
                      {-300, -300, 5}, {300, -300, 5}, {0, 300, 5}};
  mesh.triangles = {{0, 1, 2}, {3, 4, 5}};
  const auto renderer = DepthRenderer::create(mesh);
  ASSERT_TRUE(renderer.ok());
  DepthImage image;
  const Intrinsics camera = d405_intrinsics(21, 11);
  renderer->render(camera, above(50), image);
  EXPECT_EQ(image.triangle[pixel(camera, 10, 5)], 1U);  // the upper one hides the other
  EXPECT_NEAR(image.depth_mm[pixel(camera, 10, 5)], 45, 1e-3);
}

TEST(DepthRenderer, RefusesMeshesThatAreNone) {
  EXPECT_EQ(DepthRenderer::create(Mesh{}).error().code, ErrorCode::kInvalidArgument);

  Mesh beyond = shapes::plane(10, 1);
  beyond.triangles.push_back({0, 1, 99});
  EXPECT_FALSE(DepthRenderer::create(beyond).ok());

  Mesh not_finite = shapes::plane(10, 1);
  not_finite.vertices_mm[2].y() = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(DepthRenderer::create(not_finite).ok());
}

}  // namespace
}  // namespace cusp::sim
