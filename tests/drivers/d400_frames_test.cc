// What a D400 driver makes of frames beside their pixels: metadata, numbers, colour pictures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/bytes.h"
#include "drivers/realsense_d400/colour_pairing.h"
#include "drivers/realsense_d400/frame_metadata.h"
#include "drivers/realsense_d400/frame_numbers.h"

namespace cusp::realsense_d400 {
namespace {

using Bytes = std::vector<std::uint8_t>;
using std::chrono::microseconds;
using std::chrono::milliseconds;

Bytes block(std::uint32_t type, std::uint32_t flags, const std::vector<std::uint32_t>& fields) {
  Bytes bytes(16 + 4 * fields.size());
  write_le(bytes, 0, type);
  write_le(bytes, 4, static_cast<std::uint32_t>(bytes.size()));
  write_le<std::uint32_t>(bytes, 8, 1);
  write_le(bytes, 12, flags);
  for (std::size_t i = 0; i < fields.size(); ++i) write_le(bytes, 16 + 4 * i, fields[i]);
  return bytes;
}
Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const Bytes kTiming = block(0x80000001, 0x3F, {77, 1000, 20, 8000, 33333, 5});
const Bytes kStatistics = block(0x00000003, 0xFFFF, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
const Bytes kDepthControl = block(0x80000000, 0x7F, {16, 8500, 150, 1, 0, 0, 0, 0, 0, 1, 0});

TEST(FrameMetadata, IsReadFromARowOfBlocks) {
  const FrameMetadata metadata = decode_frame_metadata(kTiming + kStatistics + kDepthControl);
  EXPECT_EQ(metadata.frame_counter, 77u);
  EXPECT_EQ(metadata.exposure, microseconds(8500));
  EXPECT_EQ(decode_frame_metadata(kTiming).exposure, microseconds(8000));
}

TEST(FrameMetadata, LeavesOutWhatIsFlaggedAsInvalid) {
  const FrameMetadata metadata =
      decode_frame_metadata(block(0x80000001, 0x08, {77, 0, 0, 8000, 0}));
  EXPECT_EQ(metadata.frame_counter, std::nullopt);
  EXPECT_EQ(metadata.exposure, microseconds(8000));
}

TEST(FrameMetadata, TellsNothingThatIsCutOffOrLiesAboutItsSize) {
  const Bytes whole = kTiming + kDepthControl;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const FrameMetadata metadata = decode_frame_metadata(std::span(whole).first(size));
    EXPECT_EQ(metadata.frame_counter.has_value(), size >= kTiming.size()) << size;
    EXPECT_FALSE(metadata.exposure && *metadata.exposure != microseconds(8000)) << size;
  }
  for (const std::uint32_t lie : {0u, 7u, 41u, 0xFFFFFFFFu}) {
    Bytes lying = kTiming;
    write_le(lying, 4, lie);
    EXPECT_FALSE(decode_frame_metadata(lying).frame_counter) << lie;
  }
  Bytes small = kTiming;
  write_le<std::uint32_t>(small, 4, 8);  // a block of its header alone; what follows is no block
  EXPECT_FALSE(decode_frame_metadata(small).frame_counter);
}

TEST(FrameMetadata, ThatIsWrittenReadsBack) {
  const FrameMetadata written{.frame_counter = 5, .exposure = microseconds(900)};
  const FrameMetadata read = decode_frame_metadata(encode(written));
  EXPECT_EQ(read.frame_counter, written.frame_counter);
  EXPECT_EQ(read.exposure, written.exposure);
  EXPECT_LE(encode(written).size(), 243u);
}

TEST(FrameNumbers, FollowTheHostWhenTheDeviceDoesNotCount) {
  FrameNumbers numbers(10);
  EXPECT_EQ(numbers.number(0, std::nullopt), 10u);
  EXPECT_EQ(numbers.number(1, std::nullopt), 11u);
  EXPECT_EQ(numbers.number(5, std::nullopt), 15u);  // three broken ones between
  EXPECT_EQ(numbers.lost(), 0u);
  EXPECT_EQ(numbers.next(), 16u);
}

TEST(FrameNumbers, TellHowManyTheDeviceSentThatNeverCame) {
  FrameNumbers numbers;
  EXPECT_EQ(numbers.number(0, 7), 0u);
  EXPECT_EQ(numbers.number(1, 8), 1u);
  EXPECT_EQ(numbers.number(2, 12), 5u);
  EXPECT_EQ(numbers.lost(), 3u);
  // Broken frames were seen: they are not lost.
  EXPECT_EQ(numbers.number(5, 15), 8u);
  EXPECT_EQ(numbers.lost(), 3u);
  EXPECT_EQ(numbers.number(7, 20), 13u);
  EXPECT_EQ(numbers.lost(), 6u);
}

TEST(FrameNumbers, GoOnWhenTheCountWrapsOrBeginsAnew) {
  FrameNumbers numbers;
  EXPECT_EQ(numbers.number(0, 0xFFFFFFFF), 0u);
  EXPECT_EQ(numbers.number(1, 1), 2u);
  EXPECT_EQ(numbers.lost(), 1u);
  EXPECT_EQ(numbers.number(2, 0), 3u);          // back: begun anew
  EXPECT_EQ(numbers.number(3, 1'000'000), 4u);  // no camera loses so many
  numbers.device_restarted();
  EXPECT_EQ(numbers.number(4, 1'000'009), 5u);
  EXPECT_EQ(numbers.lost(), 1u);
}

// Depth and colour at 10 Hz, in milliseconds.
class PairingTest : public testing::Test {
 protected:
  static constexpr std::uint32_t kClockHz = 1000;

