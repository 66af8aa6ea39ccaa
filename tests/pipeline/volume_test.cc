// The volume, fusion and marching cubes against shapes that have a formula.
#include "pipeline/volume.h"

#include <gtest/gtest.h>

#include <bitset>
#include <cmath>
#include <map>
#include <set>

#include "pipeline/decode.h"
#include "pipeline/fuse.h"
#include "pipeline/marching_cubes.h"
#include "pipeline/mesh.h"
#include "pipeline/preprocess.h"
#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

constexpr std::size_t kPlenty = std::size_t{1} << 28;

using Edge = std::pair<std::uint32_t, std::uint32_t>;

// How often each directed edge is used.
std::map<Edge, int> edges_of(const Mesh& mesh) {
  std::map<Edge, int> edges;
  for (const auto& t : mesh.triangles)
    for (std::size_t k = 0; k < 3; ++k) ++edges[{t[k], t[(k + 1) % 3]}];
  return edges;
}

void fill_sphere(Volume& volume, const Eigen::Vector3f& middle, float radius) {
  const int reach = static_cast<int>((radius + 8 * volume.voxel_mm()) / volume.block_mm()) + 1;
  for (int z = -reach; z <= reach; ++z)
    for (int y = -reach; y <= reach; ++y)
      for (int x = -reach; x <= reach; ++x) {
        const std::size_t number = volume.find_or_add({x, y, z});
        ASSERT_NE(number, Volume::kNone);
        for (int k = 0; k < kBlockVoxels; ++k) {
          const Eigen::Vector3i local(k & 7, (k >> 3) & 7, k >> 6);
          const Eigen::Vector3f p =
              (Eigen::Vector3i(x, y, z) * kBlockSide + local).cast<float>() * volume.voxel_mm();
          volume.set_voxel(number, static_cast<std::size_t>(k),
                           {.distance_mm = (p - middle).norm() - radius, .weight = 5});
        }
      }
}

TEST(Volume, FindsWhatWasAddedAlsoAtNegativePlaces) {
  Volume volume(0.2, 0.8, kPlenty);
  std::vector<Eigen::Vector3i> added;
  for (int k = 0; k < 3000; ++k) added.emplace_back(k % 17 - 8, (k / 17) % 13 - 6, k / 221 - 7);
  for (std::size_t k = 0; k < added.size(); ++k) EXPECT_EQ(volume.find_or_add(added[k]), k);
  for (std::size_t k = 0; k < added.size(); ++k) {
    EXPECT_EQ(volume.find(added[k]), k);
    EXPECT_EQ(volume.find_or_add(added[k]), k);
  }
  EXPECT_EQ(volume.find({100, 0, 0}), Volume::kNone);
  EXPECT_EQ(volume.find_or_add({1 << 25, 0, 0}), Volume::kNone);
}

TEST(Volume, StaysWithinItsBudget) {
  constexpr std::size_t kBudget = 200000;
  Volume volume(0.2, 0.8, kBudget);
  int added = 0;
  while (volume.find_or_add({added, 0, 0}) != Volume::kNone) ++added;
  EXPECT_GT(added, 10);
  EXPECT_LE(volume.bytes(), kBudget);
}

TEST(Volume, KnowsItsNeighboursAndWhatIsInView) {
  Volume volume(0.2, 0.8, kPlenty);
  for (int x = -100; x < 100; ++x)
    for (int y = -3; y < 3; ++y) ASSERT_NE(volume.find_or_add({x, y, 12}), Volume::kNone);
  for (std::size_t i = 0; i < volume.size(); ++i)
    for (int dx = -1; dx <= 1; ++dx)
      for (int dy = -1; dy <= 1; ++dy) {
        const std::size_t there = volume.find(volume.info(i).index + Eigen::Vector3i(dx, dy, 0));
        EXPECT_EQ(volume.info(i).around[BlockInfo::neighbour_at(dx, dy, 0)],
                  there == Volume::kNone ? kNoBlock : there);
      }

  const Intrinsics sensor{
      .width_px = 64, .height_px = 48, .fx_px = 60, .fy_px = 60, .cx_px = 31.5, .cy_px = 23.5};
  RigidTransform pose = RigidTransform::Identity();
  pose.translation().x() = 50;
  std::vector<std::uint32_t> numbers;
  volume.blocks_in_view(pose, sensor, 25, numbers);
  ASSERT_FALSE(numbers.empty());
  std::set<std::uint32_t> in_view(numbers.begin(), numbers.end());
  EXPECT_EQ(in_view.size(), numbers.size());
  for (std::uint32_t i = 0; i < volume.size(); ++i) {
    // At a distance of 19.9 mm the picture is 21 mm wide; a cell has a radius of 11 mm.
    const double aside_mm = std::abs(1.6 * (volume.info(i).index.x() + 0.5) - 50);
    if (aside_mm < 10) {
      EXPECT_TRUE(in_view.contains(i));
    }
    if (aside_mm > 40) {
      EXPECT_FALSE(in_view.contains(i));
    }
  }
  numbers.clear();
  volume.blocks_in_view(pose, sensor, 5, numbers);
  EXPECT_TRUE(numbers.empty());
}

