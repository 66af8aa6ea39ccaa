#include "pipeline/detail.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <set>
#include <utility>

#include "pipeline/edit_marks.h"
#include "pipeline/fuse_log.h"
#include "pipeline/mesh.h"
#include "pipeline/mesh_edges.h"
#include "pipeline/nearest.h"
#include "pipeline/packed_frame.h"
#include "tests/pipeline/manifold.h"
#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

using testing::small_camera;
using testing::small_options;

// z = 70 + 0.6 |x - 0.4|: an edge of 62 degrees, between voxels.
constexpr double kRidgeMm = 70, kRidgeAtMm = 0.4, kSlope = 0.6;
constexpr int kFrames = 24;
constexpr double kVoxelMm = 1;  // four pixels

// Moved along x by parts of a pixel from frame to frame.
ScanEntry ridge_frame(int k, double ridge_mm = kRidgeMm) {
  DepthFrame depth = testing::tilted_plane({0, 0, -1}, -ridge_mm);
  const Intrinsics& in = depth.intrinsics;
  const double aside_mm = 0.13 * (k % 8);
  for (int y = 0; y < in.height_px; ++y)
    for (int x = 0; x < in.width_px; ++x) {
      const double ray = (x - in.cx_px) / in.fx_px;
      const double right = (ridge_mm + kSlope * aside_mm) / (1 - kSlope * ray);
      const double left = (ridge_mm - kSlope * aside_mm) / (1 + kSlope * ray);
      depth.depth_mm[static_cast<std::size_t>(y * in.width_px + x)] =
          static_cast<float>(std::max(left, right));
    }
  KeptFrame kept{.packed = std::make_shared<const std::vector<std::uint8_t>>(pack(depth, 2e-6F))};
  kept.model_from_sensor.translation() = Eigen::Vector3d(kRidgeAtMm + aside_mm, 0, 0);
  return kept;
}
ScanLog ridge_log() {
  ScanLog log;
  for (int k = 0; k < kFrames; ++k) EXPECT_TRUE(log.apply(ridge_frame(k)));
  return log;
}

ReconstructionOptions coarse_options() {
  ReconstructionOptions options = small_options();
  options.voxel_mm = kVoxelMm;
  return options;
}
NoiseModel noise() { return {coarse_options(), small_camera()}; }

Mesh fused(const ScanLog& log) {
  const ReconstructionOptions options = coarse_options();
  WorkerPool pool(2);
  Volume volume(options.voxel_mm, options.voxel_mm * options.truncation_voxels,
                options.max_volume_bytes);
  EXPECT_TRUE(fuse_log(log, noise(), volume, pool, {}).ok());
  return extract_mesh(volume, kMinKeptWeight, pool);
}
DetailReport refine_detail(Mesh& mesh, const ScanLog& log, int threads = 2) {
  WorkerPool pool(threads);
  const auto report = add_detail(mesh, log, kVoxelMm, noise(), pool);
  EXPECT_TRUE(report.ok());
  return report.ok() ? *report : DetailReport{};
}

// Away from the rim of what was seen.
bool inner(const Eigen::Vector3f& p) { return std::abs(p.x()) < 20 && std::abs(p.y()) < 15; }
// How far the mesh lies behind the ridge, mean along it.
double blunt_mm(const Mesh& mesh) {
  double sum_mm = 0;
  int crossings = 0;
  for (const auto& triangle : mesh.triangles)
    for (std::size_t k = 0; k < 3; ++k) {
      const Eigen::Vector3f& a = mesh.vertices_mm[triangle[k]];
      const Eigen::Vector3f& b = mesh.vertices_mm[triangle[(k + 1) % 3]];
      constexpr auto kAt = static_cast<float>(kRidgeAtMm);
      if (!inner(a) || a.x() >= kAt || b.x() < kAt) continue;
      const float share = (kAt - a.x()) / (b.x() - a.x());
      sum_mm += static_cast<double>(a.z() + share * (b.z() - a.z())) - kRidgeMm;
      ++crossings;
    }
  return sum_mm / crossings;
}
bool same_bits(const Mesh& a, const Mesh& b) {
  return a.triangles == b.triangles && a.vertices_mm.size() == b.vertices_mm.size() &&
         std::memcmp(a.vertices_mm.data(), b.vertices_mm.data(),
                     a.vertices_mm.size() * sizeof(Eigen::Vector3f)) == 0;
}

TEST(Detail, MakesARidgeSharpThatTheVoxelsRoundedOff) {
  const ScanLog log = ridge_log();
  Mesh mesh = fused(log);
  const double before_mm = blunt_mm(mesh);
  ASSERT_GT(before_mm, 0.1);
  const DetailReport report = refine_detail(mesh, log);
  EXPECT_GT(report.added, 100U);
  EXPECT_GT(report.moved, report.added);
  EXPECT_LT(std::abs(blunt_mm(mesh)), before_mm / 2);
  EXPECT_EQ(testing::manifold_fault(mesh), "");
  EXPECT_EQ(mesh.normals.size(), mesh.vertices_mm.size());
}

