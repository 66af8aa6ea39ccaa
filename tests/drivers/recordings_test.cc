// The folder of recordings: never beyond its limit, and the last one is always there.
#include "drivers/recording/recordings.h"

#include <gmock/gmock.h>

#include "tests/drivers/recording_fixture.h"

namespace cusp::recording {
namespace {

using State = RecordingEntry::State;

class RecordingsTest : public testing::Test {
 protected:
  std::unique_ptr<Recordings> open(std::uint64_t max_bytes, std::uint64_t min_free_bytes = 0) {
    auto made = Recordings::open({.folder = folder_ / "recordings",
                                  .max_bytes = max_bytes,
                                  .min_free_bytes = min_free_bytes,
                                  .program = "test"});
    EXPECT_TRUE(made.ok());
    return std::move(*made);
  }
  std::shared_ptr<Recording> begin(Recordings& recordings, int minute) {
    auto begun = recordings.begin("0012", "upper", kStart + std::chrono::minutes(minute));
    EXPECT_TRUE(begun.ok()) << begun.error().message;
    return *begun;
  }
  void record(Recordings& recordings, int minute, std::size_t bytes) {
    const auto recording = begin(recordings, minute);
    UsbmonRecord record;
    record.type = 'C';
    recording->write(record, Bytes(bytes, 1));
    recordings.finish(*recording);
  }
  static std::vector<std::string> ids(const Recordings& recordings) {
    std::vector<std::string> ids;
    for (const RecordingEntry& entry : recordings.list()) ids.push_back(entry.id);
    return ids;
  }

