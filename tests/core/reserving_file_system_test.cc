#include "core/reserving_file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/fakes/temp_folder.h"

namespace cusp {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::uint64_t kMiB = 1 << 20;

// A folder on a disk of a size that the test says.
class SmallDisk final : public FileSystem {
 public:
  explicit SmallDisk(fs::path folder) : folder_(std::move(folder)) {}
  void set_size(std::uint64_t bytes) { size_ = bytes; }
  // Somebody else writes.
  void fill(std::uint64_t bytes) { others_ += bytes; }

  Result<void> write_synced(const fs::path& path, std::span<const std::uint8_t> bytes) override {
    CUSP_ASSIGN(const auto free, free_bytes(folder_));
    if (free < bytes.size()) return error(ErrorCode::kNoSpace, "full");
    return real_.write_synced(path, bytes);
  }
  Result<std::vector<std::uint8_t>> read(const fs::path& path) override { return real_.read(path); }
  Result<void> rename_synced(const fs::path& from, const fs::path& to) override {
    return real_.rename_synced(from, to);
  }
  Result<void> remove(const fs::path& path) override { return real_.remove(path); }
  Result<std::vector<std::string>> list(const fs::path& path) override { return real_.list(path); }
  Result<void> make_folder(const fs::path& path) override { return real_.make_folder(path); }
  Result<std::uint64_t> free_bytes(const fs::path&) override {
    std::uint64_t used = others_;
    for (const auto& entry : fs::directory_iterator(folder_)) used += entry.file_size();
    return used > size_ ? 0 : size_ - used;
  }

 private:
  const fs::path folder_;
  PosixFileSystem real_;
  std::uint64_t size_ = 0;
  std::uint64_t others_ = 0;
};

class Reserve : public testing::Test {
 protected:
  Reserve() { disk_.set_size(200 * kMiB); }
  fakes::TempFolder folder_;
  SmallDisk disk_{folder_.path()};
  ReservingFileSystem files_{disk_, folder_ / "reserve"};
};

TEST_F(Reserve, HoldsBlocksAndNotAHole) {
  ASSERT_TRUE(files_.reserve(20 * kMiB).ok());
  struct stat about {};
  ASSERT_EQ(::stat((folder_ / "reserve").c_str(), &about), 0);
  EXPECT_GE(static_cast<std::uint64_t>(about.st_blocks) * 512, 20 * kMiB);
  EXPECT_EQ(files_.reserved(), 20 * kMiB);
  EXPECT_EQ(*files_.free_bytes(folder_.path()), 200 * kMiB) << "it is there for us";
}

TEST_F(Reserve, WhatWasBegunIsSavedOnADiskThatFilledUp) {
  ASSERT_TRUE(files_.reserve(100 * kMiB).ok());
  disk_.fill(100 * kMiB);
  const std::vector<std::uint8_t> model(60 * kMiB, 7);
  EXPECT_EQ(disk_.write_synced(folder_ / "others", model).error().code, ErrorCode::kNoSpace);
  ASSERT_TRUE(files_.write_synced(folder_ / "model", model).ok());
  EXPECT_EQ(fs::file_size(folder_ / "model"), 60 * kMiB);
  EXPECT_EQ(files_.reserved(), 100 * kMiB - 60 * kMiB - ReservingFileSystem::kMarginBytes)
      << "and databases have their margin";
}

TEST_F(Reserve, NothingIsGivenBackWhileTheDiskHasRoom) {
  ASSERT_TRUE(files_.reserve(50 * kMiB).ok());
  ASSERT_TRUE(files_.write_synced(folder_ / "model", std::vector<std::uint8_t>(60 * kMiB, 7)).ok());
  EXPECT_EQ(files_.reserved(), 50 * kMiB);
}

TEST_F(Reserve, ADiskThatHasNotEnoughSaysSoAndKeepsWhatItHeld) {
  ASSERT_TRUE(files_.reserve(50 * kMiB).ok());
  const auto more = files_.reserve(300 * kMiB);
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.error().code, ErrorCode::kNoSpace);
  EXPECT_THAT(more.error().message, HasSubstr("300 MiB can't be held back, 200 MiB are free"));
  EXPECT_EQ(files_.reserved(), 50 * kMiB);
}

TEST_F(Reserve, IsFilledUpAgainAndOutlivesTheProcess) {
  ASSERT_TRUE(files_.reserve(50 * kMiB).ok());
  disk_.fill(140 * kMiB);
  ASSERT_TRUE(files_.write_synced(folder_ / "model", std::vector<std::uint8_t>(20 * kMiB, 7)).ok());
  EXPECT_LT(files_.reserved(), 50 * kMiB);
  disk_.set_size(400 * kMiB);
  ReservingFileSystem next(disk_, folder_ / "reserve");
  EXPECT_EQ(next.reserved(), files_.reserved());
  ASSERT_TRUE(next.reserve(50 * kMiB).ok());
  EXPECT_EQ(next.reserved(), 50 * kMiB);
}

}  // namespace
}  // namespace cusp
