// The calibration tables of a D400 camera: 25 (rectified depth), 32 (colour camera), and the list
// of rectified intrinsics that newer firmware sends beside them.
//
// A table is a header of 16 bytes (version u16 big-endian, type u16, size u32, parameter u32,
// CRC-32 of what follows) and its data, little-endian. Frames: sensor as in core/frame.h;
// colour_from_depth leads to the colour camera's. Units: mm, pixels. Facts: librealsense
// (Apache-2.0), src/ds/ds-private.h, src/ds/d400/d400-private.{h,cpp}. Threads: pure functions.
// Errors: kCorrupt when a table's type, size or CRC is wrong or it makes no sense, kNotFound for a
// resolution that is not in it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/calibration.h"
#include "core/result.h"

namespace cusp::realsense_d400 {

inline constexpr std::size_t kTableHeaderBytes = 16;
inline constexpr std::uint32_t kCoefficientsTableId = 25;
inline constexpr std::size_t kCoefficientsBytes = 512;
inline constexpr std::uint32_t kColourTableId = 32;
inline constexpr std::size_t kColourTableBytes = 256;

// Table 25: the stereo pair, and the rectified parameters of each resolution that the ASIC can
// make.
struct Coefficients {
  std::uint32_t crc32 = 0;
  double baseline_mm = 0;
  std::vector<Intrinsics> rectified;  // the resolutions that are filled in
};
// The table's CRC is computed; `crc32` is ignored. Only sizes that have a place in the table are
// written.
std::vector<std::uint8_t> encode(const Coefficients& coefficients);
Result<Coefficients> decode_coefficients(std::span<const std::uint8_t> table);
// kNotFound when the table has no such resolution: optics are never guessed.
Result<Intrinsics> rectified_at(const Coefficients& coefficients, int width_px, int height_px);

// Table 32: the colour camera, its matrix normalised to [-1, 1] over the calibrated picture.
struct ColourCoefficients {
  std::uint32_t crc32 = 0;
  double fx = 0, fy = 0, cx = 0, cy = 0;  // normalised: x_px = (1 + fx x + cx) width / 2
  LensDistortion distortion;
  int calibrated_width_px = 0;
  int calibrated_height_px = 0;
  RigidTransform colour_from_depth = RigidTransform::Identity();
};
std::vector<std::uint8_t> encode(const ColourCoefficients& coefficients);
Result<ColourCoefficients> decode_colour_coefficients(std::span<const std::uint8_t> table);
// The matrix at a resolution of a camera of its own, which crops the calibrated picture to the
// other aspect ratio and scales it.
Intrinsics colour_intrinsics(const ColourCoefficients& coefficients, int width_px, int height_px);
// The same for a D405, whose image processor crops in its own way: 640x480 is cut from 1280x800
// scaled to 770x480.
Intrinsics d405_colour_intrinsics(const ColourCoefficients& coefficients, int width_px,
                                  int height_px);
// What turns the camera's optics at one resolution into a table that says so (inverse of
// colour_intrinsics when the calibrated size is that resolution).
ColourCoefficients colour_coefficients(const ColourOptics& optics);

// The answer to Opcode::kReadRectifiedModes: items of 20 bytes without header or CRC. Items that
// make no sense are left out.
std::vector<std::uint8_t> encode_rectified_modes(std::span<const Intrinsics> modes);
std::vector<Intrinsics> decode_rectified_modes(std::span<const std::uint8_t> data);

}  // namespace cusp::realsense_d400
