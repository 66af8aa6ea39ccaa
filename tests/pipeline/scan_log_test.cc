// The log of a scan: what is applied can be undone, what is written is read, and damage is told.
#include "pipeline/scan_log.h"

#include <gtest/gtest.h>

#include <random>

namespace cusp {
namespace {

using std::chrono::milliseconds;

RigidTransform pose(double x) {
  RigidTransform pose = RigidTransform::Identity();
  pose.linear() =
      Eigen::AngleAxisd(0.1 * x, Eigen::Vector3d(1, 2, 3).normalized()).toRotationMatrix();
  pose.translation() = Eigen::Vector3d(x, -x, 2 * x);
  return pose;
}

ScanEntry frame(int k) {
  return KeptFrame{.model_from_sensor = pose(k),
                   .scan_time = milliseconds(100 * k),
                   .packed = std::make_shared<const std::vector<std::uint8_t>>(
                       std::size_t{10}, static_cast<std::uint8_t>(k))};
}
ScanEntry cut() { return Cut{Brush{.path_mm = {{1, 2, 3}}, .radius_mm = 0.5F}}; }

DepthWarp warp() {
  DepthWarp::Terms terms_um{};
  terms_um[3] = 1.5;
  terms_um.back() = -0.25;
  return {640, 480, terms_um};
}

Lasso lasso() {
  return {.view_from_model = pose(1),
          .focal = 500,
          .outline = {{0, 0}, {5, 0}, {0, 5}},
          .near_mm = 1,
          .far_mm = 9};
}

TEST(ScanLog, GoesBackByTheTimeOfScanning) {
  ScanLog log;
  for (int k = 0; k < 10; ++k) ASSERT_TRUE(log.apply(frame(k)));
  ASSERT_TRUE(log.apply(cut()));
  EXPECT_EQ(log.frames(), 10U);
  const std::uint64_t before = log.entries_before(milliseconds(300));
  EXPECT_EQ(before, 7U);
  ASSERT_TRUE(log.apply(Rewind{before}));
  EXPECT_EQ(log.frames(), 7U);
  EXPECT_EQ(log.entries().size(), 7U);  // the cut came after the frames that went
  EXPECT_EQ(log.scan_time(), milliseconds(600));
  EXPECT_EQ(log.entries_before(milliseconds(100'000)), 0U);
  EXPECT_EQ(log.entries_before(milliseconds(-1)), 7U);
  ASSERT_TRUE(log.apply(Rewind{0}));
  EXPECT_EQ(log.bytes(), 0U);
  EXPECT_EQ(log.entries_before(milliseconds(5)), 0U);
}

TEST(ScanLog, GivesItsFramesNewPoses) {
  ScanLog log;
  log.apply(frame(0));
  log.apply(cut());
  log.apply(frame(1));
  ASSERT_TRUE(log.apply(NewPoses{{pose(5), pose(6)}}));
  EXPECT_TRUE(std::get<KeptFrame>(log.entries()[2]).model_from_sensor.isApprox(pose(6)));
  EXPECT_TRUE(log.warp().is_none());
  ASSERT_TRUE(log.apply(NewPoses{{pose(5)}, warp()}));
  EXPECT_EQ(log.warp().coefficients_um(), warp().coefficients_um());
  EXPECT_FALSE(log.apply(NewPoses{{pose(1), pose(2), pose(3)}}));
  EXPECT_FALSE(log.apply(Rewind{4}));
}

TEST(ScanLog, ReadsWhatItWrote) {
  const std::vector<ScanRecord> records = {frame(3),
                                           cut(),
                                           ScanEntry(Lock{lasso()}),
                                           ScanEntry(UnlockAll{}),
                                           Rewind{2},
                                           NewPoses{{pose(1), pose(2)}},
                                           NewPoses{{pose(1)}, warp()}};
  for (const ScanRecord& record : records) {
    const auto back = scan_record(to_bytes(record));
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(to_bytes(*back), to_bytes(record));
    EXPECT_EQ(back->index(), record.index());
  }
  const auto back = scan_record(to_bytes(records[2]));
  const auto& read = std::get<Lasso>(std::get<Lock>(std::get<ScanEntry>(*back)).region);
  EXPECT_EQ(read.outline, lasso().outline);
  EXPECT_EQ(read.far_mm, 9);
  const auto poses = std::get<NewPoses>(*scan_record(to_bytes(records.back())));
  EXPECT_EQ(poses.warp.coefficients_um(), warp().coefficients_um());
  EXPECT_EQ(poses.warp.width_px(), 640);
}

TEST(ScanLog, TellsDamagedRecords) {
  std::minstd_rand random(1);
  for (const ScanRecord& record :
       {ScanRecord(frame(3)), ScanRecord(ScanEntry(Lock{lasso()})), ScanRecord(Rewind{2})}) {
    const auto bytes = to_bytes(record);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut)
      EXPECT_FALSE(scan_record(std::span(bytes).first(cut)).ok());
    for (int round = 0; round < 300; ++round) {
      auto damaged = bytes;
      damaged[random() % damaged.size()] ^= static_cast<std::uint8_t>(1U << (random() % 8));
      const auto back = scan_record(damaged);
      if (back.ok()) {
        EXPECT_EQ(to_bytes(*back), bytes);
      }
    }
  }
}

TEST(ScanLog, RefusesAWarpThatIsNotANumber) {
  DepthWarp::Terms terms_um{};
  terms_um[2] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(scan_record(to_bytes(NewPoses{{pose(1)}, DepthWarp(640, 480, terms_um)})).ok());
}

TEST(ScanLog, RefusesARegionThatCannotBeMeant) {
  Lasso wrong = lasso();
  wrong.outline[0].x() = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(scan_record(to_bytes(ScanEntry(Cut{wrong}))).ok());
}

TEST(ScanLog, KeepsEveryThirdFrameAndThoseInWhichTheSensorMovedOn) {
  const KeepRule rule;
  EXPECT_TRUE(rule.keeps(pose(0), pose(0), 15, rule.first, 1));
  RigidTransform moved = pose(0);
  EXPECT_FALSE(rule.keeps(pose(0), moved, 15, 99, 2));
  EXPECT_TRUE(rule.keeps(pose(0), moved, 15, 99, 3));
  moved.translation().x() = 0.8;
  EXPECT_TRUE(rule.keeps(pose(0), moved, 15, 99, 1));
  EXPECT_FALSE(rule.keeps(pose(0), moved, 80, 99, 1));
  moved = pose(0);
  moved.linear() = Eigen::AngleAxisd(0.1, Eigen::Vector3d::UnitZ()).toRotationMatrix();
  EXPECT_TRUE(rule.keeps(pose(0), moved, 15, 99, 1));
}

}  // namespace
}  // namespace cusp
