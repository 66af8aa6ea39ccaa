// LiveMesh: patches that fit together, follow their volume, and say what they are good for.
#include "pipeline/live_mesh.h"

#include <gtest/gtest.h>

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "pipeline/fuse.h"
#include "pipeline/fuse_colour.h"
#include "pipeline/mesh.h"
#include "pipeline/noise_model.h"
#include "pipeline/preprocess.h"
#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

constexpr std::size_t kPlenty = std::size_t{1} << 28;
constexpr float kRadius_mm = 5;

// A ball around (0.11, -0.07, 0.05).
Volume ball() {
  const Eigen::Vector3f middle(0.11F, -0.07F, 0.05F);
  Volume volume(0.25, 1.0, kPlenty);
  for (int z = -4; z < 4; ++z)
    for (int y = -4; y < 4; ++y)
      for (int x = -4; x < 4; ++x) {
        const std::size_t number = volume.find_or_add({x, y, z});
        for (int k = 0; k < kBlockVoxels; ++k) {
          const Eigen::Vector3i voxel(8 * x + (k & 7), 8 * y + (k >> 3 & 7), 8 * z + (k >> 6));
          const Eigen::Vector3f p = voxel.cast<float>() * volume.voxel_mm();
          volume.set_voxel(number, static_cast<std::size_t>(k),
                           {.distance_mm = (p - middle).norm() - kRadius_mm, .weight = 5});
        }
      }
  return volume;
}

bool same_shape(const MeshPatch& a, const MeshPatch& b) {
  return std::ranges::equal(a.vertices, b.vertices, {}, &PatchVertex::position,
                            &PatchVertex::position) &&
         std::ranges::equal(a.triangles, b.triangles);
}

// Vertices that say something else of their normal or level.
std::size_t count_different(const MeshPatch& a, const MeshPatch& b) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < a.vertices.size(); ++i)
    count +=
        a.vertices[i].normal != b.vertices[i].normal || a.vertices[i].level != b.vertices[i].level;
  return count;
}

MeasuredSurface plane_seen(double tilt_rad, WorkerPool& pool) {
  const NoiseModel noise(testing::small_options(), testing::small_camera());
  const Eigen::Vector3d normal(std::sin(tilt_rad), 0, -std::cos(tilt_rad));
  return preprocess(testing::tilted_plane(normal, -70), noise, pool);
}

std::array<std::size_t, 3> count_levels(const LiveMesh& mesh) {
  std::array<std::size_t, 3> count{};
  for (std::size_t i = 0; i < mesh.size(); ++i)
    for (const PatchVertex& vertex : mesh.patch(i).vertices)
      ++count[static_cast<std::size_t>(vertex.level)];
  return count;
}

TEST(LiveMesh, PatchesMeetInTheSameBits) {
  const Volume volume = ball();
  WorkerPool pool(2);
  LiveMesh mesh(volume.voxel_mm(), 1);
  mesh.update_all(volume, pool);
  // A vertex by its place in the whole grid, in steps.
  std::map<std::array<std::int64_t, 3>, std::pair<int, std::array<std::int8_t, 3>>> known;
  std::size_t repeated = 0;
  for (std::size_t i = 0; i < mesh.size(); ++i) {
    const MeshPatch patch = mesh.patch(i);
    for (const PatchVertex& vertex : patch.vertices) {
      std::array<std::int64_t, 3> place{};
      int off_grid = 0;
      for (std::size_t k = 0; k < 3; ++k) {
        place[k] = std::int64_t{kBlockSide} * kPatchSteps * patch.block[static_cast<int>(k)] +
                   vertex.position[k];
        off_grid += vertex.position[k] % kPatchSteps != 0;
      }
      ASSERT_EQ(off_grid, 1) << "a vertex lies inside one edge of the grid";
      const auto [entry, is_new] = known.try_emplace(place, 1, vertex.normal);
      if (is_new) continue;
      ++repeated;
      EXPECT_EQ(entry->second.second, vertex.normal);
    }
  }
  EXPECT_GT(repeated, 100U);
  EXPECT_EQ(weld(mesh).vertices_mm.size(), known.size());
  EXPECT_EQ(weld(mesh).triangles.size(), mesh.triangle_count());
}

TEST(LiveMesh, NormalsPointOutAndNothingOfABallIsARim) {
  const Volume volume = ball();
  WorkerPool pool(1);
  LiveMesh mesh(volume.voxel_mm(), 1);
  mesh.update_all(volume, pool);
  ASSERT_GT(mesh.vertex_count(), 1000U);
  for (std::size_t i = 0; i < mesh.size(); ++i) {
    const MeshPatch patch = mesh.patch(i);
    for (const PatchVertex& vertex : patch.vertices) {
      const Eigen::Vector3f normal =
          Eigen::Vector3f(vertex.normal[0], vertex.normal[1], vertex.normal[2]).normalized();
      const Eigen::Vector3f out =
          (mesh.point_mm(patch, vertex) - Eigen::Vector3f(0.11F, -0.07F, 0.05F)).normalized();
      EXPECT_GT(normal.dot(out), 0.999F);
      EXPECT_EQ(vertex.level, SurfaceLevel::kThin);
    }
  }
}

