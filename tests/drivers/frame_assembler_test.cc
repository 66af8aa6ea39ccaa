// Frames out of payloads, by the rules of the USB Video Class.
#include "drivers/uvc/frame_assembler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace cusp {
namespace {

using uvc::AssembledFrame;
using uvc::FrameAssembler;
using Bytes = std::vector<std::uint8_t>;
using testing::ElementsAre;

constexpr std::uint8_t kFid = 1, kEof = 2, kPts = 4, kScr = 8, kSti = 0x20, kErr = 0x40,
                       kEoh = 0x80;

Bytes pixels(std::size_t count, std::uint8_t first = 0) {
  Bytes bytes(count);
  std::iota(bytes.begin(), bytes.end(), first);
  return bytes;
}

Bytes payload(std::uint8_t flags, const Bytes& data, const Bytes& stamps = {}) {
  Bytes bytes;
  bytes.push_back(static_cast<std::uint8_t>(2 + stamps.size()));
  bytes.push_back(flags | kEoh);
  for (const std::uint8_t byte : stamps) bytes.push_back(byte);
  for (const std::uint8_t byte : data) bytes.push_back(byte);
  return bytes;
}

class FrameAssemblerTest : public testing::Test {
 protected:
  // Sends one payload as a transfer that ends it.
  void send(const Bytes& bytes) { assembler_.feed({.bytes = bytes, .ends_payload = true}); }

  // A packet that the bus damaged.
  void damage(const Bytes& bytes = {}) {
    assembler_.feed({.bytes = bytes, .ends_payload = true, .damaged = true});
  }
  const uvc::BrokenFrames& broken() const { return assembler_.broken_by_reason(); }
  FrameAssembler of_any_size(uvc::FrameSize size, std::size_t limit) {
    return {limit, 1000, [this](AssembledFrame&& frame) { frames_.push_back(std::move(frame)); },
            size};
  }

  std::vector<std::uint64_t> sequences() const {
    std::vector<std::uint64_t> numbers;
    for (const auto& frame : frames_) numbers.push_back(frame.sequence);
    return numbers;
  }

