#include "drivers/realsense_d400/emulator_descriptors.h"

#include <algorithm>
#include <cmath>

namespace cusp::realsense_d400 {
namespace {

constexpr std::uint16_t kUvcVersion = 0x0150;
constexpr std::uint32_t kClockHz = 48'000'000;
constexpr double kIntervalUnitsPerSecond = 1e7;
constexpr std::uint8_t kStatusEndpoint = 0x87, kDepthEndpoint = 0x82, kColourEndpoint = 0x84;
constexpr std::uint8_t kColourCamera = 6, kColourProcessingUnit = 7;
constexpr std::uint32_t kGainControl = 1u << 9;

// Adds the optics' own size and brings the rates down to what the double may send.
std::vector<uvc::FrameDescriptor> limited(std::vector<uvc::FrameDescriptor> frames,
                                          const Intrinsics& own,
                                          const std::vector<std::uint32_t>& usual,
                                          double max_rate_hz) {
  if (std::none_of(frames.begin(), frames.end(), [&](const auto& frame) {
        return frame.width_px == own.width_px && frame.height_px == own.height_px;
      }))
    frames.push_back({.index = static_cast<std::uint8_t>(frames.size() + 1),
                      .width_px = own.width_px,
                      .height_px = own.height_px,
                      .intervals_100ns = usual});
  const auto fastest =
      static_cast<std::uint32_t>(std::floor(kIntervalUnitsPerSecond / max_rate_hz));
  for (auto& frame : frames) {
    auto& intervals = frame.intervals_100ns;
    std::erase_if(intervals, [&](std::uint32_t interval) { return interval < fastest; });
    if (intervals.empty() || intervals.front() != fastest)
      intervals.insert(intervals.begin(), fastest);
  }
  return frames;
}

uvc::StreamingInterface bulk_stream(int number, std::uint8_t endpoint,
                                    uvc::FormatDescriptor format) {
  return {.number = number,
          .alternates = {{.endpoint = endpoint, .type = TransferType::kBulk}},
          .formats = {std::move(format)}};
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
  return limited(std::move(frames), options.depth, usual, options.max_rate_hz);
}

std::vector<uvc::FrameDescriptor> emulator_colour_frames(const EmulatorOptions& options) {
  const std::vector<std::uint32_t> usual{166'666, 333'333, 666'666, 1'666'665};
  std::vector<uvc::FrameDescriptor> frames{
      {.index = 1, .width_px = 424, .height_px = 240, .intervals_100ns = usual},
      {.index = 2, .width_px = 640, .height_px = 480, .intervals_100ns = usual},
      {.index = 3, .width_px = 848, .height_px = 480, .intervals_100ns = usual},
      {.index = 4,
       .width_px = 1280,
       .height_px = 720,
       .intervals_100ns = {333'333, 666'666, 1'666'665}}};
  return limited(std::move(frames), options.colour->intrinsics, usual, options.max_rate_hz);
}

EmulatedVideoFunction emulator_depth_function(const EmulatorOptions& options) {
  EmulatedVideoFunction video;
  video.function = {
      .uvc_version_bcd = kUvcVersion,
      .control_interface = 0,
      .status_endpoint = kStatusEndpoint,
      .clock_hz = kClockHz,
      .cameras = {{.id = kEmulatorCamera, .controls = 0x200000}},
      .processing_units = {{.id = kEmulatorProcessingUnit,
                            .source = kEmulatorCamera,
                            .controls = kGainControl}},
      .extension_units = {
          {.id = kEmulatorDepthUnit, .guid = kDepthUnitGuid, .controls = {0xFF, 0xDD, 0x00}}}};
  video.streams.push_back({.interface = bulk_stream(1, kDepthEndpoint,
                                                    {.index = 1,
                                                     .kind = uvc::FormatKind::kFrameBased,
                                                     .guid = kZ16Guid,
                                                     .bits_per_pixel = 16,
                                                     .frames = emulator_frames(options)}),
                           .source = {}});
  return video;
}

EmulatedStream emulator_colour_stream(const EmulatorOptions& options, int interface_number) {
  return {.interface = bulk_stream(interface_number, kColourEndpoint,
                                   {.index = 1,
                                    .kind = uvc::FormatKind::kFrameBased,
                                    .guid = uvc::fourcc_guid("YUY2"),
                                    .bits_per_pixel = 16,
                                    .frames = emulator_colour_frames(options)}),
          .source = {}};
}

EmulatedVideoFunction emulator_colour_function() {
  EmulatedVideoFunction video;
  video.function = {.uvc_version_bcd = kUvcVersion,
                    .control_interface = 2,
                    .clock_hz = kClockHz,
                    .cameras = {{.id = kColourCamera}},
                    .processing_units = {{.id = kColourProcessingUnit, .source = kColourCamera}}};
  return video;
}

}  // namespace cusp::realsense_d400