TEST(MarchingCubes, EveryCaseClosesItsLoopsOnTheCubesFaces) {
  for (std::size_t cube = 0; cube < 256; ++cube) {
    const marching_cubes::Case& found = marching_cubes::kCases[cube];
    std::map<std::pair<int, int>, int> edges;
    std::set<int> used;
    for (int t = 0; t < found.triangles; ++t) {
      const auto& e = found.edges[static_cast<std::size_t>(t)];
      for (std::size_t k = 0; k < 3; ++k) {
        ++edges[{e[k], e[(k + 1) % 3]}];
        used.insert(e[k]);
      }
    }
    // Exactly the edges whose ends differ carry a vertex.
    std::set<int> crossing;
    for (int e = 0; e < 12; ++e) {
      const int start = marching_cubes::kEdgeStart[static_cast<std::size_t>(e)];
      const int end = start + (1 << (e / 4));
      if (((cube >> start) & 1) != ((cube >> end) & 1)) crossing.insert(e);
    }
    EXPECT_EQ(used, crossing) << "case " << cube;
    for (const auto& [edge, times] : edges) EXPECT_EQ(times, 1) << "case " << cube;
  }
}

TEST(MarchingCubes, ASphereIsClosedManifoldAndRound) {
  constexpr float kRadius = 5;
  Volume volume(0.25, 1.0, kPlenty);
  const Eigen::Vector3f middle(0.11F, -0.07F, 0.05F);
  fill_sphere(volume, middle, kRadius);
  WorkerPool pool(2);
  const Mesh mesh = extract_mesh(volume, 1, pool);
  ASSERT_GT(mesh.triangles.size(), 5000U);
  double volume_mm3 = 0;
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm)
    EXPECT_NEAR((vertex - middle).norm(), kRadius, 0.01);
  for (const auto& t : mesh.triangles)
    volume_mm3 +=
        mesh.vertices_mm[t[0]].dot(mesh.vertices_mm[t[1]].cross(mesh.vertices_mm[t[2]])) / 6.0;
  EXPECT_NEAR(volume_mm3, 4.0 / 3 * M_PI * std::pow(kRadius, 3), 3);  // positive: faces look out
  const auto edges = edges_of(mesh);
  for (const auto& [edge, times] : edges) {
    EXPECT_EQ(times, 1);
    EXPECT_TRUE(edges.contains({edge.second, edge.first}));
  }
  // Euler's formula for a sphere.
  EXPECT_EQ(static_cast<long>(mesh.vertices_mm.size()) - static_cast<long>(edges.size() / 2) +
                static_cast<long>(mesh.triangles.size()),
            2);
}

TEST(MarchingCubes, NoiseGivesManifoldEdgesToo) {
  Volume volume(0.25, 1.0, kPlenty);
  std::uint32_t state = 1;
  const std::size_t number = volume.find_or_add({0, 0, 0});
  for (std::size_t k = 0; k < kBlockVoxels; ++k) {
    state = state * 1664525U + 1013904223U;
    volume.set_voxel(number, k, {.distance_mm = (state >> 31) != 0 ? 1.0F : -1.0F, .weight = 5});
  }
  WorkerPool pool(1);
  const Mesh mesh = extract_mesh(volume, 1, pool);
  ASSERT_FALSE(mesh.empty());
  for (const auto& [edge, times] : edges_of(mesh)) EXPECT_EQ(times, 1);
}

TEST(MarchingCubes, LeavesOutWhatWasSeenTooSeldom) {
  Volume volume(0.25, 1.0, kPlenty);
  fill_sphere(volume, Eigen::Vector3f::Zero(), 4);
  WorkerPool pool(1);
  EXPECT_FALSE(extract_mesh(volume, 5, pool).empty());
  EXPECT_TRUE(extract_mesh(volume, 5.5F, pool).empty());
}

}  // namespace
}  // namespace cusp
