#include "pipeline/presence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "pipeline/packed_frame.h"
#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

using testing::small_camera;
using testing::small_options;

constexpr double kWallMm = 90, kTongueMm = 85;
constexpr int kFrames = 24;
// Columns of the picture.
constexpr int kWallFrom = 20, kWallTo = 140, kTongueFrom = 180, kTongueTo = 300;

// A patch of the picture at a depth, facing the camera.
void add_patch(Mesh& mesh, int from_px, int to_px, double depth_mm) {
  const Intrinsics in = small_camera().depth;
  constexpr int kStepPx = 4, kTopPx = 20;
  const int columns = (to_px - from_px) / kStepPx + 1;
  const int rows = (in.height_px - 2 * kTopPx) / kStepPx + 1;
  const auto first = static_cast<std::uint32_t>(mesh.vertices_mm.size());
  for (int y = 0; y < rows; ++y)
    for (int x = 0; x < columns; ++x)
      mesh.vertices_mm.push_back(
          Eigen::Vector3d((from_px + kStepPx * x - in.cx_px) / in.fx_px * depth_mm,
                          (kTopPx + kStepPx * y - in.cy_px) / in.fy_px * depth_mm, depth_mm)
              .cast<float>());
  for (int y = 0; y + 1 < rows; ++y)
    for (int x = 0; x + 1 < columns; ++x) {
      const auto a = first + static_cast<std::uint32_t>(y * columns + x);
      const auto below = a + static_cast<std::uint32_t>(columns);
      mesh.triangles.push_back({a, below, a + 1});
      mesh.triangles.push_back({a + 1, below, below + 1});
    }
}
Mesh wall_and_tongue() {
  Mesh mesh;
  add_patch(mesh, kWallFrom, kWallTo, kWallMm);
  add_patch(mesh, kTongueFrom, kTongueTo, kTongueMm);
  return mesh;
}
std::size_t triangles_at(const Mesh& mesh, double depth_mm) {
  return static_cast<std::size_t>(std::ranges::count_if(mesh.triangles, [&](const auto& triangle) {
    return std::abs(mesh.vertices_mm[triangle[0]].z() - depth_mm) < 1;
  }));
}

// The wall on the left; on the right the tongue where it is shown, and behind it what there is.
ScanEntry frame(bool tongue, double behind_mm = 0) {
  DepthFrame depth = testing::tilted_plane({0, 0, -1}, -kWallMm);
  const int width = depth.intrinsics.width_px;
  for (std::size_t i = 0; i < depth.depth_mm.size(); ++i)
    if (static_cast<int>(i) % width > (kWallTo + kTongueFrom) / 2)
      depth.depth_mm[i] = static_cast<float>(tongue ? kTongueMm : behind_mm);
  return KeptFrame{.packed = std::make_shared<const std::vector<std::uint8_t>>(pack(depth, 2e-6F))};
}
ScanLog log_of(const std::function<bool(int)>& shows_tongue, double behind_mm = 0) {
  ScanLog log;
  for (int k = 0; k < kFrames; ++k) EXPECT_TRUE(log.apply(frame(shows_tongue(k), behind_mm)));
  return log;
}
const Region& right_half() {
  static const Region region = Brush{.path_mm = {{30, -30, 85}, {30, 30, 85}}, .radius_mm = 60};
  return region;
}
Mesh after(const ScanLog& log) {
  WorkerPool pool(2);
  Mesh mesh = wall_and_tongue();
  const std::size_t before = mesh.triangles.size();
  const auto dropped = drop_absent(mesh, log, small_options(), pool, {});
  EXPECT_TRUE(dropped.ok());
  EXPECT_EQ(before - mesh.triangles.size(), dropped.ok() ? *dropped : 0);
  return mesh;
}
bool for_a_moment(int k) { return k >= 8 && k < 14; }

TEST(Presence, KeepsWhatEveryFrameSaw) {
  const Mesh whole = wall_and_tongue();
  const Mesh mesh = after(log_of([](int) { return true; }));
  EXPECT_EQ(mesh.triangles.size(), whole.triangles.size());
}

TEST(Presence, DropsWhatWasThereForAMomentBesideNothing) {
  const Mesh mesh = after(log_of(for_a_moment));
  EXPECT_EQ(triangles_at(mesh, kTongueMm), 0U);
  EXPECT_EQ(triangles_at(mesh, kWallMm), triangles_at(wall_and_tongue(), kWallMm));
}

