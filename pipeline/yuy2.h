// The colour of a pixel of a YUY2 picture (4:2:2, "YUYV"), as cameras of the USB Video Class mean
// it: ITU-R BT.601 with luma of 16..235 and chroma of 16..240.
// Threads: pure function. Errors: none.
#pragma once

#include <algorithm>
#include <cstdint>

namespace cusp {

// `pair`: the four bytes of two pixels; `second` the right one of them. Writes R, G and B.
inline void yuy2_to_rgb(const std::uint8_t* pair, bool second, std::uint8_t* rgb) {
  const auto clamped = [](int value) {
    return static_cast<std::uint8_t>(std::clamp(value, 0, 255));
  };
  // In 1/256.
  const int y = 298 * (pair[second ? 2 : 0] - 16) + 128;
  const int u = pair[1] - 128;
  const int v = pair[3] - 128;
  rgb[0] = clamped((y + 409 * v) >> 8);
  rgb[1] = clamped((y - 100 * u - 208 * v) >> 8);
  rgb[2] = clamped((y + 516 * u) >> 8);
}

}  // namespace cusp
