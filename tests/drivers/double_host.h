// The host's end of a cable to a firmware double, and a small camera to put at the other end.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "drivers/emulation/uvc_function.h"

namespace cusp {

inline constexpr std::uint8_t kVideoEndpoint = 0x82, kStillEndpoint = 0x83, kStatusEndpoint = 0x87;
inline constexpr std::uint32_t kCameraClockHz = 48'000'000;
inline constexpr int kCameraWidth = 8, kCameraHeight = 4;
inline constexpr std::size_t kCameraFrameBytes = std::size_t{kCameraWidth} * kCameraHeight * 2;

// Pixels that tell frames apart.
inline std::vector<std::uint8_t> numbered_pixels(std::uint64_t index, std::size_t size) {
  std::vector<std::uint8_t> pixels(size);
  std::iota(pixels.begin(), pixels.end(), static_cast<std::uint8_t>(index * 31));
  return pixels;
}

inline EmulatedSource numbered_frames(std::vector<std::uint8_t> metadata = {}) {
  return [metadata](std::uint64_t index, const EmulatedMode& mode, EmulatedFrame& frame) {
    frame.pixels = numbered_pixels(index, static_cast<std::size_t>(mode.width_px) *
                                              static_cast<std::size_t>(mode.height_px) * 2);
    frame.metadata = metadata;
    return true;
  };
}

// A bulk camera on SuperSpeed, UVC 1.5, with YUY2 frames of 8x4 (1) and 16x8 (2).
inline EmulatedUvcDevice bulk_camera(EmulatedSource source, std::uint32_t max_payload_bytes = 0) {
  EmulatedUvcDevice device;
  device.vendor_id = 0x1234;
  device.product_id = 0x5678;
  device.maker = "Maker";
  device.product = "Camera";
  device.serial = "0001";
  device.real_time = false;
  EmulatedVideoFunction video;
  video.function.uvc_version_bcd = 0x0150;
  video.function.status_endpoint = kStatusEndpoint;
  video.function.clock_hz = kCameraClockHz;
  video.function.cameras = {{.id = 1, .controls = 0x0A}};
  video.function.processing_units = {{.id = 2, .source = 1, .controls = 0x0200}};
  video.function.extension_units = {{.id = 3, .guid = {1, 2, 3}, .controls = {0xFF, 0x01, 0x00}}};
  EmulatedStream stream;
  stream.interface.number = 1;
  stream.interface.alternates = {
      {.number = 0, .endpoint = kVideoEndpoint, .type = TransferType::kBulk}};
  stream.interface.formats = {
      {.index = 1,
       .kind = uvc::FormatKind::kUncompressed,
       .guid = uvc::fourcc_guid("YUY2"),
       .bits_per_pixel = 16,
       .default_frame = 1,
       .frames = {{.index = 1,
                   .width_px = kCameraWidth,
                   .height_px = kCameraHeight,
                   .intervals_100ns = {333'333, 666'666}},
                  {.index = 2, .width_px = 16, .height_px = 8, .intervals_100ns = {666'666}}}}};
  stream.source = std::move(source);
  stream.max_payload_bytes = max_payload_bytes;
  video.streams.push_back(std::move(stream));
  device.functions.push_back(std::move(video));
  return device;
}

// The same camera on high speed, isochronous, UVC 1.1, with three alternate settings; its stills
// are 8x4 (1) and 32x16 (2).
inline EmulatedUvcDevice isochronous_camera(EmulatedSource source, std::uint8_t still_method = 0) {
  EmulatedUvcDevice device = bulk_camera(std::move(source));
  device.speed = UsbSpeed::kHigh;
  EmulatedVideoFunction& video = device.functions.front();
  video.function.uvc_version_bcd = 0x0110;
  uvc::StreamingInterface& interface = video.streams.front().interface;
  interface.alternates.clear();
  for (const int bytes : {32, 64, 2048})
    interface.alternates.push_back({.number = static_cast<int>(interface.alternates.size()) + 1,
                                    .endpoint = kVideoEndpoint,
                                    .type = TransferType::kIsochronous,
                                    .interval_bytes = bytes});
  interface.still_method = still_method;
  if (still_method != 0)
    interface.formats.front().still =
        uvc::StillDescriptor{.endpoint = still_method == 3 ? kStillEndpoint : std::uint8_t{0},
                             .sizes = {{kCameraWidth, kCameraHeight}, {32, 16}}};
  return device;
}

// Asks and waits as a bus would.
class DoubleHost {
 public:
  using Bytes = std::vector<std::uint8_t>;

  explicit DoubleHost(UsbFunction& function) : function_(function) { plug(); }
  ~DoubleHost() { function_.set_wake({}); }
  DoubleHost(const DoubleHost&) = delete;
  DoubleHost& operator=(const DoubleHost&) = delete;

  void plug() {
    function_.set_wake([this] {
      const std::lock_guard lock(mutex_);
      ++wakes_;
      changed_.notify_all();
    });
  }

  struct Read {
    UsbOutcome outcome;
    Bytes bytes;
  };
  // One transfer or packet; a NAK is waited out.
  Read read(std::uint8_t endpoint, std::size_t size) {
    while (true) {
      const std::uint64_t before = wakes();
      Read result = read_once(endpoint, size);
      if (result.outcome.kind != UsbOutcome::Kind::kNak) return result;
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return wakes_ != before; });
    }
  }
  Read read_once(std::uint8_t endpoint, std::size_t size) {
    Read result{.outcome = {}, .bytes = Bytes(size)};
    result.outcome = function_.in(endpoint, result.bytes);
    result.bytes.resize(std::min(size, result.outcome.size));
    return result;
  }

  // `index`: the entity's id above the interface's number.
  UsbOutcome::Kind set(std::uint16_t index, std::uint8_t selector, Bytes data) {
    return function_
        .control(
            {uvc::kToInterface, uvc::kSetCur, static_cast<std::uint16_t>(selector << 8), index},
            data)
        .kind;
  }
  std::optional<Bytes> get(std::uint16_t index, std::uint8_t selector,
                           std::uint8_t request = uvc::kGetCur) {
    Bytes data(64);
    const UsbOutcome outcome = function_.control(
        {uvc::kFromInterface, request, static_cast<std::uint16_t>(selector << 8), index}, data);
    if (outcome.kind != UsbOutcome::Kind::kData) return std::nullopt;
    data.resize(std::min(outcome.size, data.size()));
    return data;
  }

  // Probe and commit on interface 1; nothing when it was refused.
  std::optional<uvc::StreamControl> agree(std::uint16_t uvc_version_bcd, std::uint8_t frame = 1,
                                          std::uint32_t interval_100ns = 0) {
    const uvc::StreamControl wish{
        .format_index = 1, .frame_index = frame, .interval_100ns = interval_100ns};
    if (set(1, uvc::kProbeSelector, uvc::encode(wish, uvc_version_bcd)) != UsbOutcome::Kind::kData)
      return std::nullopt;
    const auto answer = get(1, uvc::kProbeSelector);
    if (!answer) return std::nullopt;
    const auto agreed = uvc::decode_stream_control(*answer);
    if (!agreed || set(1, uvc::kCommitSelector, uvc::encode(*agreed, uvc_version_bcd)) !=
                       UsbOutcome::Kind::kData)
      return std::nullopt;
    return *agreed;
  }

 private:
  std::uint64_t wakes() {
    const std::lock_guard lock(mutex_);
    return wakes_;
  }

  UsbFunction& function_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t wakes_ = 0;
};

}  // namespace cusp
