#include "daemon/stage_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/uuid.h"
#include "delivery/digest.h"

namespace cusp::daemon {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Fails the n-th write, as a full disk does.
class FailingFiles final : public FileSystem {
 public:
  int fail_write = 0;

  Result<void> write_synced(const fs::path& path, std::span<const std::uint8_t> bytes) override {
    if (fail_write > 0 && --fail_write == 0)
      return error(ErrorCode::kNoSpace, "{}: disk full", path.string());
    return real_.write_synced(path, bytes);
  }
  Result<std::vector<std::uint8_t>> read(const fs::path& path) override { return real_.read(path); }
  Result<void> rename_synced(const fs::path& from, const fs::path& to) override {
    return real_.rename_synced(from, to);
  }
  Result<void> remove(const fs::path& path) override { return real_.remove(path); }
  Result<std::vector<std::string>> list(const fs::path& folder) override {
    return real_.list(folder);
  }
  Result<void> make_folder(const fs::path& folder) override { return real_.make_folder(folder); }
  Result<std::uint64_t> free_bytes(const fs::path& folder) override {
    return real_.free_bytes(folder);
  }

 private:
  PosixFileSystem real_;
};

class StageStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { folder_ = fs::temp_directory_path() / ("cusp-stages-" + new_uuid()); }
  void TearDown() override { fs::remove_all(folder_); }

  static std::pair<FinishedStage, std::vector<delivery::OutboxFile>> stage(
      const std::string& text) {
    FinishedStage finished;
    finished.statement.stage = ScanStage::kLower;
    finished.statement.triangles = text.size();
    finished.statement.mean_residual_mm = 0.0625;
    finished.statement.quality = {.grade = 3,
                                  .reasons = {"the largest hole measures 3 mm"},
                                  .area_mm2 = 900.5,
                                  .holes = 2,
                                  .largest_hole_mm = 3,
                                  .drift_mm = {},
                                  .expected_error_mm = 0.009};
    finished.statement.anatomical_from_stage = {1, 0, 0, 2.5, 0, 0, -1, 0, 0, 1, 0, -7};
    finished.device = {"realsense_d400", "Intel", "RealSense D405", "1", "5.15"};
    finished.calibration_id = "c-1";
    finished.started_at = "2026-01-31T09:15:00.250Z";
    std::vector<delivery::OutboxFile> files;
    for (const std::string& content : {text + " stl", text + " ply"}) {
      std::vector<std::uint8_t> bytes(content.begin(), content.end());
      const delivery::BlobRef blob{delivery::sha256_hex(bytes), bytes.size(), "model/stl", "model",
                                   "lower.stl"};
      finished.statement.blobs.push_back(blob);
      files.push_back({blob, std::move(bytes)});
    }
    return {finished, files};
  }

  fs::path folder_;
  FailingFiles files_;
  const std::string id_ = new_uuid();
};

TEST_F(StageStoreTest, WhatWasSavedIsLoadedAgain) {
  const auto [finished, files] = stage("one");
  StageStore store(folder_, files_);
  ASSERT_TRUE(store.save(id_, finished, files).ok());
  const auto loaded = store.load(id_, StageStore::Check::kBytes);
  EXPECT_TRUE(loaded.problems.empty());
  ASSERT_EQ(loaded.stages.size(), 1u);
  EXPECT_EQ(loaded.stages[0].statement.stage, ScanStage::kLower);
  EXPECT_EQ(loaded.stages[0].statement.mean_residual_mm, 0.0625);
  ASSERT_TRUE(loaded.stages[0].statement.quality.has_value());
  EXPECT_EQ(loaded.stages[0].statement.quality->grade, 3);
  EXPECT_EQ(loaded.stages[0].statement.quality->reasons, finished.statement.quality->reasons);
  EXPECT_EQ(loaded.stages[0].statement.quality->area_mm2, 900.5);
  EXPECT_FALSE(loaded.stages[0].statement.quality->drift_mm.has_value());
  EXPECT_EQ(loaded.stages[0].statement.quality->expected_error_mm, 0.009);
  ASSERT_TRUE(loaded.stages[0].statement.anatomical_from_stage.has_value());
  EXPECT_EQ((*loaded.stages[0].statement.anatomical_from_stage)[3], 2.5);
  EXPECT_EQ(loaded.stages[0].device.serial, "1");
  EXPECT_EQ(loaded.stages[0].calibration_id, "c-1");
  const auto read = store.read_files(id_, loaded.stages[0]);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ((*read)[1].bytes, files[1].bytes);
  EXPECT_EQ(store.tickets(), std::vector<std::string>{id_});
  store.forget(id_);
  EXPECT_TRUE(store.tickets().empty());
}

TEST_F(StageStoreTest, FailedWriteOfARedoLeavesTheOldModel) {
  StageStore store(folder_, files_);
  const auto [old_stage, old_files] = stage("old");
  const auto [new_stage, new_files] = stage("newer");
  ASSERT_TRUE(store.save(id_, old_stage, old_files).ok());
  for (int failing = 1; failing <= 3; ++failing) {
    files_.fail_write = failing;
    EXPECT_EQ(store.save(id_, new_stage, new_files).error().code, ErrorCode::kNoSpace);
    const auto loaded = store.load(id_, StageStore::Check::kBytes);
    ASSERT_EQ(loaded.stages.size(), 1u);
    EXPECT_EQ(loaded.stages[0].statement.triangles, 3u);
  }
  ASSERT_TRUE(store.save(id_, new_stage, new_files).ok());
  EXPECT_EQ(store.load(id_, StageStore::Check::kBytes).stages[0].statement.triangles, 5u);
  EXPECT_EQ(files_.list(folder_ / id_ / "lower")->size(), 3u) << "the old model's files are gone";
}

TEST_F(StageStoreTest, DamageIsToldAndNotLoaded) {
  StageStore store(folder_, files_);
  const auto [finished, files] = stage("one");
  const fs::path record = folder_ / id_ / "lower" / "stage.json";
  for (const char* text :
       {"", "{", "[]", "{\"blobs\": 3}", "{\"blobs\": [{\"sha256\": \"../../../etc/passwd\"}]}"}) {
    ASSERT_TRUE(store.save(id_, finished, files).ok());
    std::ofstream(record) << text;
    const auto loaded = store.load(id_, StageStore::Check::kSizes);
    EXPECT_TRUE(loaded.stages.empty()) << text;
    ASSERT_EQ(loaded.problems.size(), 1u) << text;
    EXPECT_THAT(loaded.problems[0], HasSubstr("stage.json")) << text;
  }
  ASSERT_TRUE(store.save(id_, finished, files).ok());
  std::ofstream(folder_ / id_ / "lower" / files[0].blob.sha256) << "one STL";
  EXPECT_EQ(store.load(id_, StageStore::Check::kSizes).stages.size(), 1u) << "same size";
  EXPECT_THAT(store.load(id_, StageStore::Check::kBytes).problems.at(0), HasSubstr("do not match"));
  fs::remove(folder_ / id_ / "lower" / files[0].blob.sha256);
  EXPECT_THAT(store.load(id_, StageStore::Check::kSizes).problems.at(0), HasSubstr("missing"));
}

}  // namespace
}  // namespace cusp::daemon
