// PackedFrame: a depth frame made small, for the frames of a scan that are kept (scan_log.h).
//
// Depth becomes counts of a unit (a Z16 device's own, so nothing is lost; else the finest that 16
// bits hold over the depth range, about half a micrometre under a wand). Each standard deviation
// keeps three bits of mantissa, which is within 7 %. Along a row the differences of measured pixels
// are stored, the low and the high bytes apart, and all of it as one Zstandard frame with checksum
// (RFC 8878). About 0.2 MB for 640x480 pixels that are well measured. Native byte order is
// little-endian (checked).
//
// Threads: pure functions. Errors: kCorrupt, when bytes are no packed frame or were damaged;
// whatever the bytes are, unpack() neither crashes nor takes more memory than the largest frame.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/calibration.h"
#include "core/frame.h"
#include "core/result.h"

namespace cusp {

// What one count of depth should be.
float packing_unit_mm(const Calibration& calibration, double max_depth_mm);

// Depth beyond 65535 units is "not measured".
std::vector<std::uint8_t> pack(const DepthFrame& frame, float unit_mm);
Result<DepthFrame> unpack(std::span<const std::uint8_t> bytes);

}  // namespace cusp
