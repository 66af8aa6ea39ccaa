// The journal's file: what was scanned is on disk soon, and a disk that fails costs no scan.
#include "daemon/journal_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "tests/fakes/temp_folder.h"

namespace cusp::daemon {
namespace {

JournalBegin some_device() {
  return {.device_serial = "0012", .started_at = "2026-01-02T03:04:05Z"};
}
ScanRecord frame(int k) {
  return ScanEntry(KeptFrame{.scan_time = std::chrono::milliseconds(k),
                             .packed = std::make_shared<const std::vector<std::uint8_t>>(
                                 std::size_t{1000}, static_cast<std::uint8_t>(k))});
}

class JournalFileTest : public testing::Test {
 protected:
  const fakes::TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "upper.journal";
};

TEST_F(JournalFileTest, HoldsAllThatWasAppendedOnceItIsClosed) {
  auto made = JournalFile::create(path_, some_device());
  ASSERT_TRUE(made.ok()) << made.error().message;
  for (int k = 0; k < 20; ++k) (*made)->append(frame(k));
  EXPECT_EQ((*made)->problem(), "");
  made->reset();
  const auto journal = read_journal_file(path_);
  ASSERT_TRUE(journal.ok()) << journal.error().message;
  EXPECT_EQ(journal->log.frames(), 20U);
  EXPECT_EQ(journal->begin.device_serial, "0012");
  EXPECT_EQ(journal->whole_bytes, std::filesystem::file_size(path_));
}

TEST_F(JournalFileTest, GoesOnBehindWhatIsWhole) {
  auto made = JournalFile::create(path_, some_device());
  ASSERT_TRUE(made.ok());
  for (int k = 0; k < 3; ++k) (*made)->append(frame(k));
  made->reset();
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 5);
  const auto torn = read_journal_file(path_);
  ASSERT_TRUE(torn.ok());
  ASSERT_EQ(torn->log.frames(), 2U);
  auto again = JournalFile::go_on(path_, torn->whole_bytes);
  ASSERT_TRUE(again.ok()) << again.error().message;
  (*again)->append(frame(7));
  again->reset();
  const auto journal = read_journal_file(path_);
  ASSERT_TRUE(journal.ok());
  EXPECT_EQ(journal->log.frames(), 3U);
  EXPECT_EQ(journal->log.scan_time(), std::chrono::milliseconds(7));
}

TEST_F(JournalFileTest, SaysWhyThereIsNone) {
  const auto nowhere = JournalFile::create(folder_ / "no" / "folder", some_device());
  ASSERT_FALSE(nowhere.ok());
  EXPECT_NE(nowhere.error().message.find("folder"), std::string::npos);
  const auto missing = read_journal_file(folder_ / "missing");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
}

TEST_F(JournalFileTest, ADiskThatTakesNoMoreIsToldAndCostsNoScan) {
  auto made = JournalFile::create(path_, some_device());
  ASSERT_TRUE(made.ok());
  const std::uint64_t head = std::filesystem::file_size(path_);
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = head + 10;
  setrlimit(RLIMIT_FSIZE, &small);
  for (int k = 0; k < 5; ++k) (*made)->append(frame(k));
  for (int wait = 0; wait < 1000 && (*made)->problem().empty(); ++wait)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_NE((*made)->problem().find("would not survive a crash"), std::string::npos);
  made->reset();
  const auto journal = read_journal_file(path_);
  ASSERT_TRUE(journal.ok());
  EXPECT_EQ(journal->log.frames(), 0U);
  EXPECT_EQ(journal->whole_bytes, head);
}

}  // namespace
}  // namespace cusp::daemon
