#include "drivers/realsense_d400/emulator_descriptors.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <span>

#include "drivers/bytes.h"
#include "drivers/realsense_d400/protocol.h"

namespace cusp::realsense_d400 {
namespace {

constexpr std::uint32_t kIntervalUnitsPerSecond = 10'000'000;

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t low(std::uint32_t value) { return static_cast<std::uint8_t>(value); }
constexpr std::uint8_t high(std::uint32_t value) { return static_cast<std::uint8_t>(value >> 8); }

void append(Bytes& to, std::span<const std::uint8_t> from) {
  for (const std::uint8_t byte : from) to.push_back(byte);
}

void append(Bytes& to, std::initializer_list<std::uint8_t> bytes) {
  append(to, std::span(bytes.begin(), bytes.size()));
}

void append_le32(Bytes& to, std::uint32_t value) {
  to.resize(to.size() + 4);
  write_le(to, to.size() - 4, value);
}

// The total length of a block of class descriptors, written into its header once the block is
// there.
void set_total(Bytes& block, std::size_t at) {
  write_le(block, at, static_cast<std::uint16_t>(block.size()));
}

Bytes control_interface() {
  Bytes block{13, 0x24, 0x01, low(kEmulatorUvcVersion), high(kEmulatorUvcVersion), 0, 0};
  append_le32(block, kEmulatorClockHz);
  append(block, {1, kEmulatorStreamingInterface});
  // Camera terminal 1 -> processing unit 2 (gain) -> extension unit 3 -> output terminal 4.
  append(block, {18, 0x24, 0x02, 1, 0x01, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0x00, 0x00, 0x20});
  append(block, {13, 0x24, 0x05, 2, 1, 0x00, 0x40, 3, 0x00, 0x02, 0x00, 0, 0});
  append(block, {28, 0x24, 0x06, kEmulatorDepthUnit});
  append(block, kDepthUnitGuid);
  append(block, {16, 1, 2, 3, 0xFF, 0xDD, 0x00, 0});
  append(block, {9, 0x24, 0x03, 4, 0x01, 0x01, 0, kEmulatorDepthUnit, 0});
  set_total(block, 5);

  Bytes bytes{9, 0x04, kEmulatorControlInterface, 0, 1, 14, 1, 0, 0};
  append(bytes, block);
  append(bytes, {7, 0x05, 0x87, 0x03, 64, 0, 6});  // status interrupts
  append(bytes, {6, 0x30, 0, 0, 64, 0});           // its SuperSpeed companion
  append(bytes, {5, 0x25, 0x03, 64, 0});           // its class part
  return bytes;
}

Bytes frame_descriptor(const uvc::FrameDescriptor& frame) {
  const auto width = static_cast<std::uint32_t>(frame.width_px);
  const auto height = static_cast<std::uint32_t>(frame.height_px);
  const auto bit_rate = [&](std::uint32_t interval) {
    const std::uint64_t rate =
        std::uint64_t{width} * height * 16 * kIntervalUnitsPerSecond / interval;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(rate, 0xFFFFFFFF));
  };
  const auto& intervals = frame.intervals_100ns;
  Bytes bytes{low(static_cast<std::uint32_t>(26 + 4 * intervals.size())),
              0x24,
              0x11,
              frame.index,
              0,
              low(width),
              high(width),
              low(height),
              high(height)};
  append_le32(bytes, bit_rate(intervals.back()));
  append_le32(bytes, bit_rate(intervals.front()));
  append_le32(bytes, intervals.front());
  bytes.push_back(low(static_cast<std::uint32_t>(intervals.size())));
  append_le32(bytes, width * 2);
  for (const std::uint32_t interval : intervals) append_le32(bytes, interval);
  return bytes;
}

Bytes streaming_interface(const std::vector<uvc::FrameDescriptor>& frames) {
  Bytes block{14, 0x24, 0x01, 1, 0, 0, kEmulatorEndpoint, 0, 4, 0, 0, 0, 1, 0};
  append(block,
         {28, 0x24, 0x10, kEmulatorFormatIndex, low(static_cast<std::uint32_t>(frames.size()))});
  append(block, kZ16Guid);
  append(block, {16, 1, 0, 0, 0, 0, 0});
  for (const auto& frame : frames) append(block, frame_descriptor(frame));
  set_total(block, 4);

  Bytes bytes{9, 0x04, kEmulatorStreamingInterface, 0, 1, 14, 2, 0, 0};
  append(bytes, block);
  append(bytes, {7, 0x05, kEmulatorEndpoint, 0x02, 0x00, 0x04, 0});  // bulk, packets of 1024
  append(bytes, {6, 0x30, 15, 0, 0, 0});                             // bursts of 16
  return bytes;
}

}  // namespace

std::vector<uvc::FrameDescriptor> emulator_frames(const EmulatorOptions& options) {
  const std::vector<std::uint32_t> usual{111'111, 166'666, 333'333, 666'666, 1'666'665};
  std::vector<uvc::FrameDescriptor> frames{
      {.index = 1, .width_px = 256, .height_px = 144, .intervals_100ns = {33'333, 111'111}},
      {.index = 2, .width_px = 424, .height_px = 240, .intervals_100ns = usual},
      {.index = 3, .width_px = 480, .height_px = 270, .intervals_100ns = usual},
      {.index = 4, .width_px = 640, .height_px = 360, .intervals_100ns = usual},
      {.index = 5, .width_px = 640, .height_px = 480, .intervals_100ns = usual},
      {.index = 6, .width_px = 848, .height_px = 100, .intervals_100ns = {33'333, 100'000}},
      {.index = 7, .width_px = 848, .height_px = 480, .intervals_100ns = usual},
      {.index = 8,
       .width_px = 1280,
       .height_px = 720,
       .intervals_100ns = {333'333, 666'666, 1'666'665}}};
  if (std::none_of(frames.begin(), frames.end(), [&](const auto& frame) {
        return frame.width_px == options.depth.width_px &&
               frame.height_px == options.depth.height_px;
      }))
    frames.push_back({.index = 9,
                      .width_px = options.depth.width_px,
                      .height_px = options.depth.height_px,
                      .intervals_100ns = usual});
  const auto fastest =
      static_cast<std::uint32_t>(std::floor(kIntervalUnitsPerSecond / options.max_rate_hz));
  for (auto& frame : frames) {
    auto& intervals = frame.intervals_100ns;
    std::erase_if(intervals, [&](std::uint32_t interval) { return interval < fastest; });
    if (intervals.empty() || intervals.front() != fastest)
      intervals.insert(intervals.begin(), fastest);
  }
  return frames;
}

std::vector<std::uint8_t> emulator_device_descriptor(const EmulatorOptions& options) {
  return {18,
          0x01,
          0x20,
          0x03,  // USB 3.2
          239,
          2,
          1,
          9,  // 2^9 bytes on endpoint 0
          low(kVendorId),
          high(kVendorId),
          low(options.product_id),
          high(options.product_id),
          0xE0,
          0x50,
          1,
          2,
          3,
          1};
}

std::vector<std::uint8_t> emulator_config_descriptor(
    const std::vector<uvc::FrameDescriptor>& frames) {
  Bytes bytes{9, 0x02, 0, 0, 2, 1, 0, 0x80, 180 / 8};
  append(bytes, {8, 0x0B, kEmulatorControlInterface, 2, 14, 3, 0, 0});  // one video function
  append(bytes, control_interface());
  append(bytes, streaming_interface(frames));
  set_total(bytes, 2);
  return bytes;
}

}  // namespace cusp::realsense_d400