TEST(Detail, LeavesWhatIsFlatAsItIs) {
  const ScanLog log = ridge_log();
  const Mesh before = fused(log);
  Mesh mesh = before;
  refine_detail(mesh, log);
  std::size_t flat = 0;
  for (std::size_t i = 0; i < before.vertices_mm.size(); ++i) {
    const Eigen::Vector3f& p = before.vertices_mm[i];
    if (!inner(p) || std::abs(p.x()) < 4) continue;
    ++flat;
    EXPECT_EQ(p, mesh.vertices_mm[i]);
  }
  EXPECT_GT(flat, 500U);
}

TEST(Detail, OpensNoGap) {
  const ScanLog log = ridge_log();
  Mesh mesh = fused(log);
  const auto border_edges = [](const Mesh& some) {
    WorkerPool pool(1);
    return std::ranges::count(find_twins(some, find_corners(some), pool).of, kNoTwin);
  };
  const auto before = border_edges(mesh);
  refine_detail(mesh, log);
  EXPECT_EQ(border_edges(mesh), before);
}

TEST(Detail, GivesTheSameBitsWithAnyNumberOfThreads) {
  const ScanLog log = ridge_log();
  const Mesh coarse = fused(log);
  Mesh one = coarse, three = coarse;
  refine_detail(one, log, 1);
  refine_detail(three, log, 3);
  EXPECT_TRUE(same_bits(one, three));
}

TEST(Detail, AsksForNothingFinerThanPixels) {
  const ScanLog log = ridge_log();
  Mesh mesh = fused(log);
  const Mesh before = mesh;
  Calibration few_pixels = small_camera();
  few_pixels.depth.fx_px = few_pixels.depth.fy_px = 40;  // 1.9 mm wide
  WorkerPool pool(2);
  const auto report =
      add_detail(mesh, log, kVoxelMm, NoiseModel(coarse_options(), few_pixels), pool);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->added, 0U);
  EXPECT_TRUE(same_bits(mesh, before));
}

TEST(Detail, WhatIsLockedStays) {
  ScanLog log = ridge_log();
  const Mesh before = fused(log);
  const Region everything = Brush{.path_mm = {{0, 0, kRidgeMm}}, .radius_mm = 200};
  ASSERT_TRUE(log.apply(ScanEntry(Lock{everything})));
  Mesh mesh = before;
  const DetailReport report = refine_detail(mesh, log);
  EXPECT_EQ(report.added, 0U);
  EXPECT_EQ(report.moved, 0U);
  EXPECT_GT(report.time.count(), 0);
  EXPECT_TRUE(same_bits(mesh, before));
}

TEST(Detail, CutsNoEdgeThatEndsWhereItIsLocked) {
  ScanLog log = ridge_log();
  const Mesh before = fused(log);
  ASSERT_TRUE(log.apply(
      ScanEntry(Lock{Brush{.path_mm = {{0, 40, kRidgeMm}}, .radius_mm = 40}})));  // y > 0 nearly
  WorkerPool pool(2);
  const auto marks = edit_marks(before.vertices_mm, kVoxelMm, log, pool, {});
  ASSERT_TRUE(marks.ok());
  Mesh mesh = before;
  ASSERT_GT(refine_detail(mesh, log).added, 50U);
  const auto edges_at_locks = [&](const Mesh& of) {
    std::set<std::pair<std::uint32_t, std::uint32_t>> edges;
    for (const auto& triangle : of.triangles)
      for (std::size_t k = 0; k < 3; ++k) {
        const auto [a, b] = std::minmax(triangle[k], triangle[(k + 1) % 3]);
        if (a < before.vertices_mm.size() && b < before.vertices_mm.size() &&
            (marks->locked(a) || marks->locked(b)))
          edges.emplace(a, b);
      }
    return edges;
  };
  const auto all = edges_at_locks(before), left = edges_at_locks(mesh);
  EXPECT_GT(all.size(), 1000U);
  EXPECT_TRUE(std::ranges::includes(left, all));
}

TEST(Detail, FramesDuringALockDoNotTellOfItEvenAfterIt) {
  constexpr double kLower = 0.5;
  const Region everything = Brush{.path_mm = {{0, 0, kRidgeMm}}, .radius_mm = 200};
  ScanLog log = ridge_log();
  ASSERT_TRUE(log.apply(ScanEntry(Lock{everything})));
  ASSERT_TRUE(log.apply(ScanEntry(Cut{everything})));  // a lock holds against a cut too
  for (int k = 0; k < kFrames; ++k) ASSERT_TRUE(log.apply(ridge_frame(k, kRidgeMm + kLower)));
  ASSERT_TRUE(log.apply(ScanEntry(UnlockAll{})));
  const Mesh coarse = fused(ridge_log());
  ASSERT_TRUE(same_bits(fused(log), coarse));
  Mesh mesh = coarse, wanted = coarse;
  refine_detail(mesh, log);
  EXPECT_GT(refine_detail(wanted, ridge_log()).moved, 0U);
  EXPECT_TRUE(same_bits(mesh, wanted));
}

