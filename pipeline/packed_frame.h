// PackedFrame: a depth frame made small, for the frames of a scan that are kept (scan_log.h).
//
// Depth becomes counts of inverse depth, in which triangulation is as sure near as far: a count is
// a sixth of the noise at every depth. Finer digits are noise, which does not pack; what is kept is
// a mean of frames, finer than a device's own unit. Each standard deviation keeps three bits of
// mantissa, which is within 7 %. Along a row the differences of measured pixels are stored, the low
// and the high bytes apart, and all of it as one Zstandard frame with checksum (RFC 8878). About
// 0.2 MB for 640x480 pixels that are well measured. Native byte order is little-endian (checked).
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

// What one count of inverse depth should be, in 1/mm; 16 bits hold what lies beyond the nearest
// depth.
float packing_step(const NoiseModel& noise, double min_depth_mm);

// What is too near for 65535 counts is "not measured".
std::vector<std::uint8_t> pack(const DepthFrame& frame, float step_per_mm);
Result<DepthFrame> unpack(std::span<const std::uint8_t> bytes);

}  // namespace cusp