  void depth(std::uint32_t at_ms) {
    pairing_.depth({.sequence = at_ms}, {at_ms, MonoTime(milliseconds(at_ms))});
  }
  void colour(std::uint32_t at_ms) {
    pairing_.colour({.width_px = static_cast<int>(at_ms)}, {at_ms, MonoTime(milliseconds(at_ms))});
  }
  // Time of each frame that was given, and of its picture; -1: none.
  std::vector<std::pair<int, int>> given_;
  ColourPairing pairing_{milliseconds(100), kClockHz, [this](RawFrame&& frame) {
                           given_.emplace_back(static_cast<int>(frame.sequence),
                                               frame.colour ? frame.colour->width_px : -1);
                         }};
};
using Pairs = std::vector<std::pair<int, int>>;

TEST_F(PairingTest, GivesEachFrameTheNearestPictureBeforeOrAfterIt) {
  colour(90);
  depth(100);
  EXPECT_TRUE(given_.empty());  // a nearer one may come
  colour(190);
  EXPECT_EQ(given_, (Pairs{{100, 90}}));
  depth(270);
  colour(280);
  EXPECT_EQ(given_, (Pairs{{100, 90}, {270, 280}}));
}

TEST_F(PairingTest, DoesNotWaitWhenThePictureIsThere) {
  colour(100);
  depth(100);
  EXPECT_EQ(given_, (Pairs{{100, 100}}));
}

TEST_F(PairingTest, WaitsForOneFrameAtMost) {
  depth(100);
  depth(200);
  EXPECT_EQ(given_, (Pairs{{100, -1}}));
  pairing_.flush();
  EXPECT_EQ(given_, (Pairs{{100, -1}, {200, -1}}));
  pairing_.flush();
  EXPECT_EQ(given_.size(), 2u);
}

TEST_F(PairingTest, TakesNoPictureThatIsFarAway) {
  colour(100);
  depth(250);
  depth(350);
  pairing_.flush();
  EXPECT_EQ(given_, (Pairs{{250, -1}, {350, -1}}));
}

TEST_F(PairingTest, GivesAPictureOnce) {
  colour(140);
  depth(100);
  depth(180);
  pairing_.flush();
  EXPECT_EQ(given_, (Pairs{{100, 140}, {180, -1}}));
}

TEST_F(PairingTest, StopsWaitingWhenNoPicturesCome) {
  for (std::uint32_t i = 1; i <= 10; ++i) depth(100 * i);
  EXPECT_EQ(given_.size(), 9u);  // each waits for the next
  depth(1100);
  EXPECT_EQ(given_.size(), 11u);
  depth(1200);
  EXPECT_EQ(given_.size(), 12u);
  colour(1290);
  depth(1300);
  EXPECT_EQ(given_.size(), 12u);  // and waits again
  colour(1390);
  EXPECT_EQ(given_.back(), (std::pair{1300, 1290}));
}

TEST_F(PairingTest, ComparesTicksOverTheirWrap) {
  pairing_.depth({.sequence = 1}, {0xFFFFFFF0, MonoTime(milliseconds(0))});
  pairing_.colour({.width_px = 2}, {0x00000010, MonoTime(milliseconds(0))});
  EXPECT_EQ(given_, (Pairs{{1, 2}}));
}

TEST_F(PairingTest, ComparesArrivalsWhereTheDeviceTellsNoTime) {
  pairing_.colour({.width_px = 2}, {std::nullopt, MonoTime(milliseconds(120))});
  pairing_.depth({.sequence = 1}, {5000, MonoTime(milliseconds(100))});
  EXPECT_EQ(given_, (Pairs{{1, 2}}));
}

}  // namespace
}  // namespace cusp::realsense_d400
