#include "pipeline/decimate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "pipeline/clean.h"
#include "pipeline/deviation.h"
#include "pipeline/finish.h"
#include "pipeline/nearest.h"
#include "tests/pipeline/jaw.h"
#include "tests/pipeline/manifold.h"

namespace cusp {
namespace {

using testing::jaw;
using testing::manifold_fault;
using testing::sphere;
using testing::watertight;

TEST(Decimate, ABallStaysABall) {
  WorkerPool pool(2);
  Mesh mesh = sphere(10, {0, 0, 0}, 60);
  const Mesh before = mesh;
  std::vector<std::uint8_t> marks;
  decimate(mesh, marks, {.target_triangles = 1500}, pool);
  EXPECT_LE(mesh.triangles.size(), 1500U);
  EXPECT_GE(mesh.triangles.size(), 1498U);
  EXPECT_EQ(manifold_fault(mesh), "");
  EXPECT_TRUE(watertight(mesh));
  EXPECT_LT(measure_deviation(before, mesh, 5, pool).max_mm, 0.12);
}

TEST(Decimate, TilesGiveTheSameWithOneThreadAndWithFour) {
  WorkerPool one(1);
  WorkerPool four(4);
  Mesh a = sphere(10, {0, 0, 0}, 250);  // large enough to be cut into tiles
  ASSERT_GT(a.triangles.size(), 240000U);
  std::vector<std::uint8_t> marks(a.triangles.size());
  for (std::size_t t = 0; t < marks.size(); ++t)
    marks[t] = a.vertices_mm[a.triangles[t][0]].z() > 9 ? 1 : 0;
  Mesh b = a;
  const Mesh before = a;
  std::vector<std::uint8_t> marks_b = marks;
  decimate(a, marks, {.target_triangles = 20000}, one);
  decimate(b, marks_b, {.target_triangles = 20000}, four);
  EXPECT_EQ(a.triangles, b.triangles);
  EXPECT_EQ(a.vertices_mm, b.vertices_mm);
  EXPECT_EQ(marks, marks_b);
  EXPECT_LE(a.triangles.size(), 20000U);
  EXPECT_EQ(manifold_fault(a), "");
  EXPECT_TRUE(watertight(a));
  EXPECT_LT(measure_deviation(before, a, 5, four).max_mm, 0.02);
  ASSERT_EQ(marks.size(), a.triangles.size());
  for (std::size_t t = 0; t < marks.size(); ++t)
    EXPECT_NEAR(a.vertices_mm[a.triangles[t][0]].z() > 9 ? 1 : 0, marks[t],
                std::abs(a.vertices_mm[a.triangles[t][0]].z() - 9) < 0.5F ? 1 : 0);
}

TEST(Decimate, KeepsTheBorder) {
  WorkerPool pool(2);
  Mesh mesh = jaw();
  const Mesh before = mesh;
  std::vector<std::uint8_t> marks;
  decimate(mesh, marks, {.target_triangles = 4000}, pool);
  EXPECT_EQ(manifold_fault(mesh), "");
  EXPECT_LT(measure_deviation(before, mesh, 5, pool).max_mm, 0.25);
  EXPECT_EQ(border_loops(mesh, find_twins(mesh, find_corners(mesh), pool)).size(), 1U);
}

TEST(Decimate, FlatSquareNeedsFewTriangles) {
  WorkerPool pool(1);
  Mesh mesh;
  for (int y = 0; y <= 20; ++y)
    for (int x = 0; x <= 20; ++x)
      mesh.vertices_mm.emplace_back(static_cast<float>(x), static_cast<float>(y), 0);
  for (std::uint32_t y = 0; y < 20; ++y)
    for (std::uint32_t x = 0; x < 20; ++x) {
      const std::uint32_t a = y * 21 + x;
      mesh.triangles.push_back({a, a + 1, a + 22});
      mesh.triangles.push_back({a, a + 22, a + 21});
    }
  std::vector<std::uint8_t> marks;
  decimate(mesh, marks, {.max_error_mm = 1e-3}, pool);
  EXPECT_LT(mesh.triangles.size(), 20U);
  EXPECT_NEAR(area_mm2(mesh), 400, 0.01);
}

TEST(Decimate, AnySoupStaysAManifold) {
  WorkerPool pool(1);
  for (unsigned seed = 1; seed <= 60; ++seed) {
    Mesh mesh = testing::random_soup(seed, 10 + seed, 30 + 4 * seed);
    drop_bad_triangles(mesh, pool);
    make_manifold(mesh, pool);
    std::vector<std::uint8_t> marks;
    decimate(mesh, marks, {}, pool);
    ASSERT_EQ(manifold_fault(mesh), "") << "seed " << seed;
    ASSERT_TRUE(validate(mesh).ok());
  }
}

TEST(Finish, KeepsAStatedError) {
  const Mesh mesh = sphere(10, {0, 0, 0}, 80);
  const auto model = finish(mesh, {.max_error_mm = 0.02});
  ASSERT_TRUE(model.ok());
  EXPECT_LT(model->mesh.triangles.size(), mesh.triangles.size() / 2);
  EXPECT_GT(model->report.decimation_error_mm, 0);
  EXPECT_LE(model->report.decimation_error_mm, 0.02);
  WorkerPool pool(1);
  EXPECT_LE(measure_deviation(mesh, model->mesh, 1, pool).max_mm, 0.021);
}

TEST(Nearest, FindsWhatLookingAtAllFinds) {
  WorkerPool pool(2);
  const Mesh soup = testing::random_soup(3, 60, 200);
  const NearestSurface surface(soup, pool);
  std::mt19937 random(5);
  std::uniform_real_distribution<float> place(-2, 2);
  for (int i = 0; i < 200; ++i) {
    const Eigen::Vector3f p(place(random), place(random), place(random));
    const auto found = surface.find(p, 100);
    ASSERT_TRUE(found);
    // No point of any triangle, on a fine grid of its shares, is nearer.
    float nearest = 100;
    for (const auto& [a, b, c] : soup.triangles)
      for (int u = 0; u <= 20; ++u)
        for (int v = 0; u + v <= 20; ++v) {
          const Eigen::Vector3f q = (static_cast<float>(u) * soup.vertices_mm[a] +
                                     static_cast<float>(v) * soup.vertices_mm[b] +
                                     static_cast<float>(20 - u - v) * soup.vertices_mm[c]) /
                                    20;
          nearest = std::min(nearest, (q - p).norm());
        }
    EXPECT_LE(found->distance_mm, nearest + 1e-5F);
    EXPECT_GE(found->distance_mm, nearest - 0.15F);
    EXPECT_NEAR((found->point_mm - p).norm(), found->distance_mm, 1e-5F);
  }
  EXPECT_FALSE(surface.find({50, 0, 0}, 1));
  EXPECT_FALSE(NearestSurface({}, pool).find({0, 0, 0}, 1));
}

}  // namespace
}  // namespace cusp
