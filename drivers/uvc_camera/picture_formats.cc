#include "drivers/uvc_camera/picture_formats.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/check.h"

// jpeglib.h does not include what it needs.
// clang-format off
#include <cstdio>
#include <jpeglib.h>
// clang-format on

namespace cusp::uvc_camera {
namespace {

constexpr int kJpegQuality = 85;

std::uint8_t to_byte(double value) {
  return static_cast<std::uint8_t>(std::clamp(std::lround(value), 0L, 255L));
}
double luma(const std::uint8_t* rgb) { return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]; }

}  // namespace

void encode_yuy2(std::span<const std::uint8_t> rgb, std::vector<std::uint8_t>& bytes) {
  CUSP_CHECK(!rgb.empty() && rgb.size() % 6 == 0, "pairs of pixels");
  bytes.resize(rgb.size() / 3 * 2);
  for (std::size_t pair = 0; pair < rgb.size() / 6; ++pair) {
    const std::uint8_t* const left = &rgb[6 * pair];
    const std::uint8_t* const right = left + 3;
    const double y0 = luma(left), y1 = luma(right);
    const double blue = (left[2] + right[2]) / 2.0, red = (left[0] + right[0]) / 2.0;
    const double y = (y0 + y1) / 2;
    std::uint8_t* const to = &bytes[4 * pair];
    to[0] = to_byte(y0);
    to[1] = to_byte(128 + (blue - y) / 1.772);
    to[2] = to_byte(y1);
    to[3] = to_byte(128 + (red - y) / 1.402);
  }
}

void encode_jpeg(std::span<const std::uint8_t> rgb, int width_px, int height_px, bool with_tables,
                 std::vector<std::uint8_t>& bytes) {
  CUSP_CHECK(width_px > 0 && height_px > 0 &&
                 rgb.size() == std::size_t{3} * static_cast<std::size_t>(width_px) *
                                   static_cast<std::size_t>(height_px),
             "an RGB picture");
  jpeg_error_mgr errors;
  jpeg_compress_struct jpeg;
  jpeg.err = jpeg_std_error(&errors);
  errors.error_exit = [](j_common_ptr) { CUSP_CHECK(false, "libjpeg takes any RGB picture"); };
  jpeg_create_compress(&jpeg);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &buffer, &size);
  jpeg.image_width = static_cast<JDIMENSION>(width_px);
  jpeg.image_height = static_cast<JDIMENSION>(height_px);
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, kJpegQuality, TRUE);
  if (!with_tables)
    for (int i = 0; i < 2; ++i)
      jpeg.dc_huff_tbl_ptrs[i]->sent_table = jpeg.ac_huff_tbl_ptrs[i]->sent_table = TRUE;
  jpeg_start_compress(&jpeg, with_tables ? TRUE : FALSE);
  std::vector<std::uint8_t> row(std::size_t{3} * static_cast<std::size_t>(width_px));
  while (jpeg.next_scanline < jpeg.image_height) {
    std::copy_n(rgb.begin() + static_cast<std::ptrdiff_t>(jpeg.next_scanline * row.size()),
                row.size(), row.begin());
    JSAMPROW rows[]{row.data()};
    jpeg_write_scanlines(&jpeg, rows, 1);
  }
  jpeg_finish_compress(&jpeg);
  bytes.assign(buffer, buffer + size);
  jpeg_destroy_compress(&jpeg);
  std::free(buffer);
}

}  // namespace cusp::uvc_camera
