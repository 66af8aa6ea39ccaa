#include "core/file_system.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <fstream>

namespace cusp {
namespace {

namespace fs = std::filesystem;

class FileSystemTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "cusp-fs-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::vector<std::uint8_t> bytes(std::string_view text) {
    return {text.begin(), text.end()};
  }

  PosixFileSystem files_;
  fs::path folder_;
};

TEST_F(FileSystemTest, writes_and_reads_back) {
  ASSERT_TRUE(files_.write_synced(folder_ / "a", bytes("first")).ok());
  ASSERT_TRUE(files_.write_synced(folder_ / "a", bytes("second")).ok());
  EXPECT_EQ(*files_.read(folder_ / "a"), bytes("second"));
  EXPECT_EQ(*files_.list(folder_), std::vector<std::string>{"a"});
}

TEST_F(FileSystemTest, makes_and_lists_folders) {
  const fs::path deep = folder_ / "x/y/z";
  ASSERT_TRUE(files_.make_folder(deep).ok());
  ASSERT_TRUE(files_.make_folder(deep).ok());
  ASSERT_TRUE(files_.make_folder(deep.string() + "/").ok());
  ASSERT_TRUE(files_.write_synced(deep / "b", bytes("2")).ok());
  ASSERT_TRUE(files_.write_synced(deep / "a", bytes("1")).ok());
  EXPECT_EQ(*files_.list(deep), (std::vector<std::string>{"a", "b"}));
  EXPECT_GT(*files_.free_bytes(deep), 0u);
}

TEST_F(FileSystemTest, moves_between_folders) {
  ASSERT_TRUE(files_.make_folder(folder_ / "to").ok());
  ASSERT_TRUE(files_.write_synced(folder_ / "a", bytes("1")).ok());
  ASSERT_TRUE(files_.rename_synced(folder_ / "a", folder_ / "to/b").ok());
  EXPECT_EQ(*files_.read(folder_ / "to/b"), bytes("1"));
  EXPECT_EQ(files_.read(folder_ / "a").error().code, ErrorCode::kNotFound);
}

TEST_F(FileSystemTest, removing_what_is_gone_is_fine) {
  EXPECT_TRUE(files_.remove(folder_ / "nothing").ok());
}

TEST_F(FileSystemTest, errors_name_the_path) {
  const auto missing = files_.write_synced(folder_ / "no/such/file", bytes("x"));
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find((folder_ / "no/such/file").string()), std::string::npos);

  ASSERT_TRUE(files_.write_synced(folder_ / "file", bytes("x")).ok());
  EXPECT_FALSE(files_.make_folder(folder_ / "file").ok());
  EXPECT_EQ(files_.read(folder_).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(FileSystemTest, a_write_that_does_not_fit_leaves_the_old_file_and_nothing_else) {
  ASSERT_TRUE(files_.write_synced(folder_ / "a", bytes("old")).ok());
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 1024;
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Result<void> failed =
      files_.write_synced(folder_ / "a", std::vector<std::uint8_t>(64 * 1024, 7));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);

  EXPECT_FALSE(failed.ok());
  EXPECT_EQ(*files_.read(folder_ / "a"), bytes("old"));
  EXPECT_EQ(*files_.list(folder_), std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace cusp
