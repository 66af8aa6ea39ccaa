#include "pipeline/place.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/pipeline/mouth.h"

namespace cusp {
namespace {

using testing::apart_mm;
using ::testing::HasSubstr;
using testing::jaw;
using testing::motion;
using testing::Mouth;

TEST(Place, PutsTheLowerJawIntoTheUpperByTheirBites) {
  WorkerPool pool(2);
  const Mouth mouth(0.2);
  const RigidTransform moved = motion(0.7, {1, 2, 3}, {10, 0, 4});
  const Mesh left = mouth.bite(-1, moved);
  const Mesh right = mouth.bite(1, motion(2.2, {-1, 0, 1}, {-8, 3, 0}));
  const auto placed = place_stages(std::vector<StageModel>{{ScanStage::kLower, &mouth.lower},
                                                           {ScanStage::kBiteLeft, &left},
                                                           {ScanStage::kUpper, &mouth.upper},
                                                           {ScanStage::kBiteRight, &right}},
                                   pool);
  ASSERT_EQ(placed.size(), 4u);
  ASSERT_TRUE(placed[0].place) << placed[0].problem;
  EXPECT_EQ(placed[0].place->into, ScanStage::kUpper);
  EXPECT_LT(apart_mm(mouth.lower, placed[0].place->into_from_stage, mouth.upper_from_lower), 0.05);
  ASSERT_TRUE(placed[1].place);
  EXPECT_LT(apart_mm(left, placed[1].place->into_from_stage, moved), 0.1);
  EXPECT_FALSE(placed[2].place) << "the others go into it";
  EXPECT_EQ(placed[2].problem, "");
  EXPECT_TRUE(placed[3].place);
}

TEST(Place, TakesTheOneBiteThatFitsAndSaysWhatIsWrongWithTheOther) {
  WorkerPool pool(2);
  const Mouth mouth(0.2);
  const Mesh left = mouth.bite(-1, RigidTransform::Identity());
  const Mesh ball = testing::sphere(8, {0, 0, 0});
  const auto placed = place_stages(std::vector<StageModel>{{ScanStage::kUpper, &mouth.upper},
                                                           {ScanStage::kLower, &mouth.lower},
                                                           {ScanStage::kBiteLeft, &left},
                                                           {ScanStage::kBiteRight, &ball}},
                                   pool);
  ASSERT_TRUE(placed[1].place) << placed[1].problem;
  EXPECT_LT(apart_mm(mouth.lower, placed[1].place->into_from_stage, mouth.upper_from_lower), 0.1);
  EXPECT_TRUE(placed[2].place);
  EXPECT_FALSE(placed[3].place);
  EXPECT_THAT(placed[3].problem, HasSubstr("bite-right"));
}

TEST(Place, ChoosesNotBetweenBitesThatContradictEachOther) {
  WorkerPool pool(2);
  const Mouth closed(0.2);
  const Mesh left = closed.bite(-1, RigidTransform::Identity());
  const Mesh right = Mouth(3).bite(1, RigidTransform::Identity());
  const auto placed = place_stages(std::vector<StageModel>{{ScanStage::kUpper, &closed.upper},
                                                           {ScanStage::kLower, &closed.lower},
                                                           {ScanStage::kBiteLeft, &left},
                                                           {ScanStage::kBiteRight, &right}},
                                   pool);
  for (std::size_t i = 1; i < placed.size(); ++i) {
    EXPECT_FALSE(placed[i].place) << i;
    EXPECT_THAT(placed[i].problem, HasSubstr("apart")) << i;
  }
}

TEST(Place, PutsScanBodiesAndPreOperativeScansIntoTheirJaw) {
  WorkerPool pool(2);
  const Mesh whole = jaw();
  Mesh part = jaw({.along = 90, .across = 40, .begin = -0.8, .end = -0.1});
  const RigidTransform truth = motion(1.1, {1, 0.3, -0.5}, {30, -12, 50});
  testing::move(part, truth.inverse());
  const auto placed = place_stages(std::vector<StageModel>{{ScanStage::kScanBodyLower, &part},
                                                           {ScanStage::kLower, &whole},
                                                           {ScanStage::kPreopUpper, &whole}},
                                   pool);
  ASSERT_TRUE(placed[0].place) << placed[0].problem;
  EXPECT_EQ(placed[0].place->into, ScanStage::kLower);
  EXPECT_LT(apart_mm(part, placed[0].place->into_from_stage, truth), 0.05);
  EXPECT_FALSE(placed[2].place) << "there is no upper jaw";
  EXPECT_EQ(placed[2].problem, "");
}

TEST(Place, PutsFacesIntoTheFirst) {
  WorkerPool pool(2);
  const Mesh face = jaw({.seed = 4});
  Mesh smile = face;
  const RigidTransform truth = motion(0.3, {0, 1, 0}, {5, 0, 2});
  testing::move(smile, truth.inverse());
  const auto placed = place_stages(
      std::vector<StageModel>{{ScanStage::kFaceSmile, &smile}, {ScanStage::kFaceNeutral, &face}},
      pool);
  ASSERT_TRUE(placed[0].place) << placed[0].problem;
  EXPECT_EQ(placed[0].place->into, ScanStage::kFaceNeutral);
  EXPECT_LT(apart_mm(smile, placed[0].place->into_from_stage, truth), 0.05);
  EXPECT_FALSE(placed[1].place);
}

}  // namespace
}  // namespace cusp
