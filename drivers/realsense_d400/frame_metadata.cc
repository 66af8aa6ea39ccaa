#include "drivers/realsense_d400/frame_metadata.h"

#include "drivers/bytes.h"

namespace cusp::realsense_d400 {
namespace {

constexpr std::uint32_t kDepthControl = 0x80000000, kCaptureTiming = 0x80000001;
constexpr std::size_t kTypeAt = 0, kSizeAt = 4, kVersionAt = 8, kFlagsAt = 12, kFieldsAt = 16;

// Fields of 4 bytes, of which the n-th holds when its flag is set. Depth control has flags for its
// first five in this order.
constexpr std::size_t kCaptureFields = 6, kCounterField = 0, kCaptureExposureField = 3;
constexpr std::size_t kDepthFields = 11, kExposureField = 1;
constexpr std::uint32_t kVersion = 1;

std::optional<std::uint32_t> field(std::span<const std::uint8_t> block, std::size_t index) {
  const std::size_t at = kFieldsAt + 4 * index;
  if (block.size() < at + 4) return std::nullopt;
  if ((read_le<std::uint32_t>(block, kFlagsAt) >> index & 1) == 0) return std::nullopt;
  return read_le<std::uint32_t>(block, at);
}

std::span<std::uint8_t> append_block(std::vector<std::uint8_t>& bytes, std::uint32_t type,
                                     std::size_t fields) {
  const std::size_t at = bytes.size();
  bytes.resize(at + kFieldsAt + 4 * fields);
  const auto block = std::span(bytes).subspan(at);
  write_le(block, kTypeAt, type);
  write_le(block, kSizeAt, static_cast<std::uint32_t>(block.size()));
  write_le(block, kVersionAt, kVersion);
  return block;
}

void set_field(std::span<std::uint8_t> block, std::size_t index,
               std::optional<std::uint32_t> value) {
  if (!value) return;
  write_le(block, kFlagsAt, read_le<std::uint32_t>(block, kFlagsAt) | std::uint32_t{1} << index);
  write_le(block, kFieldsAt + 4 * index, *value);
}

}  // namespace

std::vector<std::uint8_t> encode(const FrameMetadata& metadata) {
  std::vector<std::uint8_t> bytes;
  std::optional<std::uint32_t> exposure_us;
  if (metadata.exposure) exposure_us = static_cast<std::uint32_t>(metadata.exposure->count());
  const auto timing = append_block(bytes, kCaptureTiming, kCaptureFields);
  set_field(timing, kCounterField, metadata.frame_counter);
  set_field(timing, kCaptureExposureField, exposure_us);
  const auto depth = append_block(bytes, kDepthControl, kDepthFields);
  set_field(depth, kExposureField, exposure_us);
  return bytes;
}

FrameMetadata decode_frame_metadata(std::span<const std::uint8_t> blocks) {
  FrameMetadata metadata;
  std::optional<std::uint32_t> set_us, measured_us;
  while (blocks.size() >= kFieldsAt) {
    const auto size = read_le<std::uint32_t>(blocks, kSizeAt);
    if (size < kVersionAt || size > blocks.size()) break;
    const auto block = blocks.first(size);
    blocks = blocks.subspan(size);
    switch (size < kFieldsAt ? 0 : read_le<std::uint32_t>(block, kTypeAt)) {
      case kCaptureTiming:
        metadata.frame_counter = field(block, kCounterField);
        measured_us = field(block, kCaptureExposureField);
        break;
      case kDepthControl:
        set_us = field(block, kExposureField);
        break;
      default:
        break;
    }
  }
  if (const auto exposure_us = set_us ? set_us : measured_us)
    metadata.exposure = std::chrono::microseconds(*exposure_us);
  return metadata;
}

}  // namespace cusp::realsense_d400
