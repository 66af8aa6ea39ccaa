// A wand's calibration table: encode, decode, and what the pipeline makes of it.
//
// Frames and units: camera frame as in core/frame.h, projector likewise (x right, y down, z along
// its light), mm, pixels. Byte table: docs/wand-protocol.md section 7. Threads: values and
// functions. Errors: kCorrupt when size, CRC or a value is wrong, kUnsupported for another major
// version; a table that does not fit the wand is kCorrupt too: optics are never guessed.
#pragma once

#include "drivers/wand/protocol.h"

namespace cusp::wand {

struct CalibrationTable {
  std::string made_on{};  // ISO 8601 date
  Intrinsics camera{};
  LensDistortion camera_distortion{};
  Intrinsics projector{};
  LensDistortion projector_distortion{};
  RigidTransform projector_from_camera = RigidTransform::Identity();
  double projector_c = 0;            // temperature of the projector when it was made
  double reprojection_error_px = 0;  // root mean square, over camera and projector
};
inline constexpr std::size_t kTableBytes = 288;

std::vector<std::uint8_t> encode(const CalibrationTable& table);
Result<CalibrationTable> decode_calibration_table(std::span<const std::uint8_t> bytes);
// The CRC-32 that stands at the table's end; it is the calibration's name.
std::string calibration_id(std::uint32_t crc32);  // "wand-1a2b3c4d"

// The table with the wand's patterns and range.
Result<Calibration> make_calibration(const CalibrationTable& table, std::uint32_t crc32,
                                     const Capabilities& capabilities);

}  // namespace cusp::wand
