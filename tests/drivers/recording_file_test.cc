// The file while it is written: nothing is lost, and whatever the disk does, only the recording
// ends.
#include <gmock/gmock.h>

#include <thread>

#include "drivers/recording/recording.h"
#include "tests/drivers/recording_fixture.h"

namespace cusp::recording {
namespace {

using testing::HasSubstr;

UsbmonRecord chunk_record(std::uint64_t id) {
  UsbmonRecord record;
  record.id = id;
  record.type = 'C';
  record.transfer = UsbmonTransfer::kBulk;
  record.endpoint = 0x82;
  return record;
}

std::size_t packets_in(const std::filesystem::path& path) {
  auto reader = CaptureReader::open(path);
  EXPECT_TRUE(reader.ok());
  std::size_t packets = 0;
  while (true) {
    const auto block = reader->next();
    EXPECT_TRUE(block.ok());
    if (!block.ok() || !*block) break;
    packets += (*block)->is_note() ? 0 : 1;
  }
  EXPECT_EQ(reader->ending(), "");
  return packets;
}

TEST(Recording, KeepsEverythingOfSeveralThreads) {
  const fakes::TempFolder folder;
  auto recording = Recording::start(folder / "a.pcapng", {.program = "test"});
  ASSERT_TRUE(recording) << recording.error().message;
  const Bytes data(100'000, 7);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (std::uint64_t k = 0; k < 25; ++k) {
        (*recording)->write(chunk_record(k), data);
        (*recording)->note("note");
      }
    });
  for (std::thread& thread : threads) thread.join();
  (*recording)->close();
  const RecordingStatus status = (*recording)->status();
  EXPECT_EQ(status.problem, "");
  EXPECT_EQ(status.records, 100U);
  EXPECT_EQ(status.bytes, std::filesystem::file_size(folder / "a.pcapng"));
  EXPECT_EQ(packets_in(folder / "a.pcapng"), 100U);
}

TEST(Recording, ReachesTheDiskWhileItRuns) {
  const fakes::TempFolder folder;
  auto recording = Recording::start(folder / "a.pcapng", {.program = "test"});
  ASSERT_TRUE(recording);
  (*recording)->write(chunk_record(1), Bytes(10, 1));
  while (std::filesystem::file_size(folder / "a.pcapng") < (*recording)->status().bytes)
    std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(packets_in(folder / "a.pcapng"), 1U);
}

TEST(Recording, EndsAtItsLimitAndSaysSoInTheFile) {
  const fakes::TempFolder folder;
  auto recording = Recording::start(folder / "a.pcapng", {.program = "t", .max_file_bytes = 5000});
  ASSERT_TRUE(recording);
  for (std::uint64_t i = 0; i < 10; ++i) (*recording)->write(chunk_record(i), Bytes(1000, 1));
  (*recording)->note("the end");
  (*recording)->close();
  EXPECT_THAT((*recording)->status().problem, HasSubstr("limit"));
  EXPECT_EQ((*recording)->status().records, 4U);
  EXPECT_EQ(packets_in(folder / "a.pcapng"), 4U);
  const auto capture = Capture::open(folder / "a.pcapng");
  ASSERT_TRUE(capture);
  EXPECT_THAT((*capture)->problem(), HasSubstr("limit"));
  EXPECT_THAT((*capture)->notes(), testing::ElementsAre("the end"));
}

TEST(Recording, EndsWhenTheDiskIsTooSlowForItsMemory) {
  const fakes::TempFolder folder;
  auto recording = Recording::start(folder / "a.pcapng", {.program = "t", .memory_bytes = 300'000});
  ASSERT_TRUE(recording);
  (*recording)->write(chunk_record(1), Bytes(250'000, 1));
  (*recording)->write(chunk_record(2), Bytes(400'000, 1));  // more than may ever wait
  (*recording)->write(chunk_record(3), Bytes(10, 1));
  (*recording)->close();
  EXPECT_THAT((*recording)->status().problem, HasSubstr("too slow"));
  EXPECT_EQ(packets_in(folder / "a.pcapng"), 1U);
}

TEST(Recording, EndsWhenTheDiskIsFull) {
  auto recording = Recording::start("/dev/full", {.program = "test"});
  ASSERT_TRUE(recording);
  (*recording)->write(chunk_record(1), Bytes(1000, 1));
  while ((*recording)->status().problem.empty()) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_THAT((*recording)->status().problem, HasSubstr("/dev/full"));
  (*recording)->write(chunk_record(2), Bytes(1000, 1));
  (*recording)->note("too late");
  (*recording)->close();
  EXPECT_EQ((*recording)->status().records, 1U);
}

TEST(Recording, LeavesTheFreeSpaceThatItMustLeave) {
  const fakes::TempFolder folder;
  auto recording = Recording::start(folder / "a.pcapng",
                                    {.program = "t", .min_free_bytes = std::uint64_t{1} << 60});
  ASSERT_TRUE(recording);
  while ((*recording)->status().problem.empty()) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_THAT((*recording)->status().problem, HasSubstr("free on the disk"));
}

TEST(Recording, OverwritesNoFile) {
  const fakes::TempFolder folder;
  save(folder / "a.pcapng", bytes_of("a recording of yesterday"));
  const auto recording = Recording::start(folder / "a.pcapng", {});
  ASSERT_FALSE(recording);
  EXPECT_EQ(recording.error().code, ErrorCode::kConflict);
  EXPECT_EQ(load(folder / "a.pcapng"), bytes_of("a recording of yesterday"));
}

TEST(Recording, SaysWhichFileCanNotBeMade) {
  const auto recording = Recording::start("/nowhere/a.pcapng", {});
  ASSERT_FALSE(recording);
  EXPECT_THAT(recording.error().message, HasSubstr("/nowhere/a.pcapng"));
}

}  // namespace
}  // namespace cusp::recording