TEST(LiveMesh, FollowsTheBlocksThatChangedToTheSameShapeAsAWholeMesh) {
  WorkerPool pool(2);
  Volume volume(0.3, 1.2, kPlenty);
  LiveMesh live(volume.voxel_mm(), 0);
  const MeasuredSurface near = plane_seen(0.3, pool);
  for (int k = 0; k < 6; ++k) {
    RigidTransform pose = RigidTransform::Identity();
    pose.translation() = Eigen::Vector3d(3 * k, 0, 0.2 * k);
    pose.rotate(Eigen::AngleAxisd(0.1 * k, Eigen::Vector3d::UnitY()));
    const auto report = fuse(near, pose, volume, pool);
    ASSERT_TRUE(report.ok());
    // Also those that changed less than fuse() finds worth showing.
    std::vector<std::uint32_t> changed;
    for (std::uint32_t i = 0; i < volume.size(); ++i)
      if (volume.info(i).changed == volume.frame()) changed.push_back(i);
    live.update(volume, changed, pool);
  }
  LiveMesh whole(volume.voxel_mm(), 0);
  WorkerPool alone(1);
  whole.update_all(volume, alone);
  ASSERT_EQ(live.size(), whole.size());
  std::size_t different = 0;
  for (std::size_t i = 0; i < live.size(); ++i) {
    ASSERT_TRUE(same_shape(live.patch(i), whole.patch(i)));
    different += count_different(live.patch(i), whole.patch(i));
  }
  EXPECT_LT(different, live.vertex_count() / 50);
  EXPECT_EQ(live.vertex_count(), whole.vertex_count());
  EXPECT_EQ(live.triangle_count(), whole.triangle_count());
  EXPECT_GT(live.triangle_count(), 10000U);
}

TEST(LiveMesh, ShowsNewSurfaceAtOnceAndWhatMovesInTurns) {
  WorkerPool pool(2);
  Volume volume(0.3, 1.2, kPlenty);
  LiveMesh live(volume.voxel_mm(), 0);
  LiveMesh whole(volume.voxel_mm(), 0);
  const MeasuredSurface near = plane_seen(0.3, pool);
  RigidTransform pose = RigidTransform::Identity();
  const auto add = [&] {
    const auto report = fuse(near, pose, volume, pool);
    live.follow(volume, report.value().changed, pool);
  };
  add();
  whole.update_all(volume, pool);
  EXPECT_EQ(live.triangle_count(), whole.triangle_count());
  const std::size_t first = live.last_work();
  const std::uint32_t shown = live.updates();
  pose.translation().z() = 0.2;
  add();
  EXPECT_GT(live.last_work(), 0U);
  EXPECT_LT(live.last_work(), first / 2);
  EXPECT_FALSE(live.changed_since(shown).empty());
  // Nobody waits for more than all turns.
  for (unsigned k = 1; k < kTurns; ++k) {
    volume.next_frame();
    live.follow(volume, {}, pool);
  }
  whole.update_all(volume, pool);
  for (std::size_t i = 0; i < live.size(); ++i)
    ASSERT_TRUE(same_shape(live.patch(i), whole.patch(i)));
  volume.next_frame();
  live.follow(volume, {}, pool);
  EXPECT_EQ(live.last_work(), 0U);
}

TEST(LiveMesh, TellsAViewerWhatItLacks) {
  WorkerPool pool(1);
  Volume volume(0.3, 1.2, kPlenty);
  LiveMesh live(volume.voxel_mm(), 0);
  const MeasuredSurface near = plane_seen(0, pool);
  RigidTransform pose = RigidTransform::Identity();
  live.update(volume, fuse(near, pose, volume, pool).value().changed, pool);
  const std::uint32_t seen = live.updates();
  EXPECT_TRUE(live.changed_since(seen).empty());
  pose.translation().x() = 200;  // somewhere else
  live.update(volume, fuse(near, pose, volume, pool).value().changed, pool);
  const std::vector<std::uint32_t> lacking = live.changed_since(seen);
  ASSERT_FALSE(lacking.empty());
  for (const std::uint32_t i : lacking) EXPECT_GT(live.patch(i).block.x() * 2.4, 100);
  EXPECT_GT(live.changed_since(0).size(), lacking.size());
  EXPECT_EQ(live.patch(lacking.front()).last_seen, 2U);
}

