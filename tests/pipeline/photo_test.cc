// Pictures of cameras as files.
#include "pipeline/photo.h"

#include <gmock/gmock.h>
#include <png.h>

namespace cusp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Bytes = std::vector<std::uint8_t>;

RawFrame frame(PixelFormat format, int width_px, int height_px, Bytes bytes) {
  RawFrame raw;
  raw.format = format;
  raw.width_px = width_px;
  raw.height_px = height_px;
  raw.bytes = std::move(bytes);
  return raw;
}

// Pixels of a PNG as any program reads them; empty when it has another size.
Bytes decode_png(const Bytes& png, int width_px, int height_px, std::uint32_t format) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&image, png.data(), png.size()) == 0) return {};
  const bool same = image.width == static_cast<unsigned>(width_px) &&
                    image.height == static_cast<unsigned>(height_px) && image.format == format;
  Bytes pixels(same ? PNG_IMAGE_SIZE(image) : 0);
  if (same) png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr);
  png_image_free(&image);
  return pixels;
}

TEST(Photo, OfMotionJpegIsWhatTheCameraSent) {
  const Bytes sent{0xFF, 0xD8, 1, 2, 3, 0xFF, 0xD9};
  const auto photo = to_photo(frame(PixelFormat::kMjpeg, 1600, 1200, sent));
  ASSERT_TRUE(photo.ok());
  EXPECT_EQ(photo->content_type, "image/jpeg");
  EXPECT_EQ(photo->bytes, sent);
  EXPECT_EQ(photo->width_px, 1600);
  EXPECT_EQ(photo->height_px, 1200);
}

TEST(Photo, OfYuy2HasItsColours) {
  // White and black; red, twice.
  const auto photo =
      to_photo(frame(PixelFormat::kYuy2, 2, 2, {235, 128, 16, 128, 81, 90, 81, 240}));
  ASSERT_TRUE(photo.ok());
  EXPECT_EQ(photo->content_type, "image/png");
  const Bytes rgb = decode_png(photo->bytes, 2, 2, PNG_FORMAT_RGB);
  EXPECT_THAT(rgb, ElementsAre(255, 255, 255, 0, 0, 0, 255, 0, 0, 255, 0, 0));
}

TEST(Photo, OfGreyIsBitExact) {
  const Bytes grey{0, 1, 2, 253, 254, 255};
  const auto photo = to_photo(frame(PixelFormat::kGrey8, 3, 2, grey));
  ASSERT_TRUE(photo.ok());
  EXPECT_EQ(photo->content_type, "image/png");
  EXPECT_EQ(decode_png(photo->bytes, 3, 2, PNG_FORMAT_GRAY), grey);
}

TEST(Photo, OfAFrameThatIsNotWholeIsRefused) {
  for (const RawFrame& broken :
       {frame(PixelFormat::kYuy2, 2, 2, {235, 128, 16, 128, 81, 90, 81}),
        frame(PixelFormat::kYuy2, 2, 2, Bytes(12)), frame(PixelFormat::kYuy2, 0, 0, {}),
        frame(PixelFormat::kYuy2, 1, 2, Bytes(4)), frame(PixelFormat::kGrey8, 2, 2, Bytes(3)),
        frame(PixelFormat::kGrey8, -2, -2, Bytes(4)),
        frame(PixelFormat::kGrey8, 1'000'000, 1, Bytes(1'000'000))}) {
    const auto photo = to_photo(broken);
    ASSERT_FALSE(photo.ok()) << broken.width_px << "x" << broken.height_px;
    EXPECT_EQ(photo.error().code, ErrorCode::kCorrupt) << photo.error().message;
  }
}

TEST(Photo, OfDepthIsNone) {
  const auto photo = to_photo(frame(PixelFormat::kZ16, 2, 2, Bytes(8)));
  ASSERT_FALSE(photo.ok());
  EXPECT_EQ(photo.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(photo.error().message, HasSubstr("no photo"));
}

}  // namespace
}  // namespace cusp
