// PNG files, read and written through libpng: 16-bit grey for depth, 8-bit RGB for pictures.
//
// Errors: kNotFound, kCorrupt (no PNG, truncated, damaged), kUnsupported (another pixel format),
// kIo. Threads: pure functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "core/result.h"

namespace cusp::sim {

struct GreyImage16 {
  int width_px = 0;
  int height_px = 0;
  std::vector<std::uint16_t> pixels;  // row by row
};

Result<GreyImage16> read_png16(const std::filesystem::path& path);
// The PNG files of a folder in the order of their names. kNotFound; kInvalidArgument when there is
// none.
Result<std::vector<std::filesystem::path>> list_pngs(const std::filesystem::path& folder);
Result<void> write_png16(const std::filesystem::path& path, const GreyImage16& image);
// Three bytes a pixel, row by row.
Result<void> write_png_rgb(const std::filesystem::path& path, int width_px, int height_px,
                           std::span<const std::uint8_t> rgb);

}  // namespace cusp::sim