TEST(Presence, DropsWhatWasThereForAMomentBeforeSomethingElse) {
  EXPECT_EQ(triangles_at(after(log_of(for_a_moment, 100)), kTongueMm), 0U);
}

TEST(Presence, WhatStandsInFrontSaysNothing) {
  const Mesh mesh = after(log_of(for_a_moment, 70));
  EXPECT_EQ(triangles_at(mesh, kTongueMm), triangles_at(wall_and_tongue(), kTongueMm));
}

TEST(Presence, EarlierFramesDoNotTellOfWhatCameAfterACut) {
  ScanLog log = log_of([](int) { return false; });
  ASSERT_TRUE(log.apply(ScanEntry(Cut{right_half()})));
  for (int k = 0; k < 4; ++k) ASSERT_TRUE(log.apply(frame(true)));
  EXPECT_GT(triangles_at(after(log), kTongueMm), 0U);
}

TEST(Presence, KeepsWhatIsLocked) {
  ScanLog log = log_of(for_a_moment);
  ASSERT_TRUE(log.apply(ScanEntry(Lock{right_half()})));
  EXPECT_EQ(triangles_at(after(log), kTongueMm), triangles_at(wall_and_tongue(), kTongueMm));
  ASSERT_TRUE(log.apply(ScanEntry(UnlockAll{})));
  EXPECT_EQ(triangles_at(after(log), kTongueMm), 0U);
}

TEST(Presence, FramesDuringALockSayNothingOfItEvenAfterIt) {
  ScanLog log;
  const auto show = [&](int frames, bool tongue) {
    for (int k = 0; k < frames; ++k) ASSERT_TRUE(log.apply(frame(tongue)));
  };
  show(8, true);
  ASSERT_TRUE(log.apply(ScanEntry(Lock{right_half()})));
  ASSERT_TRUE(log.apply(ScanEntry(Cut{right_half()})));  // a lock holds against a cut too
  show(20, false);
  ASSERT_TRUE(log.apply(ScanEntry(UnlockAll{})));
  EXPECT_EQ(triangles_at(after(log), kTongueMm), triangles_at(wall_and_tongue(), kTongueMm));
  // Those that come after it speak of it again.
  show(30, false);
  EXPECT_EQ(triangles_at(after(log), kTongueMm), 0U);
}

TEST(Presence, DropsAnIslandOfWhichAFewFramesMissedASide) {
  ScanLog log;
  for (int k = 0; k < kFrames; ++k) {
    const bool tongue = k >= 8 && k < 12;
    DepthFrame depth = testing::tilted_plane({0, 0, -1}, -kWallMm);
    const int width = depth.intrinsics.width_px;
    for (std::size_t i = 0; i < depth.depth_mm.size(); ++i) {
      const int u = static_cast<int>(i) % width;
      if (u <= (kWallTo + kTongueFrom) / 2) continue;
      // Something in front hides the rest, and most of the time all of it.
      const bool hidden = u > (kTongueFrom + kTongueTo) / 2 || k < 14 || k >= 22;
      depth.depth_mm[i] = static_cast<float>(tongue ? kTongueMm : hidden ? 60 : 0);
    }
    ASSERT_TRUE(log.apply(ScanEntry(KeptFrame{
        .packed = std::make_shared<const std::vector<std::uint8_t>>(pack(depth, 2e-6F))})));
  }
  const Mesh mesh = after(log);
  EXPECT_EQ(triangles_at(mesh, kTongueMm), 0U);
  EXPECT_EQ(triangles_at(mesh, kWallMm), triangles_at(wall_and_tongue(), kWallMm));
}

TEST(Presence, LivesWithNothingAndWithDamage) {
  WorkerPool pool(2);
  Mesh nothing;
  EXPECT_EQ(*drop_absent(nothing, log_of(for_a_moment), small_options(), pool, {}), 0U);
  Mesh mesh = wall_and_tongue();
  EXPECT_EQ(*drop_absent(mesh, ScanLog(), small_options(), pool, {}), 0U);
  ScanLog damaged;
  for (int k = 0; k < kFrames; ++k)
    ASSERT_TRUE(damaged.apply(
        ScanEntry(KeptFrame{.packed = std::make_shared<const std::vector<std::uint8_t>>(
                                std::vector<std::uint8_t>{7})})));
  EXPECT_EQ(*drop_absent(mesh, damaged, small_options(), pool, {}), 0U);
  std::stop_source stop;
  stop.request_stop();
  const auto stopped =
      drop_absent(mesh, log_of(for_a_moment), small_options(), pool, stop.get_token());
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace cusp
