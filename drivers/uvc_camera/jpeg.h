// Makes an ordinary JPEG picture of a frame of a Motion JPEG camera.
//
// Cameras leave out the Huffman tables, which are always the same ones, and pad the end. A picture
// that is kept must be readable by any program, so the tables of ITU-T T.81 (1992) annex K.3 are
// put in and the padding is cut off. The picture itself is not decoded.
// Threads: functions of their arguments. Errors: kCorrupt, for a picture that is cut off or no
// JPEG.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/result.h"

namespace cusp::uvc_camera {

struct JpegPicture {
  int width_px = 0;
  int height_px = 0;
  std::vector<std::uint8_t> bytes;
};

Result<JpegPicture> complete_jpeg(std::vector<std::uint8_t> bytes);

}  // namespace cusp::uvc_camera
