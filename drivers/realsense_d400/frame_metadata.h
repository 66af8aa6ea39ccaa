// The metadata that a D400 camera puts behind the 12 bytes of a UVC payload header: a row of
// blocks, each with a type, its size (these eight bytes included), a version and flags that say
// which of its fields hold.
//
// Linux shows them to nobody who did not ask the kernel for it, but on the wire they are always
// there in newer firmware. Facts: librealsense (Apache-2.0), src/metadata.h. Threads: pure
// functions. Errors: none; what is cut off, unknown or flagged as invalid is simply not told.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace cusp::realsense_d400 {

struct FrameMetadata {
  std::optional<std::uint32_t> frame_counter{};  // of the stream; starts anew with it
  std::optional<std::chrono::microseconds> exposure{};
};

// Capture timing, then depth control.
std::vector<std::uint8_t> encode(const FrameMetadata& metadata);
FrameMetadata decode_frame_metadata(std::span<const std::uint8_t> blocks);

}  // namespace cusp::realsense_d400