TEST(LiveMesh, IsEnoughOnlyAfterEnoughFramesFromDirectionsFarEnoughApart) {
  WorkerPool pool(2);
  Volume volume(0.3, 1.2, kPlenty);
  LiveMesh live(volume.voxel_mm(), 0);
  const auto add = [&](double tilt_rad, int frames) {
    // The same plane in the model, seen from another side.
    RigidTransform pose = RigidTransform::Identity();
    pose.rotate(Eigen::AngleAxisd(tilt_rad, Eigen::Vector3d::UnitY()));
    pose.translation() = pose.linear() * Eigen::Vector3d(0, 0, -70) + Eigen::Vector3d(0, 0, 70);
    const Eigen::Vector3d normal_in_model(0, 0, -1);
    const Eigen::Vector3d normal = pose.linear().transpose() * normal_in_model;
    const double d = -70 + normal_in_model.dot(-pose.translation());
    const NoiseModel noise(testing::small_options(), testing::small_camera());
    const MeasuredSurface seen = preprocess(testing::tilted_plane(normal, d), noise, pool);
    for (int k = 0; k < frames; ++k)
      live.update(volume, fuse(seen, pose, volume, pool).value().changed, pool);
  };
  add(0, 1);
  const auto once = count_levels(live);  // rim, thin, enough
  EXPECT_GT(once[0], 100U);
  EXPECT_GT(once[1], 10 * once[0]);
  EXPECT_EQ(once[2], 0U);
  add(0, 40);  // however often, from one side
  EXPECT_EQ(count_levels(live)[2], 0U);
  add(0.5, 1);
  const auto both = count_levels(live);
  EXPECT_GT(both[2], both[1]);
}

TEST(LiveMesh, TakesTheColourThatWasSeen) {
  const NoiseModel noise(testing::small_options(), testing::small_camera());
  WorkerPool pool(2);
  DepthFrame frame = testing::tilted_plane({0, 0, -1}, -70);
  const int width = frame.intrinsics.width_px;
  // Left orange, right blue, the lowest lines outside of the colour camera's view.
  for (int i = 0; i < width * frame.intrinsics.height_px; ++i) {
    const bool unseen = i / width > 200;
    const bool left = i % width < width / 2;
    for (const int part : {left ? 200 : 30, left ? 100 : 60, left ? 50 : 220})
      frame.rgb.push_back(static_cast<std::uint8_t>(unseen ? 0 : part));
  }
  const MeasuredSurface surface = preprocess(frame, noise, pool);
  Volume volume(0.3, 1.2, kPlenty);
  LiveMesh live(volume.voxel_mm(), 0);
  const std::size_t plain_bytes = [&] {
    const auto report = fuse(surface, RigidTransform::Identity(), volume, pool);
    const std::size_t before = volume.bytes();
    fuse_colour(surface, RigidTransform::Identity(), report.value().changed, volume, pool);
    live.update(volume, report.value().changed, pool);
    return before;
  }();
  EXPECT_GT(volume.bytes(), plain_bytes);
  std::size_t coloured = 0;
  for (std::size_t i = 0; i < live.size(); ++i) {
    const MeshPatch patch = live.patch(i);
    for (const PatchVertex& vertex : patch.vertices) {
      const Eigen::Vector3f p = live.point_mm(patch, vertex);
      if (p.y() > 81.5F / 300 * 70 + 0.5F) {
        EXPECT_EQ(vertex.rgb, (std::array<std::uint8_t, 3>{0, 0, 0}));
      } else if (p.y() < 81.5F / 300 * 70 - 0.5F && std::abs(p.x()) > 0.5F) {
        EXPECT_EQ(vertex.rgb, p.x() < 0 ? (std::array<std::uint8_t, 3>{200, 100, 50})
                                        : (std::array<std::uint8_t, 3>{30, 60, 220}));
        ++coloured;
      }
    }
  }
  EXPECT_GT(coloured, 10000U);
}

TEST(LiveMesh, LooksOnlyAtWhatChanged) {
  WorkerPool pool(1);
  Volume volume(0.3, 1.2, kPlenty);
  LiveMesh live(volume.voxel_mm(), 0);
  const MeasuredSurface near = plane_seen(0, pool);
  std::size_t first = 0;
  for (int k = 0; k < 10; ++k) {
    RigidTransform pose = RigidTransform::Identity();
    pose.translation().x() = 80.0 * k;
    live.update(volume, fuse(near, pose, volume, pool).value().changed, pool);
    if (k == 0) first = live.last_work();
    EXPECT_LT(static_cast<double>(live.last_work()), 1.1 * static_cast<double>(first));
  }
  EXPECT_GT(volume.size(), 8 * first);
}

TEST(LiveMesh, OfNothingIsNothing) {
  WorkerPool pool(1);
  const Volume volume(0.3, 1.2, kPlenty);
  LiveMesh live(volume.voxel_mm(), 0);
  live.update_all(volume, pool);
  EXPECT_EQ(live.size(), 0U);
  EXPECT_TRUE(weld(live).empty());
}

}  // namespace
}  // namespace cusp
