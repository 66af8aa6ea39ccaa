// What the driver tests share: a small camera and frames whose every pixel is known.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "core/frame.h"
#include "drivers/realsense_d400/emulator.h"

namespace cusp {

// Numbers that a float holds exactly, as the calibration table stores floats.
inline constexpr Intrinsics kSmall{.width_px = 320,
                                   .height_px = 240,
                                   .fx_px = 212.5,
                                   .fy_px = 213.25,
                                   .cx_px = 160.5,
                                   .cy_px = 119.75};

inline std::uint16_t expected_pixel(std::uint64_t frame, std::size_t pixel) {
  return static_cast<std::uint16_t>(frame * 7919 + pixel * 31 + (pixel >> 7));
}

inline bool fill_frame(std::uint64_t frame, std::span<std::uint16_t> z16) {
  for (std::size_t i = 0; i < z16.size(); ++i) z16[i] = expected_pixel(frame, i);
  return true;
}

// The index of the frame whose pixels these are, or -1 when they are of no frame.
inline std::int64_t frame_index_of(const RawFrame& frame, std::uint64_t limit = 100'000) {
  std::vector<std::uint16_t> pixels(frame.bytes.size() / 2);
  std::memcpy(pixels.data(), frame.bytes.data(), pixels.size() * 2);
  for (std::uint64_t index = 0; index < limit; ++index) {
    if (pixels.empty() || pixels[0] != expected_pixel(index, 0)) continue;
    std::vector<std::uint16_t> expected(pixels.size());
    fill_frame(index, expected);
    if (pixels == expected) return static_cast<std::int64_t>(index);
  }
  return -1;
}

inline realsense_d400::EmulatorOptions quick_camera() {
  return {.serial = "0123456789ab", .depth = kSmall, .real_time = false};
}

}  // namespace cusp
