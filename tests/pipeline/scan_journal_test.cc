// Journals: what was appended whole is read back, wherever the power went.
#include "pipeline/scan_journal.h"

#include <gtest/gtest.h>

#include <random>
#include <span>

#include "pipeline/record_bytes.h"

namespace cusp {
namespace {

JournalBegin wand() {
  JournalBegin begin{
      .device_serial = "wand-0012",
      .started_at = "2026-01-02T03:04:05Z",
      .options = {.voxel_mm = 0.05, .min_depth_mm = 5, .max_depth_mm = 30, .hair_at = 2.5}};
  Calibration& calibration = begin.calibration;
  calibration.id = "wand-1a2b";
  calibration.baseline_mm = 4;
  calibration.depth = {
      .width_px = 640, .height_px = 480, .fx_px = 600, .fy_px = 601, .cx_px = 320, .cy_px = 240};
  calibration.made_on = "2026-01-01";
  calibration.colour = ColourOptics{.intrinsics = calibration.depth, .distortion = {.k1 = 0.1}};
  calibration.colour->colour_from_depth.translation().x() = 7;
  FringeOptics fringe;
  fringe.camera_distortion.p2 = 0.02;
  fringe.projector = calibration.depth;
  fringe.projector_from_camera.translation().x() = 4;
  fringe.patterns = {{16, 0}, {16, 2.1}, {640, 0}};
  fringe.min_depth_mm = 8;
  fringe.max_depth_mm = 22;
  calibration.fringe = fringe;
  return begin;
}

ScanRecord frame(int k) {
  return ScanEntry(KeptFrame{.model_from_sensor = RigidTransform::Identity(),
                             .scan_time = std::chrono::milliseconds(k),
                             .packed = std::make_shared<const std::vector<std::uint8_t>>(
                                 std::size_t{100}, static_cast<std::uint8_t>(k))});
}

void append(std::vector<std::uint8_t>& file, const std::vector<std::uint8_t>& bytes) {
  file.insert(file.end(), bytes.begin(), bytes.end());
}

TEST(ScanJournal, TellsDeviceCalibrationAndOptions) {
  const auto journal = read_journal(journal_head(wand()));
  ASSERT_TRUE(journal.ok()) << journal.error().message;
  EXPECT_EQ(journal->begin.device_serial, "wand-0012");
  EXPECT_EQ(journal->begin.started_at, "2026-01-02T03:04:05Z");
  EXPECT_TRUE(measure_alike(journal->begin.calibration, wand().calibration));
  EXPECT_EQ(journal->begin.calibration.colour, wand().calibration.colour);
  EXPECT_EQ(journal->begin.calibration.made_on, "2026-01-01");
  EXPECT_EQ(journal->begin.options.voxel_mm, 0.05);
  EXPECT_EQ(journal->begin.options.hair_at, 2.5);
  EXPECT_EQ(journal_head(journal->begin), journal_head(wand()));
}

TEST(ScanJournal, OfBeforeHairWasToldKeepsIt) {
  const std::vector<std::uint8_t> head = journal_head(wand());
  constexpr std::size_t kMagicBytes = 8, kLengthBytes = 4;
  auto bytes =
      unseal(std::span(head).subspan(kMagicBytes + kLengthBytes), std::size_t{1} << 20, "head");
  ASSERT_TRUE(bytes.ok());
  bytes->resize(bytes->size() - sizeof(double));
  const std::vector<std::uint8_t> sealed = seal(*bytes);
  RecordWriter length;
  length.put(static_cast<std::uint32_t>(sealed.size()));
  std::vector<std::uint8_t> older(head.begin(), head.begin() + kMagicBytes);
  append(older, length.bytes());
  append(older, sealed);
  const auto journal = read_journal(older);
  ASSERT_TRUE(journal.ok()) << journal.error().message;
  EXPECT_EQ(journal->begin.options.voxel_mm, 0.05);
  EXPECT_EQ(journal->begin.options.hair_at, 0);
}

TEST(ScanJournal, EndsAtTheFirstRecordThatIsNotWhole) {
  std::vector<std::uint8_t> file = journal_head(wand());
  std::vector<std::size_t> ends = {file.size()};
  for (int k = 0; k < 4; ++k) {
    append(file, journal_bytes(frame(k)));
    ends.push_back(file.size());
  }
  for (std::size_t cut = 0; cut <= file.size(); ++cut) {
    const auto journal = read_journal(std::span(file).first(cut));
    ASSERT_EQ(journal.ok(), cut >= ends[0]) << cut;
    if (!journal.ok()) continue;
    std::size_t whole = 0;
    while (whole + 1 < ends.size() && ends[whole + 1] <= cut) ++whole;
    ASSERT_EQ(journal->log.frames(), whole);
    ASSERT_EQ(journal->whole_bytes, ends[whole]);
  }
}

TEST(ScanJournal, FollowsRewinds) {
  std::vector<std::uint8_t> file = journal_head(wand());
  for (int k = 0; k < 4; ++k) append(file, journal_bytes(frame(k)));
  append(file, journal_bytes(Rewind{1}));
  append(file, journal_bytes(frame(9)));
  const auto journal = read_journal(file);
  ASSERT_TRUE(journal.ok());
  ASSERT_EQ(journal->log.frames(), 2U);
  EXPECT_EQ(journal->log.scan_time(), std::chrono::milliseconds(9));
}

TEST(ScanJournal, NeverBelievesDamage) {
  std::vector<std::uint8_t> file = journal_head(wand());
  for (int k = 0; k < 4; ++k) append(file, journal_bytes(frame(k)));
  std::minstd_rand random(4);
  for (int round = 0; round < 1000; ++round) {
    auto damaged = file;
    damaged[random() % damaged.size()] ^= static_cast<std::uint8_t>(1U << (random() % 8));
    const auto journal = read_journal(damaged);
    if (journal.ok()) {
      EXPECT_LE(journal->log.frames(), 4U);
    }
  }
  EXPECT_FALSE(read_journal({}).ok());
  auto impossible = wand();
  impossible.options.voxel_mm = -1;
  EXPECT_FALSE(read_journal(journal_head(impossible)).ok());
}

}  // namespace
}  // namespace cusp