  std::vector<AssembledFrame> frames_;
  FrameAssembler assembler_{
      8, 1000, [this](AssembledFrame&& frame) { frames_.push_back(std::move(frame)); }};
};

TEST_F(FrameAssemblerTest, OnePayloadIsAFrame) {
  send(payload(kEof, pixels(8)));
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_EQ(frames_[0].bytes, pixels(8));
  EXPECT_EQ(frames_[0].sequence, 0u);
  EXPECT_FALSE(frames_[0].pts_ticks);
}

TEST_F(FrameAssemblerTest, SeveralPayloadsAreAFrame) {
  send(payload(0, pixels(3)));
  send(payload(0, pixels(3, 3)));
  send(payload(kEof, pixels(2, 6)));
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_EQ(frames_[0].bytes, pixels(8));
}

TEST_F(FrameAssemblerTest, AChangedFrameIdEndsAFrameWithoutEof) {
  send(payload(0, pixels(8)));
  EXPECT_TRUE(frames_.empty());
  send(payload(kFid, pixels(8, 100)));
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_EQ(frames_[0].bytes, pixels(8));
}

TEST_F(FrameAssemblerTest, TheFirstTimeStampIsTheFrames) {
  send(payload(kPts | kScr, pixels(4), {0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0, 0, 0}));
  send(payload(kPts | kEof, pixels(4, 4), {1, 2, 3, 4}));
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_EQ(frames_[0].pts_ticks, 0x12345678u);
}

TEST_F(FrameAssemblerTest, APayloadMaySpanChunks) {
  const Bytes bytes = payload(kEof, pixels(8));
  for (std::size_t i = 0; i < bytes.size(); ++i)
    assembler_.feed(
        {.bytes = std::span(bytes).subspan(i, 1), .ends_payload = i + 1 == bytes.size()});
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_EQ(frames_[0].bytes, pixels(8));
}

TEST_F(FrameAssemblerTest, AnEmptyTransferEndsAPayloadThatFilledItsTransfers) {
  const Bytes bytes = payload(kEof, pixels(8));
  assembler_.feed({.bytes = bytes, .ends_payload = false});
  EXPECT_TRUE(frames_.empty());
  assembler_.feed({.bytes = {}, .ends_payload = true});
  EXPECT_EQ(frames_.size(), 1u);
}

TEST_F(FrameAssemblerTest, PayloadsOfTheNegotiatedSizeNeedNoShortTransfer) {
  FrameAssembler exact(8, 10,
                       [this](AssembledFrame&& frame) { frames_.push_back(std::move(frame)); });
  Bytes row = payload(kEof, pixels(8));
  for (const Bytes& more : {payload(kFid | kEof, pixels(8, 50)), payload(kEof, pixels(8, 90))})
    row.insert(row.end(), more.begin(), more.end());
  // In chunks that respect no border.
  for (std::size_t at = 0; at < row.size(); at += 7)
    exact.feed({.bytes = std::span(row).subspan(at, std::min<std::size_t>(7, row.size() - at))});
  ASSERT_EQ(frames_.size(), 3u);
  EXPECT_EQ(frames_[1].bytes, pixels(8, 50));
  EXPECT_EQ(frames_[2].bytes, pixels(8, 90));
  EXPECT_EQ(exact.broken(), 0u);
}

TEST_F(FrameAssemblerTest, AFrameWithTheErrorBitIsBroken) {
  send(payload(kErr, pixels(4)));
  send(payload(kEof, pixels(4, 4)));
  send(payload(kFid | kEof, pixels(8)));
  EXPECT_THAT(sequences(), ElementsAre(1u));
  EXPECT_EQ(assembler_.broken(), 1u);
}

TEST_F(FrameAssemblerTest, AFrameThatIsTooShortIsBroken) {
  send(payload(kEof, pixels(7)));
  send(payload(kFid | kEof, pixels(8)));
  EXPECT_THAT(sequences(), ElementsAre(1u));
  EXPECT_EQ(assembler_.broken(), 1u);
}

TEST_F(FrameAssemblerTest, AFrameThatIsTooLongIsBroken) {
  send(payload(0, pixels(8)));
  send(payload(kEof, pixels(1)));
  send(payload(kFid | kEof, pixels(9)));
  send(payload(kEof, pixels(8)));
  EXPECT_THAT(sequences(), ElementsAre(2u));
  EXPECT_EQ(assembler_.broken(), 2u);
}

TEST_F(FrameAssemblerTest, AHeaderShorterThanItsFlagsAskForBreaksItsFrame) {
  send(payload(kEof | kPts, pixels(8)));
  send({0, kEof, 1, 2, 3, 4, 5, 6, 7, 8});
  send(payload(kFid | kEof, pixels(8)));
  EXPECT_EQ(frames_.size(), 1u);
  EXPECT_EQ(assembler_.broken(), 2u);
}

TEST_F(FrameAssemblerTest, APayloadThatEndsInsideItsHeaderBreaksTheFrame) {
  send(payload(0, pixels(4)));
  send({12, kEof, 1});
  send(payload(kEof, pixels(4, 4)));
  EXPECT_TRUE(frames_.empty());
  EXPECT_EQ(assembler_.broken(), 1u);
  send({5});
  send(payload(kFid | kEof, pixels(8)));
  EXPECT_EQ(assembler_.broken(), 2u);
}

TEST_F(FrameAssemblerTest, EmptyPayloadsBetweenFramesMeanNothing) {
  send(payload(0, {}));
  send(payload(kEof, pixels(8)));
  send(payload(kEof, {}));
  send(payload(kFid, {}));
  send(payload(kFid | kEof, pixels(8)));
  EXPECT_THAT(sequences(), ElementsAre(0u, 1u));
  EXPECT_EQ(assembler_.broken(), 0u);
}

TEST_F(FrameAssemblerTest, PixelsOfAFrameThatHasEndedAreBroken) {
  send(payload(kEof, pixels(8)));
  send(payload(kEof, pixels(8)));
  send(payload(kFid | kEof, pixels(8)));
  EXPECT_THAT(sequences(), ElementsAre(0u, 2u));
  EXPECT_EQ(assembler_.broken(), 1u);
}

TEST_F(FrameAssemblerTest, AnInterruptedFrameIsBrokenAndAnyIdMayFollow) {
  send(payload(kEof, pixels(8)));
  send(payload(kFid, pixels(4)));
  assembler_.interrupt();
  send(payload(kFid | kEof, pixels(8)));
  EXPECT_THAT(sequences(), ElementsAre(0u, 2u));
  EXPECT_EQ(assembler_.broken(), 1u);
  EXPECT_EQ(assembler_.begun(), 3u);
}

TEST_F(FrameAssemblerTest, DamageIsTheReasonOfAFrameThatNeverCame) {
  damage(pixels(5));
  assembler_.interrupt();
  EXPECT_EQ(broken().on_bus, 1u);
  EXPECT_EQ(assembler_.begun(), 1u);
  send(payload(kEof, pixels(8)));
  EXPECT_THAT(sequences(), ElementsAre(1u));
}

// Its neighbours have one id, and nothing else tells that there was a frame between them.
TEST_F(FrameAssemblerTest, AFrameThatCameAsDamageAloneCostsNotTheNext) {
  send(payload(kFid | kEof, pixels(8)));
  damage(pixels(9));
  send(payload(kFid | kEof, pixels(8)));
  EXPECT_THAT(sequences(), ElementsAre(0u, 2u));
  EXPECT_EQ(broken().on_bus, 1u);
  EXPECT_EQ(assembler_.broken(), 1u);
  assembler_.interrupt();
  EXPECT_EQ(assembler_.begun(), 3u);
}

TEST_F(FrameAssemblerTest, CountsTheBrokenOnesInARow) {
  for (int i = 0; i < 3; ++i) send(payload(i % 2 == 0 ? kEof : kEof | kFid, pixels(5)));
  EXPECT_EQ(assembler_.broken_in_a_row(), 3u);
  send(payload(kFid | kEof, pixels(8)));
  EXPECT_EQ(assembler_.broken_in_a_row(), 0u);
}

TEST_F(FrameAssemblerTest, TheFirstTimeAndTheLongestMetadataAreTheFrames) {
  // PTS, SCR (clock, bus frame with a bit too many), and two bytes of the device's own.
  send(payload(kPts | kScr, pixels(3), {1, 0, 0, 0, 2, 0, 0, 0, 0x03, 0xF8, 9, 9}));
  send(payload(kPts | kScr, pixels(3, 3), {5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 1, 2, 3}));
  send(payload(kEof, pixels(2, 6), {4, 4}));
  ASSERT_EQ(frames_.size(), 1u);
  EXPECT_EQ(frames_[0].pts_ticks, 1u);
  EXPECT_THAT(frames_[0].metadata, ElementsAre(1, 2, 3));
  send(payload(kFid | kEof, pixels(8)));
  ASSERT_EQ(frames_.size(), 2u);
  EXPECT_TRUE(frames_[1].metadata.empty()) << "the last frame's is not this one's";
}

TEST_F(FrameAssemblerTest, EachBrokenFrameIsCountedByItsFirstReason) {
  send(payload(kErr, pixels(4)));
  send(payload(kEof, pixels(9)));
  EXPECT_EQ(broken().by_device, 1u);
  send(payload(kFid, pixels(9)));
  send(payload(kFid | kEof | kErr, pixels(1)));
  EXPECT_EQ(broken().size, 1u);
  send({1, 0, 7, 7});
  send(payload(kEof, pixels(3)));
  EXPECT_EQ(broken().header, 1u);
  send(payload(kFid, pixels(4)));
  damage();
  send(payload(kFid | kEof, pixels(4, 4)));
  EXPECT_EQ(broken().on_bus, 1u);
  EXPECT_EQ(assembler_.broken(), 4u);
  EXPECT_TRUE(frames_.empty());
}

TEST_F(FrameAssemblerTest, ADamagedPacketBetweenFramesHurtsOnlyAFrameThatLacksItsBytes) {
  send(payload(kEof, pixels(8)));
  damage();
  send(payload(kFid | kEof, pixels(8)));
  EXPECT_EQ(frames_.size(), 2u);
  EXPECT_EQ(assembler_.broken(), 0u);
  damage(payload(0, pixels(4)));
  send(payload(kEof, pixels(4, 4)));
  EXPECT_EQ(frames_.size(), 2u);
  EXPECT_EQ(broken().on_bus, 1u);
}

TEST_F(FrameAssemblerTest, ABrokenHeaderAtAFramesStartCostsThisFrameAlone) {
  send(payload(kEof, pixels(8)));
  send({0, 0, 1, 2, 3, 4});                  // the first half of the next
  send(payload(kFid | kEof, pixels(4, 4)));  // the second
  EXPECT_EQ(assembler_.broken(), 1u);
  send(payload(kEof, pixels(8)));
  send({0, 0, 1, 2, 3, 4, 5, 6, 7, 8});  // a whole one; the next has the id of the last good one
  send(payload(kEof, pixels(8)));
  EXPECT_EQ(broken().header, 2u);
  EXPECT_THAT(sequences(), ElementsAre(0u, 2u, 4u));
}

TEST_F(FrameAssemblerTest, JpegsHaveAnySizeUpToTheLimitAndBeginLikeOne) {
  auto jpegs = of_any_size(uvc::FrameSize::kJpeg, 8);
  const auto jpeg = [&](std::uint8_t flags, Bytes data) {
    const Bytes bytes = payload(flags | kEof, data);
    jpegs.feed({.bytes = bytes, .ends_payload = true});
  };
  jpeg(0, {0xFF, 0xD8, 1});
  jpeg(kFid, {0xFF, 0xD8, 1, 2, 3, 4, 5, 6});
  EXPECT_EQ(frames_.size(), 2u);
  EXPECT_EQ(frames_[0].bytes.size(), 3u);
  jpeg(0, {0xFF, 0xD8, 1, 2, 3, 4, 5, 6, 7});
  jpeg(kFid, {0xFF});
  jpeg(0, {3, 4, 5});  // joined in the middle of one
  EXPECT_EQ(jpegs.broken_by_reason().size, 3u);
  jpegs.feed({.bytes = {}, .damaged = true});
  jpeg(kFid, {0xFF, 0xD8, 1});  // nobody knows whether it is whole
  EXPECT_EQ(jpegs.broken_by_reason().on_bus, 1u);
  EXPECT_EQ(frames_.size(), 2u);
}

TEST_F(FrameAssemblerTest, CompressedFramesOfNoKnownKindHaveAnySizeUpToTheLimit) {
  auto any = of_any_size(uvc::FrameSize::kAtMost, 8);
  for (const std::size_t size : {1, 8, 9}) {
    const Bytes bytes = payload(kEof | (size == 8 ? kFid : 0), pixels(size));
    any.feed({.bytes = bytes, .ends_payload = true});
  }
  EXPECT_EQ(frames_.size(), 2u);
  EXPECT_EQ(any.broken(), 1u);
}

TEST_F(FrameAssemblerTest, StillPicturesHaveTheirOwnSizesOfFramesAndPayloads) {
  FrameAssembler both(8, 10,
                      [this](AssembledFrame&& frame) { frames_.push_back(std::move(frame)); });
  both.expect_stills(12, 8, uvc::FrameSize::kExact);
  Bytes row = payload(kEof, pixels(8));
  for (const Bytes& more : {payload(kSti | kFid, pixels(6)), payload(kSti | kFid | kEof, pixels(6)),
                            payload(kEof, pixels(8))})
    row.insert(row.end(), more.begin(), more.end());
  for (std::size_t at = 0; at < row.size(); at += 5)
    both.feed({.bytes = std::span(row).subspan(at, std::min<std::size_t>(5, row.size() - at))});
  ASSERT_EQ(frames_.size(), 3u);
  EXPECT_TRUE(frames_[1].still);
  EXPECT_EQ(frames_[1].bytes.size(), 12u);
  EXPECT_FALSE(frames_[2].still);
  EXPECT_EQ(both.broken(), 0u);
}

TEST_F(FrameAssemblerTest, AStillPictureEndsAFrameEvenWithTheSameId) {
  send(payload(0, pixels(8)));
  send(payload(kSti | kEof, pixels(8)));
  ASSERT_EQ(frames_.size(), 2u);
  EXPECT_TRUE(frames_[1].still);
}

TEST_F(FrameAssemblerTest, AStopForgetsTheOpenFrameWithoutCountingIt) {
  send(payload(0, pixels(4)));
  assembler_.stop();
  send(payload(kEof, pixels(8)));
  EXPECT_THAT(sequences(), ElementsAre(0u));
  EXPECT_EQ(assembler_.broken(), 0u);
}

TEST_F(FrameAssemblerTest, NoiseNeverMakesAFrameOfAnotherSize) {
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    Bytes noise(random() % 24);
    for (auto& byte : noise) byte = static_cast<std::uint8_t>(random() % 16);
    assembler_.feed(
        {.bytes = noise, .ends_payload = random() % 2 == 0, .damaged = random() % 16 == 0});
    if (random() % 64 == 0) assembler_.interrupt();
  }
  EXPECT_GT(assembler_.broken(), 0u);
  for (const auto& frame : frames_) EXPECT_EQ(frame.bytes.size(), 8u);
  EXPECT_EQ(frames_.size() + assembler_.broken(), assembler_.begun());
}

}  // namespace
}  // namespace cusp
