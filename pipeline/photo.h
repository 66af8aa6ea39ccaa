// Photo: a camera's picture as a file that any program reads.
//
// What the camera compressed stays as it came, byte by byte (JPEG); raw pixels become PNG, so that
// nothing more is lost. Errors: kUnsupported when the frame shows no picture (depth), kCorrupt when
// its bytes are not those of its size. Threads: pure function.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/frame.h"
#include "core/result.h"

namespace cusp {

struct Photo {
  std::string content_type;  // "image/jpeg" or "image/png"
  int width_px = 0;
  int height_px = 0;
  std::vector<std::uint8_t> bytes;
};

Result<Photo> to_photo(RawFrame frame);

}  // namespace cusp
