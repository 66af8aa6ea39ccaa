#include "tests/drivers/jpeg_decode.h"

#include <jpeglib.h>

#include <stdexcept>

namespace cusp {

std::optional<DecodedPicture> decode_jpeg(std::span<const std::uint8_t> bytes) {
  jpeg_error_mgr errors;
  jpeg_decompress_struct jpeg;
  jpeg.err = jpeg_std_error(&errors);
  errors.error_exit = [](j_common_ptr) { throw std::runtime_error("libjpeg"); };
  errors.emit_message = [](j_common_ptr common, int level) {
    if (level < 0) ++common->err->num_warnings;
  };
  jpeg_create_decompress(&jpeg);
  std::optional<DecodedPicture> picture;
  try {
    jpeg_mem_src(&jpeg, bytes.data(), bytes.size());
    jpeg_read_header(&jpeg, TRUE);
    jpeg.out_color_space = JCS_RGB;
    // Without this libjpeg would fill in the tables itself.
    bool tables = true;
    for (int i = 0; i < 2; ++i)
      tables = tables && jpeg.dc_huff_tbl_ptrs[i] != nullptr && jpeg.ac_huff_tbl_ptrs[i] != nullptr;
    if (tables) {
      jpeg_start_decompress(&jpeg);
      DecodedPicture made{.width_px = static_cast<int>(jpeg.output_width),
                          .height_px = static_cast<int>(jpeg.output_height),
                          .rgb = std::vector<std::uint8_t>(std::size_t{3} * jpeg.output_width *
                                                           jpeg.output_height)};
      while (jpeg.output_scanline < jpeg.output_height) {
        JSAMPROW row = &made.rgb[std::size_t{3} * jpeg.output_width * jpeg.output_scanline];
        jpeg_read_scanlines(&jpeg, &row, 1);
      }
      jpeg_finish_decompress(&jpeg);
      if (errors.num_warnings == 0) picture = std::move(made);
    }
  } catch (const std::runtime_error&) {
    picture.reset();
  }
  jpeg_destroy_decompress(&jpeg);
  return picture;
}

}  // namespace cusp
