// What pictures become of frames that are missing, doubled, or not what they should be.
#include <gtest/gtest.h>

#include "drivers/wand/picture_maker.h"

namespace cusp::wand {
namespace {

constexpr int kWidth = 4, kHeight = 2, kPatterns = 3;

class WandPictureMaker : public testing::Test {
 protected:
  WandPictureMaker() { maker_.begin(); }

  // A frame with the wand's number and the assembler's.
  PictureMaker::Taken take(std::uint32_t number, FrameKind kind, int pattern) {
    return take(number, kind, pattern, assembled_ + 1);
  }
  PictureMaker::Taken take(std::uint32_t number, FrameKind kind, int pattern,
                           std::uint64_t assembled) {
    assembled_ = assembled;
    uvc::AssembledFrame frame;
    frame.sequence = assembled;
    frame.bytes.assign(kWidth * kHeight, static_cast<std::uint8_t>(number));
    frame.metadata =
        encode(FrameMetadata{.kind = kind,
                             .index = {.sequence = 7, .pattern = pattern, .patterns = kPatterns},
                             .frame = number,
                             .time = std::chrono::milliseconds(number)});
    return maker_.take(std::move(frame)).value();
  }
  PictureMaker::Taken fringe(std::uint32_t number) { return take(number, FrameKind::kFringe, 0); }

