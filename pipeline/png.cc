#include "pipeline/png.h"

#include <png.h>

namespace cusp {
namespace {

constexpr int kMaxSidePx = 16384;

}  // namespace

Result<std::vector<std::uint8_t>> to_png(std::span<const std::uint8_t> pixels, int width_px,
                                         int height_px, int channels) {
  CUSP_CHECK(channels == 1 || channels == 3, "a grey or an RGB picture");
  const auto refused = [&](std::string_view why) {
    return error(ErrorCode::kInvalidArgument, "picture of {}x{} px: {}", width_px, height_px, why);
  };
  if (width_px < 1 || height_px < 1 || width_px > kMaxSidePx || height_px > kMaxSidePx)
    return refused("such a size can't be written as PNG");
  if (pixels.size() != static_cast<std::size_t>(width_px) * static_cast<std::size_t>(height_px) *
                           static_cast<std::size_t>(channels))
    return refused(fmt::format("{} bytes are not its pixels", pixels.size()));
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width_px);
  image.height = static_cast<png_uint_32>(height_px);
  image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  std::vector<std::uint8_t> png;
  if (png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr) != 0) {
    png.resize(size);
    if (png_image_write_to_memory(&image, png.data(), &size, 0, pixels.data(), 0, nullptr) != 0) {
      png.resize(size);
      return png;
    }
  }
  return error(ErrorCode::kIo, "picture of {}x{} px: {}", width_px, height_px, image.message);
}

}  // namespace cusp
