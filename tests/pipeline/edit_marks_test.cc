// Which frames may speak of what after cuts and locks: those that the volume took there.
#include "pipeline/edit_marks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "pipeline/edit.h"
#include "pipeline/fuse_log.h"
#include "pipeline/mesh.h"
#include "pipeline/packed_frame.h"
#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

using testing::small_camera;
using testing::small_options;

constexpr double kVoxelMm = 1;
const std::vector<Eigen::Vector3f> kPoints = {{0, 0, 0}, {50, 0, 0}};
const Region kFirst = Brush{.path_mm = {{0, 0, 0}}, .radius_mm = 20};
const Region kBoth = Brush{.path_mm = {{0, 0, 0}}, .radius_mm = 80};

// A log in which 10 frames come before each edit and after the last.
ScanLog log_of(std::vector<ScanEntry> edits) {
  ScanLog log;
  const auto ten_frames = [&] {
    for (int k = 0; k < 10; ++k)
      ASSERT_TRUE(log.apply(
          ScanEntry(KeptFrame{.packed = std::make_shared<const std::vector<std::uint8_t>>()})));
  };
  ten_frames();
  for (ScanEntry& edit : edits) {
    EXPECT_TRUE(log.apply(std::move(edit)));
    ten_frames();
  }
  return log;
}
EditMarks marks_of(const std::vector<Eigen::Vector3f>& points, const ScanLog& log) {
  WorkerPool pool(2);
  auto marks = edit_marks(points, kVoxelMm, log, pool, {});
  EXPECT_TRUE(marks.ok());
  return marks.ok() ? std::move(*marks) : EditMarks();
}
// Of each ten frames '1' where all count, '0' where none does; then 'L' where it is locked.
std::string past(const std::vector<ScanEntry>& edits, std::size_t point = 0) {
  const ScanLog log = log_of(edits);
  const EditMarks marks = marks_of(kPoints, log);
  std::string text;
  for (std::size_t ten = 0; ten * 10 < log.frames(); ++ten) {
    int count = 0;
    for (std::size_t k = 0; k < 10; ++k) count += marks.counts(point, 10 * ten + k) ? 1 : 0;
    text += count == 0 ? '0' : count == 10 ? '1' : '?';
  }
  return text + (marks.locked(point) ? "L" : "");
}

TEST(EditMarks, WithoutEditsEveryFrameCounts) { EXPECT_EQ(past({}), "1"); }

TEST(EditMarks, ACutForgetsWhatWasBeforeIt) {
  EXPECT_EQ(past({Cut{kFirst}}), "01");
  EXPECT_EQ(past({Cut{kFirst}}, 1), "11");
  EXPECT_EQ(past({Cut{kBoth}, Cut{kFirst}}), "001");
  EXPECT_EQ(past({Cut{kBoth}, Cut{kFirst}}, 1), "011");
}

TEST(EditMarks, FramesDuringALockNeverCount) {
  EXPECT_EQ(past({Lock{kFirst}}), "10L");
  EXPECT_EQ(past({Lock{kFirst}}, 1), "11");
  EXPECT_EQ(past({Lock{kFirst}, UnlockAll{}}), "101");
  EXPECT_EQ(past({Lock{kFirst}, Lock{kBoth}, UnlockAll{}}), "1001");
  EXPECT_EQ(past({Lock{kFirst}, Lock{kBoth}, UnlockAll{}}, 1), "1101");
  EXPECT_EQ(past({Lock{kFirst}, UnlockAll{}, Lock{kBoth}, UnlockAll{}}), "10101");
  EXPECT_EQ(past({Lock{kFirst}, UnlockAll{}, Lock{kBoth}}, 1), "1110L");
}

TEST(EditMarks, ALockHoldsAgainstACut) {
  EXPECT_EQ(past({Lock{kFirst}, Cut{kBoth}}), "100L");
  EXPECT_EQ(past({Lock{kFirst}, Cut{kBoth}}, 1), "001");
  EXPECT_EQ(past({Lock{kFirst}, Cut{kBoth}, UnlockAll{}}), "1001");
  EXPECT_EQ(past({Lock{kFirst}, UnlockAll{}, Cut{kBoth}}), "0001");
  EXPECT_EQ(past({Cut{kBoth}, Lock{kFirst}, Cut{kBoth}, UnlockAll{}}), "01001");
}