  static constexpr WallTime kStart{std::chrono::seconds(1'700'000'000)};  // 2023-11-14T22:13:20Z
  const fakes::TempFolder folder_;
};

TEST_F(RecordingsTest, TellWhenWhatAndOfWhom) {
  const auto recordings = open(1'000'000);
  record(*recordings, 0, 100);
  const auto running = begin(*recordings, 1);
  const auto list = recordings->list();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].id, "20231114T221320Z-0012-upper");
  EXPECT_EQ(list[0].started_at, "2023-11-14T22:13:20Z");
  EXPECT_EQ(list[0].serial, "0012");
  EXPECT_EQ(list[0].what, "upper");
  EXPECT_EQ(list[0].state, State::kWhole);
  EXPECT_EQ(list[0].size_bytes, std::filesystem::file_size(list[0].path));
  EXPECT_EQ(list[1].state, State::kRunning);
}

TEST_F(RecordingsTest, GiveTheOldestUpForTheNext) {
  const auto recordings = open(100'000);
  for (int minute = 0; minute < 6; ++minute) record(*recordings, minute, 20'000);
  // Before the sixth began, two of 20 kB fitted into half of the limit.
  EXPECT_THAT(ids(*recordings),
              testing::ElementsAre("20231114T221620Z-0012-upper", "20231114T221720Z-0012-upper",
                                   "20231114T221820Z-0012-upper"));
}

TEST_F(RecordingsTest, KeepTheLastOneWhileTheNextIsWritten) {
  const auto recordings = open(100'000);
  record(*recordings, 0, 1000);
  record(*recordings, 1, 49'000);
  const auto running = begin(*recordings, 2);
  EXPECT_THAT(ids(*recordings),
              testing::ElementsAre("20231114T221420Z-0012-upper", "20231114T221520Z-0012-upper"));
}

// The last stage's recording is finished only when its model is: what others may grow to is no
// reason to delete what is small.
TEST_F(RecordingsTest, KeepWhatIsSmallWhileAnotherIsWritten) {
  const auto recordings = open(100'000);
  for (int minute = 0; minute < 3; ++minute) record(*recordings, minute, 2000);
  const auto first = begin(*recordings, 3), second = begin(*recordings, 4);
  EXPECT_EQ(ids(*recordings).size(), 5U);
}

TEST_F(RecordingsTest, GiveUpALastOneThatAloneIsTooBig) {
  record(*open(100'000), 0, 49'000);
  const auto lowered = open(50'000);
  const auto running = begin(*lowered, 1);
  EXPECT_THAT(ids(*lowered), testing::ElementsAre("20231114T221420Z-0012-upper"));
}

TEST_F(RecordingsTest, StayPartWhenTheyEndedEarlyOrWereBrokenOff) {
  {
    const auto recordings = open(10'000);
    record(*recordings, 0, 9'000);  // more than half
    begin(*recordings, 1);          // as after a crash: nobody finished it
  }
  const auto list = open(10'000)->list();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].state, State::kPart);
  EXPECT_EQ(list[1].state, State::kPart);
  EXPECT_TRUE(CaptureReader::open(list[1].path).ok());
}

TEST_F(RecordingsTest, MakeRoomOnADiskThatIsFullButForTheLastOne) {
  {
    const auto recordings = open(1'000'000);
    for (int minute = 0; minute < 3; ++minute) record(*recordings, minute, 1000);
  }
  const auto recordings = open(1'000'000, std::uint64_t{1} << 60);
  const auto running = begin(*recordings, 3);
  EXPECT_THAT(ids(*recordings),
              testing::ElementsAre("20231114T221520Z-0012-upper", "20231114T221620Z-0012-upper"));
}

TEST_F(RecordingsTest, StayWithinTheLimitWhenSeveralAreWrittenAtOnce) {
  const auto recordings = open(100'000);
  record(*recordings, 0, 20'000);  // the newest finished one: it stays
  UsbmonRecord chunk;
  chunk.type = 'C';
  const auto fill = [&](Recording& recording) {
    for (int i = 0; i < 100; ++i) recording.write(chunk, Bytes(1000, 1));
    recording.close();
    EXPECT_THAT(recording.status().problem, testing::HasSubstr("limit"));
  };
  const auto first = begin(*recordings, 1), second = begin(*recordings, 2);
  const auto third = recordings->begin("0012", "upper", kStart + std::chrono::minutes(3));
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code, ErrorCode::kNoSpace);
  fill(*first);
  fill(*second);
  std::uint64_t total = 0;
  for (const RecordingEntry& entry : recordings->list()) {
    total += entry.size_bytes;
    EXPECT_LE(entry.size_bytes, 50'500U);  // half, and the note of its end
  }
  EXPECT_LE(total, 101'000U);
  EXPECT_GE(total, 95'000U);
  recordings->finish(*first);
  recordings->finish(*second);
  EXPECT_TRUE(recordings->begin("0012", "upper", kStart + std::chrono::minutes(4)).ok());
}

TEST_F(RecordingsTest, AreDeletedWhenNobodyWantsThem) {
  const auto recordings = open(1'000'000);
  record(*recordings, 0, 100);
  record(*recordings, 1, 100);
  const auto running = begin(*recordings, 2);
  const auto dropped = begin(*recordings, 3);
  recordings->discard(*dropped);
  recordings->remove("20231114T221320Z-0012-upper");
  recordings->remove(id_of(*running));  // not while it is written
  recordings->remove("no such one");
  EXPECT_THAT(ids(*recordings),
              testing::ElementsAre("20231114T221420Z-0012-upper", "20231114T221520Z-0012-upper"));
}

TEST_F(RecordingsTest, SayWhenTheirFolderCanNotBeUsedAnyMore) {
  const auto recordings = open(1'000'000);
  std::filesystem::remove_all(folder_ / "recordings");
  std::filesystem::create_symlink("recordings", folder_ / "recordings");  // to itself: ELOOP
  const auto begun = recordings->begin("0012", "upper", kStart);
  ASSERT_FALSE(begun.ok());
  EXPECT_EQ(begun.error().code, ErrorCode::kIo);
  EXPECT_TRUE(recordings->list().empty());
}

TEST_F(RecordingsTest, LeaveStrangersFilesAlone) {
  const auto recordings = open(2000);
  save(folder_ / "recordings" / "capture.pcapng", Bytes(5000));
  save(folder_ / "recordings" / "20231114T221320Z.pcapng", Bytes(5000));
  record(*recordings, 0, 10);
  record(*recordings, 1, 10);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "recordings" / "capture.pcapng"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "recordings" / "20231114T221320Z.pcapng"));
  EXPECT_EQ(ids(*recordings).size(), 2U);
}

TEST_F(RecordingsTest, HaveNamesThatAreSafeAndTheirOwn) {
  const auto recordings = open(1'000'000);
  const auto a = recordings->begin("../../x y", "bite-left", kStart);
  const auto b = recordings->begin("../../x y", "bite-left", kStart);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ((*a)->path().parent_path(), folder_ / "recordings");
  EXPECT_EQ((*a)->path().filename(), "20231114T221320Z-______x_y-bite_left.part.pcapng");
  EXPECT_NE((*a)->path(), (*b)->path());
}

}  // namespace
}  // namespace cusp::recording
