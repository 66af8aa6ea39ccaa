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
        Block& block = volume.block(number);
        for (int k = 0; k < kBlockVoxels; ++k) {
          const Eigen::Vector3i local(k & 7, (k >> 3) & 7, k >> 6);
          const Eigen::Vector3f p =
              (block.index * kBlockSide + local).cast<float>() * volume.voxel_mm();
          block.voxels[static_cast<std::size_t>(k)] = {.distance_mm = (p - middle).norm() - radius,
                                                       .weight = 5};
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
  for (Voxel& voxel : volume.block(number).voxels) {
    state = state * 1664525U + 1013904223U;
    voxel = {.distance_mm = (state >> 31) != 0 ? 1.0F : -1.0F, .weight = 5};
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
    const Block& block = volume.block(b);
    for (int k = 0; k < kBlockVoxels; ++k) {
      const Voxel& voxel = block.voxels[static_cast<std::size_t>(k)];
      if (voxel.weight == 0) continue;
      const Eigen::Vector3i local(k & 7, (k >> 3) & 7, k >> 6);
      const Eigen::Vector3d p =
          pose.inverse() * ((block.index * kBlockSide + local).cast<double>() *
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

}  // namespace
}  // namespace cusp
