// The two frames of the line: what the device sent, and what was measured.
//
// Sensor frame: x right, y down, z forward along the optical axis, origin in the (left) camera's
// centre of projection, millimetres. Pixel (0, 0) is the centre of the top left pixel.
// Threads: values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/clock.h"

namespace cusp {

enum class PixelFormat : std::uint8_t { kZ16, kGrey8, kYuy2 };
std::string_view to_string(PixelFormat format);
// Bytes of one pixel.
std::size_t bytes_per_pixel(PixelFormat format);

// Pinhole model without distortion (devices deliver rectified depth).
struct Intrinsics {
  int width_px = 0;
  int height_px = 0;
  double fx_px = 0, fy_px = 0;  // focal lengths
  double cx_px = 0, cy_px = 0;  // principal point

  bool operator==(const Intrinsics&) const = default;
};

struct RawFrame {
  std::uint64_t sequence = 0;  // counts what the device sent; a gap is a lost frame
  PixelFormat format = PixelFormat::kZ16;
  int width_px = 0;
  int height_px = 0;
  std::optional<std::chrono::nanoseconds> device_time;  // the device's own clock, if it sent one
  MonoTime host_time{};                                 // last byte's arrival
  std::vector<std::uint8_t> bytes;                      // rows without padding, little-endian
};

struct DepthFrame {
  std::uint64_t sequence = 0;
  MonoTime host_time{};
  Intrinsics intrinsics;
  std::vector<float> depth_mm;  // row by row; 0 where nothing was measured
};

}  // namespace cusp