  PictureMaker maker_{kWidth, kHeight, kPatterns};
  std::uint64_t assembled_ = 100;
};

TEST_F(WandPictureMaker, GivesFringesOneByOne) {
  for (std::uint32_t number = 50; number < 53; ++number) {
    const auto taken = take(number, FrameKind::kFringe, static_cast<int>(number - 50));
    ASSERT_TRUE(taken.picture);
    EXPECT_EQ(taken.picture->sequence, number - 50);
    EXPECT_EQ(taken.picture->format, PixelFormat::kGrey8);
    EXPECT_EQ(taken.picture->fringe->pattern, static_cast<int>(number - 50));
    EXPECT_EQ(taken.picture->fringe->sequence, 7u);
    EXPECT_EQ(taken.picture->device_time, std::chrono::milliseconds(number));
  }
  EXPECT_EQ(maker_.lost(), 0u);
}

TEST_F(WandPictureMaker, MakesOneColourPictureOfThreeFrames) {
  fringe(10);
  EXPECT_FALSE(take(11, FrameKind::kRed, kPatterns).picture);
  EXPECT_FALSE(take(12, FrameKind::kGreen, kPatterns).picture);
  const auto taken = take(13, FrameKind::kBlue, kPatterns);
  ASSERT_TRUE(taken.picture);
  EXPECT_EQ(taken.picture->format, PixelFormat::kYuy2);
  EXPECT_EQ(taken.picture->bytes.size(), 2u * kWidth * kHeight);
  EXPECT_EQ(taken.picture->fringe->pattern, kPatterns);
  EXPECT_EQ(taken.picture->device_time, std::chrono::milliseconds(12)) << "green is the middle";
  EXPECT_EQ(taken.picture->sequence, 1u) << "three frames are one picture";
  EXPECT_EQ(fringe(14).picture->sequence, 2u);
  EXPECT_EQ(maker_.lost(), 0u);
}

TEST_F(WandPictureMaker, CountsWhatIsMissing) {
  fringe(10);
  const auto taken = fringe(15);
  EXPECT_EQ(maker_.lost(), 4u);
  EXPECT_EQ(taken.picture->sequence, 5u);
}

TEST_F(WandPictureMaker, DoesNotCountBrokenFramesTwice) {
  fringe(10);
  take(15, FrameKind::kFringe, 0, assembled_ + 4);  // three of the four were counted as broken
  EXPECT_EQ(maker_.lost(), 1u);
}

TEST_F(WandPictureMaker, CountsOverTheWrapOfTheFrameNumber) {
  fringe(0xFFFFFFFE);
  EXPECT_EQ(fringe(1).picture->sequence, 3u);
  EXPECT_EQ(maker_.lost(), 2u);
}

TEST_F(WandPictureMaker, TakesAFrameOnce) {
  fringe(10);
  EXPECT_FALSE(fringe(10).picture);
  EXPECT_TRUE(fringe(11).picture);
  EXPECT_EQ(maker_.lost(), 0u);
}

TEST_F(WandPictureMaker, StartsAnewWhenTheWandDid) {
  fringe(100'000);
  EXPECT_EQ(fringe(3).picture->sequence, 1u);
  EXPECT_EQ(fringe(4).picture->sequence, 2u);
  EXPECT_EQ(maker_.lost(), 0u);
}

TEST_F(WandPictureMaker, CountsTheColoursThatNoPictureCameOf) {
  take(10, FrameKind::kRed, kPatterns);
  EXPECT_FALSE(take(12, FrameKind::kBlue, kPatterns).picture);
  EXPECT_EQ(maker_.lost(), 3u) << "green never came, red and blue are of no use";
  EXPECT_EQ(fringe(13).picture->sequence, 3u);

  take(14, FrameKind::kRed, kPatterns);
  take(15, FrameKind::kGreen, kPatterns);
  EXPECT_TRUE(fringe(16).picture);
  EXPECT_EQ(maker_.lost(), 5u);

  EXPECT_FALSE(take(17, FrameKind::kGreen, kPatterns).picture);
  EXPECT_EQ(maker_.lost(), 6u);
  take(18, FrameKind::kRed, kPatterns);
  take(20, FrameKind::kGreen, kPatterns);  // not the green that followed this red
  EXPECT_FALSE(take(21, FrameKind::kBlue, kPatterns).picture);
  EXPECT_EQ(maker_.lost(), 6u + 4u);
}

TEST_F(WandPictureMaker, PassesOverFramesWithoutTheirMetadata) {
  fringe(10);
  uvc::AssembledFrame bare;
  bare.sequence = ++assembled_;
  EXPECT_FALSE(maker_.take(std::move(bare))->picture);
  uvc::AssembledFrame other;
  other.sequence = ++assembled_;
  other.metadata = encode(FrameMetadata{.index = {.pattern = 0, .patterns = 4}, .frame = 12});
  EXPECT_FALSE(maker_.take(std::move(other))->picture) << "of another sequence than announced";
  EXPECT_EQ(maker_.without_metadata(), 2u);
  fringe(13);
  EXPECT_EQ(maker_.lost(), 0u) << "both were counted already";
}

TEST_F(WandPictureMaker, EndsWhenTooManyFramesInARowSayAnotherSequence) {
  const auto other = [&] {
    uvc::AssembledFrame frame;
    frame.sequence = ++assembled_;
    frame.metadata = encode(FrameMetadata{.index = {.pattern = 0, .patterns = 4}, .frame = 12});
    return maker_.take(std::move(frame));
  };
  for (int i = 0; i < 29; ++i) ASSERT_TRUE(other());
  fringe(10);
  for (int i = 0; i < 29; ++i) ASSERT_TRUE(other());
  const auto ended = other();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kProtocol);
  EXPECT_EQ(ended.error().message,
            "30 frames in a row can't be used: wand frame metadata: a sequence of 4 patterns, the "
            "capabilities say 3");
  EXPECT_EQ(maker_.without_metadata(), 59u);
}

TEST_F(WandPictureMaker, DoesNotTakeADoubledFrameForTheOneThatIsMissing) {
  fringe(10);
  fringe(10);
  fringe(12);
  EXPECT_EQ(maker_.lost(), 1u);
}

TEST_F(WandPictureMaker, DoesNotCountALeapThatNoWandMakes) {
  fringe(10);
  fringe(10 + (1u << 30));
  EXPECT_EQ(maker_.lost(), 0u);
  EXPECT_EQ(fringe(11 + (1u << 30)).picture->sequence, 2u);
}

TEST_F(WandPictureMaker, TellsFaults) {
  uvc::AssembledFrame frame;
  frame.metadata = encode(FrameMetadata{.index = {.pattern = 0, .patterns = kPatterns},
                                        .faults = fault::kProjectorHot});
  EXPECT_EQ(maker_.take(std::move(frame))->faults, fault::kProjectorHot);
}

}  // namespace
}  // namespace cusp::wand
