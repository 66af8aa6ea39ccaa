#include "pipeline/photo.h"

#include <utility>

#include "pipeline/png.h"
#include "pipeline/yuy2.h"

namespace cusp {
namespace {

Result<std::vector<std::uint8_t>> png_of(const RawFrame& frame) {
  if (frame.format == PixelFormat::kGrey8)
    return to_png(frame.bytes, frame.width_px, frame.height_px, 1);
  if (frame.width_px % 2 != 0)
    return error(ErrorCode::kInvalidArgument, "picture of {}x{} px: YUY2 has pairs of pixels",
                 frame.width_px, frame.height_px);
  std::vector<std::uint8_t> rgb(frame.bytes.size() / 4 * 6);
  for (std::size_t pixel = 0; pixel < rgb.size() / 3; ++pixel)
    yuy2_to_rgb(&frame.bytes[pixel / 2 * 4], pixel % 2 != 0, &rgb[3 * pixel]);
  return to_png(rgb, frame.width_px, frame.height_px, 3);
}

}  // namespace

Result<Photo> to_photo(RawFrame frame) {
  Photo photo{.content_type = "image/jpeg",
              .width_px = frame.width_px,
              .height_px = frame.height_px,
              .bytes = {}};
  if (frame.format == PixelFormat::kMjpeg) {
    photo.bytes = std::move(frame.bytes);
    return photo;
  }
  if (frame.format != PixelFormat::kYuy2 && frame.format != PixelFormat::kGrey8)
    return error(ErrorCode::kUnsupported, "a frame of {} pixels is no photo",
                 to_string(frame.format));
  auto png = png_of(frame);
  if (!png.ok() && png.error().code == ErrorCode::kInvalidArgument)
    return error(ErrorCode::kCorrupt, "{}", png.error().message);
  if (!png.ok()) return png.error();
  photo.content_type = "image/png";
  photo.bytes = std::move(*png);
  return photo;
}

}  // namespace cusp
