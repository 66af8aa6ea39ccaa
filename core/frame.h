// The two frames of the line: what the device sent, and what was measured.
//
// Sensor frame: x right, y down, z forward along the optical axis, origin in the (left) camera's
// centre of projection, millimetres. Pixel (0, 0) is the centre of the top left pixel.
// Threads: values.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/clock.h"

namespace cusp {

// kZ16: counts of depth. kGrey8, kGrey16: brightness. kYuy2: 4:2:2, "YUYV". kMjpeg: a JPEG picture
// a frame.
enum class PixelFormat : std::uint8_t { kZ16, kGrey8, kGrey16, kYuy2, kMjpeg };
std::string_view to_string(PixelFormat format);
// 0 for kMjpeg, whose frames have no fixed size.
std::size_t bytes_per_pixel(PixelFormat format);

// Pinhole model without distortion (devices deliver rectified depth).
struct Intrinsics {
  int width_px = 0;
  int height_px = 0;
  double fx_px = 0, fy_px = 0;  // focal lengths
  double cx_px = 0, cy_px = 0;  // principal point

  bool operator==(const Intrinsics&) const = default;
};

// Which picture of a projector's sequence a frame shows.
struct FringeIndex {
  std::uint32_t sequence = 0;  // counts the sequences
  int pattern = 0;             // 0 .. patterns-1: its fringes; patterns: the colour picture
  int patterns = 0;            // fringe pictures of a sequence

  bool operator==(const FringeIndex&) const = default;
};

// Sensor frame.
struct ImuSample {
  std::array<float, 3> acceleration_m_s2{};
  std::array<float, 3> angular_velocity_rad_s{};

  bool operator==(const ImuSample&) const = default;
};

// The colour camera's picture that was taken nearest in time to a depth frame.
struct ColourPicture {
  PixelFormat format = PixelFormat::kYuy2;
  int width_px = 0;
  int height_px = 0;
  std::optional<std::chrono::nanoseconds> device_time{};
  std::vector<std::uint8_t> bytes{};
};

struct RawFrame {
  std::uint64_t sequence = 0;  // counts what the device sent; a gap is a lost frame
  PixelFormat format = PixelFormat::kZ16;
  int width_px = 0;
  int height_px = 0;
  std::optional<std::chrono::nanoseconds> device_time{};  // the device's own clock, if it sent one
  MonoTime host_time{};                                   // last byte's arrival
  std::vector<std::uint8_t> bytes{};                      // rows without padding, little-endian
  // What the device tells of this frame, where it does.
  std::optional<std::chrono::nanoseconds> exposure{};
  std::optional<double> temperature_c{};
  std::optional<FringeIndex> fringe{};
  std::optional<ImuSample> imu{};
  std::optional<ColourPicture> colour{};
};

struct DepthFrame {
  std::uint64_t sequence = 0;
  MonoTime host_time{};
  Intrinsics intrinsics;
  std::vector<float> depth_mm;  // row by row; 0 where nothing was measured
  // One standard deviation of each depth, mm; empty when nothing tells it of a single pixel.
  std::vector<float> sigma_mm{};
  // One RGB triple a depth pixel, 0..255; empty when the device sent no colour. Black where the
  // colour camera does not see the point.
  std::vector<std::uint8_t> rgb{};
};

}  // namespace cusp