TEST(Detail, WhatNoPixelMeasuredStaysAsFlatAsItWas) {
  ScanLog log = ridge_log();
  const Mesh before = fused(log);
  // Of one half there are no frames left.
  ASSERT_TRUE(log.apply(ScanEntry(Cut{Brush{.path_mm = {{0, 100, kRidgeMm}}, .radius_mm = 100}})));
  Mesh mesh = before;
  ASSERT_GT(refine_detail(mesh, log).moved, 50U);
  WorkerPool pool(2);
  const NearestSurface old(before, pool);
  std::size_t unmeasured = 0;
  double farthest_mm = 0;
  for (std::size_t i = before.vertices_mm.size(); i < mesh.vertices_mm.size(); ++i) {
    if (mesh.vertices_mm[i].y() < 2) continue;
    ++unmeasured;
    const auto nearest = old.find(mesh.vertices_mm[i], 1);
    ASSERT_TRUE(nearest);
    farthest_mm = std::max(farthest_mm, static_cast<double>(nearest->distance_mm));
  }
  EXPECT_GT(unmeasured, 50U);
  EXPECT_LT(farthest_mm, 1e-4);
}

TEST(Detail, EarlierFramesDoNotTellOfWhatCameAfterACut) {
  // Cut away and scanned again, it is a little lower: within the gate of the frames before.
  constexpr double kLower = 0.5;
  const Region everything = Brush{.path_mm = {{0, 0, kRidgeMm}}, .radius_mm = 200};
  ScanLog log = ridge_log();
  ASSERT_TRUE(log.apply(ScanEntry(Cut{everything})));
  ScanLog only_later;
  for (int k = 0; k < kFrames; ++k) {
    ASSERT_TRUE(log.apply(ridge_frame(k, kRidgeMm + kLower)));
    ASSERT_TRUE(only_later.apply(ridge_frame(k, kRidgeMm + kLower)));
  }
  const Mesh coarse = fused(only_later);
  Mesh mesh = coarse, wanted = coarse;
  refine_detail(mesh, log);
  refine_detail(wanted, only_later);
  EXPECT_TRUE(same_bits(mesh, wanted));
}

TEST(Detail, CorrectsByTheLogsWarp) {
  ScanLog log = ridge_log();
  DepthWarp::Terms terms_um{};
  terms_um[2] = -500;  // the square of x
  const Intrinsics& in = small_camera().depth;
  const DepthWarp warp(in.width_px, in.height_px, terms_um);
  const double middle_mm = warp.at(in.cx_px, in.cy_px);
  ASSERT_GT(std::abs(middle_mm), 0.2);
  ASSERT_TRUE(log.apply(NewPoses{{}, warp}));
  Mesh mesh = fused(log);
  refine_detail(mesh, log);
  float nearest_mm = 1000;
  for (const auto& p : mesh.vertices_mm)
    if (inner(p)) nearest_mm = std::min(nearest_mm, p.z());
  EXPECT_NEAR(nearest_mm, kRidgeMm + middle_mm, 0.15);
}

TEST(Detail, LivesWithNothingAndWithDamage) {
  WorkerPool pool(2);
  Mesh nothing;
  EXPECT_EQ(add_detail(nothing, ridge_log(), kVoxelMm, noise(), pool)->added, 0U);

  ScanLog damaged;
  for (int k = 0; k < kFrames; ++k) {
    ASSERT_TRUE(damaged.apply(
        ScanEntry(KeptFrame{.packed = std::make_shared<const std::vector<std::uint8_t>>(
                                std::vector<std::uint8_t>{7})})));
    ASSERT_TRUE(damaged.apply(ridge_frame(k)));
  }
  const Mesh coarse = fused(ridge_log());
  Mesh whole = coarse, mesh = coarse;
  refine_detail(whole, ridge_log());
  refine_detail(mesh, damaged);
  EXPECT_TRUE(same_bits(whole, mesh));

  std::stop_source stop;
  stop.request_stop();
  Mesh stopped = coarse;
  const auto report = add_detail(stopped, ridge_log(), kVoxelMm, noise(), pool,
                                 {.progress = {}, .stop = stop.get_token()});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
}

TEST(Detail, IsStoppedBeforeItHalvesAnything) {
  std::stop_source stop;
  stop.request_stop();
  const Mesh coarse = fused(ridge_log());
  Mesh mesh = coarse;
  WorkerPool pool(2);
  const auto report = add_detail(mesh, ridge_log(), kVoxelMm, noise(), pool,
                                 {.progress = {}, .stop = stop.get_token()});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(same_bits(mesh, coarse));
}

}  // namespace
}  // namespace cusp
