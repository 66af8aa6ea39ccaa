// Frames of Motion JPEG cameras become pictures that any program reads.
#include <gmock/gmock.h>

#include <algorithm>

#include "drivers/uvc_camera/emulator.h"
#include "drivers/uvc_camera/jpeg.h"
#include "drivers/uvc_camera/picture_formats.h"
#include "tests/drivers/jpeg_decode.h"

namespace cusp::uvc_camera {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr int kWidth = 64, kHeight = 48;

Bytes jpeg_of(bool with_tables) {
  Bytes rgb(std::size_t{3} * kWidth * kHeight);
  test_pictures()(3, kWidth, kHeight, rgb);
  Bytes bytes;
  encode_jpeg(rgb, kWidth, kHeight, with_tables, bytes);
  return bytes;
}

ErrorCode code_of(Bytes bytes) {
  const auto picture = complete_jpeg(std::move(bytes));
  EXPECT_FALSE(picture.ok());
  return picture.ok() ? ErrorCode{} : picture.error().code;
}

TEST(CompleteJpeg, LeavesAWholePictureAsItIs) {
  const Bytes whole = jpeg_of(true);
  const auto picture = complete_jpeg(whole);
  ASSERT_TRUE(picture) << picture.error().message;
  EXPECT_EQ(picture->bytes, whole);
  EXPECT_EQ(picture->width_px, kWidth);
  EXPECT_EQ(picture->height_px, kHeight);
}

TEST(CompleteJpeg, PutsInTheHuffmanTablesThatTheCameraLeftOut) {
  const Bytes bare = jpeg_of(false);
  ASSERT_FALSE(decode_jpeg(bare));
  const auto picture = complete_jpeg(bare);
  ASSERT_TRUE(picture) << picture.error().message;
  const auto decoded = decode_jpeg(picture->bytes);
  const auto expected = decode_jpeg(jpeg_of(true));
  ASSERT_TRUE(decoded);
  ASSERT_TRUE(expected);
  EXPECT_EQ(decoded->rgb, expected->rgb);
}

TEST(CompleteJpeg, CutsOffWhatStandsBehindTheEnd) {
  const Bytes whole = jpeg_of(true);
  Bytes padded = whole;
  padded.resize(padded.size() + 100);
  const auto picture = complete_jpeg(padded);
  ASSERT_TRUE(picture) << picture.error().message;
  EXPECT_EQ(picture->bytes, whole);
}

TEST(CompleteJpeg, RefusesEveryPictureThatIsCutOff) {
  for (const bool with_tables : {false, true}) {
    const Bytes whole = jpeg_of(with_tables);
    for (std::size_t size = 0; size < whole.size(); ++size)
      EXPECT_EQ(code_of(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))),
                ErrorCode::kCorrupt)
          << size;
  }
}

TEST(CompleteJpeg, DoesNotTakeTheScansHeaderForItsEnd) {
  Bytes whole = jpeg_of(true);
  const Bytes scan{0xFF, 0xDA, 0x00, 0x0C};
  const auto at = std::search(whole.begin(), whole.end(), scan.begin(), scan.end());
  ASSERT_NE(at, whole.end());
  // The header claims to hold all that follows, the end marker too.
  const auto size = static_cast<std::size_t>(whole.end() - at) - 2;
  at[2] = static_cast<std::uint8_t>(size >> 8);
  at[3] = static_cast<std::uint8_t>(size);
  EXPECT_EQ(code_of(whole), ErrorCode::kCorrupt);
}

TEST(CompleteJpeg, RefusesWhatIsNoJpeg) {
  EXPECT_EQ(code_of(Bytes(1000)), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(Bytes(1000, 0xFF)), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of({0xFF, 0xD8, 0xFF, 0xE0, 0xFF, 0xFF, 0xFF, 0xD9}), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of({0xFF, 0xD8, 0xFF, 0xE0, 0x00, 0x01, 0xFF, 0xD9}), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of({0xFF, 0xD8, 0xFF, 0xDA, 0x00, 0x02, 0xFF, 0xD9}), ErrorCode::kCorrupt)
      << "a scan without a frame";
}

TEST(CompleteJpeg, AByteThatIsWrongNeverDoesHarm) {
  const Bytes whole = jpeg_of(false);
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (const std::uint8_t flip : {0x01, 0x80, 0xFF}) {
      Bytes garbled = whole;
      garbled[at] ^= flip;
      const auto picture = complete_jpeg(std::move(garbled));
      if (!picture) continue;
      EXPECT_LE(picture->bytes.size(), whole.size() + 420);
    }
}

}  // namespace
}  // namespace cusp::uvc_camera
