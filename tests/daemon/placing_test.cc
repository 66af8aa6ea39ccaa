#include "daemon/placing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "core/uuid.h"
#include "pipeline/bite.h"
#include "pipeline/export.h"
#include "tests/pipeline/mouth.h"

namespace cusp::daemon {
namespace {

using cusp::testing::Mouth;

class PlacingTest : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void save(ScanStage stage, const Mesh& mesh) {
    FinishedStage finished;
    finished.statement.stage = stage;
    const auto file =
        delivery::named_by_hash(to_ply(mesh), "application/x-ply", "model", "model.ply");
    finished.statement.blobs = {file.blob};
    ASSERT_TRUE(stages_.save(ticket_, finished, {file}).ok());
    statements_.push_back(finished.statement);
  }
  static std::size_t bites(const delivery::StageStatement& statement) {
    return static_cast<std::size_t>(
        std::ranges::count(statement.blobs, "bite", &delivery::BlobRef::role));
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("cusp-placing-" + new_uuid());
  PosixFileSystem files_;
  StageStore stages_{folder_, files_};
  const std::string ticket_ = new_uuid();
  std::vector<delivery::StageStatement> statements_;
};

TEST_F(PlacingTest, AScannedBiteGivesBothJawsAMapOfWhereTheyMeet) {
  Mouth mouth(0.2);
  // Where sheets meet in a point, a manifold has that point twice.
  mouth.upper.vertices_mm.push_back(mouth.upper.vertices_mm[mouth.upper.triangles[0][0]]);
  if (!mouth.upper.normals.empty())
    mouth.upper.normals.push_back(mouth.upper.normals[mouth.upper.triangles[0][0]]);
  mouth.upper.triangles[0][0] = static_cast<std::uint32_t>(mouth.upper.vertices_mm.size() - 1);
  save(ScanStage::kUpper, mouth.upper);
  save(ScanStage::kLower, mouth.lower);
  save(ScanStage::kBiteLeft, mouth.bite(-1, RigidTransform::Identity()));
  const Placing placing = place_in_one_another(ticket_, stages_, statements_);
  EXPECT_THAT(placing.problems, ::testing::IsEmpty());
  ASSERT_EQ(placing.files.size(), 2u);
  for (std::size_t jaw = 0; jaw < 2; ++jaw) {
    ASSERT_EQ(bites(statements_[jaw]), 1u);
    const delivery::OutboxFile& file = placing.files[jaw];
    EXPECT_EQ(statements_[jaw].blobs.back().sha256, file.blob.sha256);
    const std::size_t vertices = (jaw == 0 ? mouth.upper : mouth.lower).vertices_mm.size();
    ASSERT_EQ(file.bytes.size(), 32 + 2 * vertices) << "a step for each vertex of the jaw's PLY";
    std::vector<std::int16_t> steps(vertices);
    std::memcpy(steps.data(), file.bytes.data() + 32, 2 * vertices);
    EXPECT_LE(std::ranges::min(steps), 3) << "they are 0.2 mm apart where they meet";
    EXPECT_EQ(std::ranges::max(steps), kFarApart) << "and the roots of the jaws are not near";
  }
  EXPECT_EQ(bites(statements_[2]), 0u);

  // The lower jaw of a later revision lies in no other any more.
  statements_.pop_back();
  const Placing again = place_in_one_another(ticket_, stages_, statements_);
  EXPECT_TRUE(again.files.empty());
  EXPECT_EQ(bites(statements_[0]), 0u) << "what an earlier revision said is taken away";
  EXPECT_FALSE(statements_[1].placement);
}

TEST_F(PlacingTest, AModelThatCannotBeReadIsSaidAndTheOthersArePlaced) {
  const Mouth mouth(0.2);
  save(ScanStage::kUpper, mouth.upper);
  save(ScanStage::kLower, mouth.lower);
  save(ScanStage::kBiteLeft, mouth.bite(-1, RigidTransform::Identity()));
  save(ScanStage::kPreopUpper, mouth.upper);
  std::filesystem::remove(
      stages_.file_path(ticket_, ScanStage::kPreopUpper, statements_[3].blobs[0]));
  const Placing placing = place_in_one_another(ticket_, stages_, statements_);
  EXPECT_THAT(placing.problems, ::testing::SizeIs(1));
  EXPECT_TRUE(statements_[1].placement.has_value());
  EXPECT_FALSE(statements_[3].placement.has_value());
}

}  // namespace
}  // namespace cusp::daemon
