#include "pipeline/clean.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "tests/pipeline/manifold.h"
#include "tests/pipeline/shapes.h"

namespace cusp {
namespace {

using testing::add;
using testing::manifold_fault;
using testing::random_soup;
using testing::sphere;

TEST(Clean, WeldJoinsEqualVerticesAndKeepsTheFirst) {
  WorkerPool pool(2);
  Mesh mesh;
  mesh.vertices_mm = {{0, 0, 0}, {1, 0, 0}, {-0.0F, 0, 0}, {1, 0, 0}, {0, 1, 0}};
  mesh.triangles = {{0, 1, 4}, {2, 3, 4}};
  weld(mesh, 0, pool);
  EXPECT_EQ(mesh.vertices_mm.size(), 3U);
  EXPECT_EQ(mesh.triangles[0], mesh.triangles[1]);
}

TEST(Clean, WeldTakesVerticesThatAreFarOff) {
  WorkerPool pool(2);
  Mesh mesh;
  const float far = std::numeric_limits<float>::max();
  mesh.vertices_mm = {{far, 0, 0}, {-far, 0, 0}, {0, far, 0}};
  mesh.triangles = {{0, 1, 2}};
  weld(mesh, 0, pool);
  EXPECT_EQ(mesh.vertices_mm.size(), 3U);
}

TEST(Clean, CutsTwoConesThatMeetInAPoint) {
  WorkerPool pool(2);
  // Two triangles that share one vertex only: one fan each.
  Mesh mesh;
  mesh.vertices_mm = {{0, 0, 0}, {1, 0, 0}, {1, 1, 0}, {-1, 0, 0}, {-1, -1, 0}};
  mesh.triangles = {{0, 1, 2}, {0, 3, 4}};
  make_manifold(mesh, pool);
  EXPECT_EQ(mesh.triangles.size(), 2U);
  EXPECT_EQ(mesh.vertices_mm.size(), 6U);
  EXPECT_EQ(manifold_fault(mesh), "");
}

TEST(Clean, CutsAFinOffAnEdgeAndKeepsTheSurface) {
  WorkerPool pool(2);
  Mesh mesh;
  mesh.vertices_mm = {{0, 0, 0}, {0, 1, 0}, {2, 0, 0}, {-2, 0, 0}, {0, 0, 0.5F}};
  mesh.triangles = {{0, 1, 4}, {0, 1, 3}, {1, 0, 2}};
  const Twins twins = make_manifold(mesh, pool);
  EXPECT_EQ(mesh.triangles.size(), 3U);
  EXPECT_EQ(manifold_fault(mesh), "");
  // The two large triangles still hang together, the small one does not.
  EXPECT_EQ(twins.of[0], kNoTwin);
  EXPECT_EQ(twins.of[3], 6U);
}

TEST(Clean, CutsTrianglesApartThatDisagreeOnTheOutside) {
  WorkerPool pool(2);
  Mesh mesh;
  mesh.vertices_mm = {{0, 0, 0}, {0, 1, 0}, {1, 0, 0}, {-1, 0, 0}};
  mesh.triangles = {{0, 1, 3}, {0, 1, 2}};
  make_manifold(mesh, pool);
  EXPECT_EQ(mesh.triangles.size(), 2U);
  EXPECT_EQ(manifold_fault(mesh), "");
}

TEST(Clean, LeavesAManifoldAlone) {
  WorkerPool pool(2);
  Mesh mesh = sphere(10, {0, 0, 0});
  const Mesh before = mesh;
  const Twins twins = make_manifold(mesh, pool);
  EXPECT_EQ(mesh.triangles, before.triangles);
  EXPECT_EQ(mesh.vertices_mm.size(), before.vertices_mm.size());
  EXPECT_TRUE(std::none_of(twins.of.begin(), twins.of.end(),
                           [](std::uint32_t twin) { return twin == kNoTwin; }));
}

TEST(Clean, MakesAManifoldOfAnySoup) {
  WorkerPool pool(2);
  for (unsigned seed = 1; seed <= 200; ++seed) {
    Mesh mesh = random_soup(seed, 5 + seed % 17, 1 + seed * 3);
    drop_bad_triangles(mesh, pool);
    const Twins twins = make_manifold(mesh, pool);
    ASSERT_EQ(manifold_fault(mesh), "") << "seed " << seed;
    // What it returns belongs to the mesh that it left.
    EXPECT_EQ(find_twins(mesh, find_corners(mesh), pool).of, twins.of) << "seed " << seed;
  }
}

TEST(Clean, GivesTheSameWithOneThreadAndWithFour) {
  WorkerPool one(1);
  WorkerPool four(4);
  Mesh a = random_soup(7, 400, 60000);
  Mesh b = a;
  for (auto* step : {&a, &b}) {
    WorkerPool& pool = step == &a ? one : four;
    weld(*step, 0.01F, pool);
    drop_bad_triangles(*step, pool);
    make_manifold(*step, pool);
  }
  EXPECT_EQ(a.triangles, b.triangles);
  EXPECT_EQ(a.vertices_mm, b.vertices_mm);
}

TEST(Clean, AHundredThousandTrianglesOnOneEdgeDoNotHang) {
  WorkerPool pool(2);
  Mesh mesh;
  mesh.vertices_mm = {{0, 0, 0}, {1, 0, 0}};
  for (std::uint32_t i = 0; i < 100000; ++i) {
    const double angle = i * 1e-5;
    mesh.vertices_mm.emplace_back(0, std::cos(angle), std::sin(angle));
    mesh.triangles.push_back({0, 1, i + 2});
  }
  make_manifold(mesh, pool);
  EXPECT_EQ(mesh.triangles.size(), 100000U);
  EXPECT_EQ(find_components(mesh).parts.size(), 100000U);
}

TEST(Clean, FindsASpikeAtTheRimAndNoBluntCorner) {
  WorkerPool pool(2);
  Mesh mesh;
  mesh.vertices_mm = {{0, 0, 0}, {1, 0, 0}, {1, 1, 0}, {0, 1, 0}, {1.5F, 5, 0}};
  mesh.triangles = {{0, 1, 2}, {0, 2, 3}, {2, 1, 4}};
  const Twins twins = make_manifold(mesh, pool);
  std::vector<std::uint8_t> keep(3, 1);
  EXPECT_EQ(find_spikes(mesh, twins, 4, keep, pool), 1U);
  EXPECT_EQ(keep, (std::vector<std::uint8_t>{1, 1, 0}));
}

TEST(Clean, BorderLoopsFollowTheirTriangles) {
  WorkerPool pool(2);
  Mesh mesh = sphere(10, {0, 0, 0}, 10);
  // Without the two poles' caps there are two rings of 20 edges.
  std::vector<std::uint8_t> keep(mesh.triangles.size(), 1);
  for (std::size_t i = 0; i < keep.size(); ++i)
    for (const std::uint32_t v : mesh.triangles[i])
      if (std::abs(mesh.vertices_mm[v].z()) > 9.99F) keep[i] = 0;
  keep_triangles(mesh, keep);
  const Twins twins = make_manifold(mesh, pool);
  const auto loops = border_loops(mesh, twins);
  ASSERT_EQ(loops.size(), 2U);
  for (const auto& loop : loops) {
    EXPECT_EQ(loop.size(), 20U);
    for (std::size_t i = 0; i < loop.size(); ++i)
      EXPECT_EQ(to_vertex(mesh, loop[i]), from_vertex(mesh, loop[(i + 1) % loop.size()]));
  }
}

}  // namespace
}  // namespace cusp