TEST(EditMarks, ALockThatNoFrameCameInLeavesNothing) {
  ScanLog log = log_of({});
  ASSERT_TRUE(log.apply(ScanEntry(Lock{kBoth})));
  EXPECT_TRUE(marks_of(kPoints, log).locked(0));
  ASSERT_TRUE(log.apply(ScanEntry(UnlockAll{})));
  const EditMarks marks = marks_of(kPoints, log);
  EXPECT_FALSE(marks.locked(0));
  EXPECT_TRUE(marks.counts(0, 9));
  EXPECT_TRUE(marks.counts(0, 10));
}

TEST(EditMarks, LocksWhatAVolumeLocks) {
  constexpr double kWallMm = 90;
  ScanLog log;
  const DepthFrame wall = testing::tilted_plane({0.3, 0.2, -1}, -kWallMm);
  for (int k = 0; k < 8; ++k)
    ASSERT_TRUE(log.apply(ScanEntry(KeptFrame{
        .packed = std::make_shared<const std::vector<std::uint8_t>>(pack(wall, 2e-6F))})));
  ASSERT_TRUE(log.apply(ScanEntry(
      Lock{Brush{.path_mm = {{-9, 3, 87}, {-2, 5, 90}, {11, -7, 91}}, .radius_mm = 8.3F}})));
  WorkerPool pool(2);
  Volume volume(kVoxelMm, 4 * kVoxelMm, std::size_t{1} << 28);
  const NoiseModel noise(small_options(), small_camera());
  ASSERT_TRUE(fuse_log(log, noise, volume, pool, {}).ok());
  const Mesh mesh = extract_mesh(volume, kMinKeptWeight, pool);
  const EditMarks marks = marks_of(mesh.vertices_mm, log);
  std::size_t locked = 0;
  for (std::size_t i = 0; i < mesh.vertices_mm.size(); ++i) {
    const Eigen::Vector3i voxel = mesh.vertices_mm[i].array().round().cast<int>();
    const std::size_t block = volume.find(block_of_voxel(voxel));
    if (block == Volume::kNone) continue;
    EXPECT_EQ(marks.locked(i), volume.info(block).locked);
    locked += marks.locked(i) ? 1 : 0;
  }
  EXPECT_GT(locked, 200U);
  EXPECT_LT(locked, mesh.vertices_mm.size() / 2);
}

TEST(EditMarks, AsksNoGroupTooFew) {
  // Points in order along a line, so that a group's ball fits it well.
  std::mt19937 random(5);
  const auto within = [&](float low, float high) {
    return low + (high - low) * static_cast<float>(random()) / 4294967296.0F;
  };
  std::vector<Eigen::Vector3f> points;
  for (int i = 0; i < 40'000; ++i) points.emplace_back(within(0, 100), within(3, 4), within(3, 4));
  std::ranges::sort(points, {}, [](const auto& p) { return p.x(); });
  int cut = 0, locked = 0;
  for (int round = 0; round < 40; ++round) {
    Brush brush{.path_mm = {}, .radius_mm = within(1, 6)};
    Eigen::Vector3f at(within(0, 100), within(3, 4), within(3, 4));
    for (int k = 0; k < 50; ++k) {
      brush.path_mm.push_back(at);
      at += Eigen::Vector3f(within(-1, 1), within(-1, 1), within(-1, 1));
    }
    const RegionTest test(brush);
    const EditMarks cuts = marks_of(points, log_of({Cut{brush}}));
    const EditMarks locks = marks_of(points, log_of({Lock{brush}}));
    for (std::size_t i = 0; i < points.size(); ++i) {
      const Eigen::Vector3i voxel = points[i].array().round().cast<int>();
      const Eigen::Vector3f middle = middle_of_block(block_of_voxel(voxel), kVoxelMm);
      ASSERT_EQ(!cuts.counts(i, 0), test.contains(points[i]));
      ASSERT_EQ(locks.locked(i), test.contains(middle));
      cut += cuts.counts(i, 0) ? 0 : 1;
      locked += locks.locked(i) ? 1 : 0;
    }
  }
  EXPECT_GT(cut, 1000);
  EXPECT_GT(locked, 1000);
}

TEST(EditMarks, CanBeStopped) {
  std::stop_source stop;
  stop.request_stop();
  WorkerPool pool(2);
  const auto stopped = edit_marks(kPoints, kVoxelMm, log_of({Cut{kFirst}}), pool, stop.get_token());
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace cusp
