// PackedFrame: a depth frame made small, for the frames of a scan that are kept (scan_log.h).
//
// Depth becomes counts of a unit, a sixth of the noise at mid range: coarser than that it would add
// to the noise, and finer digits are noise that doesn't pack (2 um for 12 um of it). What is kept
// is a mean of frames, finer than a Z16 device's own unit. Each standard deviation
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

#include "core/frame.h"
#include "core/result.h"
#include "pipeline/noise_model.h"

namespace cusp {

// What one count of depth should be: also as coarse as 16 bits need over the range.
float packing_unit_mm(const NoiseModel& noise, double max_depth_mm);

// Depth beyond 65535 units is "not measured".
std::vector<std::uint8_t> pack(const DepthFrame& frame, float unit_mm);
Result<DepthFrame> unpack(std::span<const std::uint8_t> bytes);

}  // namespace cusp
