// The requests to a streaming interface: UVC 1.5 section 4.3.1.
#include <algorithm>
#include <array>
#include <cstdlib>

#include "drivers/bytes.h"
#include "drivers/emulation/uvc_function_descriptors.h"
#include "drivers/emulation/uvc_function_internal.h"
#include "drivers/emulation/uvc_function_stream.h"

namespace cusp {
namespace {

constexpr std::uint8_t kStillProbeSelector = 3, kStillCommitSelector = 4, kTriggerSelector = 5;
constexpr std::uint8_t kTriggerNone = 0, kTriggerVideoPipe = 1, kTriggerStillPipe = 2,
                       kTriggerAbort = 3;
constexpr std::size_t kStillControlBytes = 11;
constexpr std::uint32_t kMetadataRoom = 243;  // of a payload that holds a whole frame
constexpr std::uint32_t kHeaderBytes = PayloadWriter::kStandardHeaderBytes;
constexpr std::uint32_t kLongest = 0xFFFFFFFF;

}  // namespace

UsbOutcome UvcFunctionStream::control(const ControlSetup& setup, std::span<std::uint8_t> data) {
  const std::lock_guard lock(mutex_);
  const auto selector = static_cast<std::uint8_t>(setup.value >> 8);
  switch (selector) {
    case uvc::kProbeSelector:
    case uvc::kCommitSelector:
      return stream_request(setup.request, selector, data);
    case kStillProbeSelector:
    case kStillCommitSelector:
      return interface_.still_method >= 2 ? still_request(setup.request, selector, data) : kRefused;
    case kTriggerSelector:
      return interface_.still_method >= 2 ? trigger_request(setup.request, data) : kRefused;
    default:
      return kRefused;
  }
}

UsbOutcome UvcFunctionStream::stream_request(std::uint8_t request, std::uint8_t selector,
                                             std::span<std::uint8_t> data) {
  const std::uint16_t version = around_.uvc_version_bcd;
  const std::size_t block_bytes = uvc::stream_control_bytes(version);
  const bool is_probe = selector == uvc::kProbeSelector;
  const auto bound = [&](std::uint32_t interval) {
    uvc::StreamControl wish = probe_;
    wish.interval_100ns = interval;
    return answer(data, uvc::encode(*negotiate(wish), version));
  };
  switch (request) {
    case uvc::kGetLen:
      return answer_le16(data, block_bytes);
    case uvc::kGetInfo:
      return answer_byte(data, kCanGet | kCanSet);
    case uvc::kGetCur:
      return answer(data,
                    uvc::encode(is_probe ? probe_ : committed_.value_or(fallback()), version));
    case uvc::kGetMin:
      return is_probe ? bound(1) : kRefused;
    case uvc::kGetMax:
      return is_probe ? bound(kLongest) : kRefused;
    case uvc::kGetDef:
      return is_probe ? answer(data, uvc::encode(fallback(), version)) : kRefused;
    case uvc::kSetCur:
      break;
    default:
      return kRefused;
  }
  if (data.size() != block_bytes) return kRefused;
  const auto wish = uvc::decode_stream_control(data);
  if (!wish) return kRefused;
  const auto agreed = negotiate(*wish);
  if (!agreed) return kRefused;
  if (is_probe) {
    probe_ = *agreed;
    return data_of(data.size());
  }
  // A commit must repeat what the probe agreed on.
  if (wish->interval_100ns != agreed->interval_100ns) return kRefused;
  end_stream();
  committed_ = *agreed;
  if (interface_.bulk() || alternate_ != 0) begin_stream();
  return data_of(data.size());
}

const uvc::FormatDescriptor* UvcFunctionStream::find_format(std::uint8_t index) const {
  const auto found = std::find_if(interface_.formats.begin(), interface_.formats.end(),
                                  [&](const auto& format) { return format.index == index; });
  return found == interface_.formats.end() ? nullptr : &*found;
}

// Fills in what the device decides; nothing when the format or frame does not exist.
std::optional<uvc::StreamControl> UvcFunctionStream::negotiate(
    const uvc::StreamControl& wish) const {
  const uvc::FormatDescriptor* const format = find_format(wish.format_index);
  if (format == nullptr) return std::nullopt;
  const auto frame =
      std::find_if(format->frames.begin(), format->frames.end(),
                   [&](const auto& candidate) { return candidate.index == wish.frame_index; });
  if (frame == format->frames.end()) return std::nullopt;
  const auto& intervals = frame->intervals_100ns;
  const auto distance = [&](std::uint32_t interval) {
    return std::abs(std::int64_t{interval} - std::int64_t{wish.interval_100ns});
  };
  const std::uint32_t interval =
      wish.interval_100ns == 0
          ? intervals.front()
          : *std::min_element(intervals.begin(), intervals.end(),
                              [&](auto a, auto b) { return distance(a) < distance(b); });
  const std::uint32_t frame_bytes =
      emulated_frame_bytes(*format, frame->width_px, frame->height_px, frame->max_frame_bytes);
  return uvc::StreamControl{.format_index = wish.format_index,
                            .frame_index = wish.frame_index,
                            .interval_100ns = interval,
                            .max_frame_bytes = frame_bytes,
                            .max_payload_bytes = payload_bytes(frame_bytes, interval),
                            .clock_hz = around_.clock_hz};
}

// What the device streams when nobody asks for anything else.
uvc::StreamControl UvcFunctionStream::fallback() const {
  const uvc::FormatDescriptor& format = interface_.formats.front();
  const std::uint8_t frame =
      format.default_frame != 0 ? format.default_frame : format.frames.front().index;
  const auto control = negotiate({.format_index = format.index, .frame_index = frame});
  CUSP_CHECK(control.has_value(), "the default frame is one of the format's");
  return *control;
}

std::uint32_t UvcFunctionStream::bulk_payload_bytes(std::uint32_t frame_bytes) const {
  return max_payload_bytes_ != 0 ? max_payload_bytes_ : frame_bytes + kHeaderBytes + kMetadataRoom;
}

// Bulk: as described, or a whole frame. Isochronous: the smallest alternate setting that carries
// the rate, or the largest that there is.
std::uint32_t UvcFunctionStream::payload_bytes(std::uint32_t frame_bytes,
                                               std::uint32_t interval_100ns) const {
  if (interface_.bulk()) return bulk_payload_bytes(frame_bytes);
  for (const auto& setting : interface_.alternates) {
    const std::chrono::nanoseconds service =
        service_interval(around_.speed, setting.interval_exponent);
    const std::uint64_t packets =
        std::uint64_t{interval_100ns} * 100 / static_cast<std::uint64_t>(service.count());
    const auto part = static_cast<std::uint64_t>(setting.interval_bytes) - kHeaderBytes;
    if (part * packets >= frame_bytes) return static_cast<std::uint32_t>(setting.interval_bytes);
  }
  return static_cast<std::uint32_t>(interface_.alternates.back().interval_bytes);
}

EmulatedMode UvcFunctionStream::mode_of(const uvc::StreamControl& control) const {
  const uvc::FormatDescriptor& format = *find_format(control.format_index);
  const auto frame =
      std::find_if(format.frames.begin(), format.frames.end(),
                   [&](const auto& candidate) { return candidate.index == control.frame_index; });
  return {.format_index = control.format_index,
          .width_px = frame->width_px,
          .height_px = frame->height_px,
          .interval_100ns = control.interval_100ns};
}

// UVC 1.5 section 4.3.1.2.
UsbOutcome UvcFunctionStream::still_request(std::uint8_t request, std::uint8_t selector,
                                            std::span<std::uint8_t> data) {
  const auto first = std::find_if(interface_.formats.begin(), interface_.formats.end(),
                                  [](const auto& format) { return format.still.has_value(); });
  CUSP_CHECK(first != interface_.formats.end(), "a stream with stills says their sizes");
  const StillChoice usual{first->index, 1, 0};
  const bool is_probe = selector == kStillProbeSelector;
  StillChoice& current = is_probe ? still_probe_ : still_committed_;
  switch (request) {
    case uvc::kGetLen:
      return answer_le16(data, kStillControlBytes);
    case uvc::kGetInfo:
      return answer_byte(data, kCanGet | kCanSet);
    case uvc::kGetCur:
      return answer(data, *negotiate_still(current.format_index != 0 ? current : usual));
    case uvc::kGetMin:
    case uvc::kGetMax:
    case uvc::kGetDef:
      return is_probe ? answer(data, *negotiate_still(usual)) : kRefused;
    case uvc::kSetCur:
      break;
    default:
      return kRefused;
  }
  if (data.size() != kStillControlBytes) return kRefused;
  const StillChoice wish{data[0], data[1], data[2]};
  if (!negotiate_still(wish)) return kRefused;
  current = wish;
  return data_of(data.size());
}

std::optional<std::vector<std::uint8_t>> UvcFunctionStream::negotiate_still(
    const StillChoice& wish) const {
  const uvc::FormatDescriptor* const format = find_format(wish.format_index);
  if (format == nullptr || !format->still) return std::nullopt;
  const auto& still = *format->still;
  if (wish.size_index == 0 || wish.size_index > still.sizes.size() ||
      wish.compression_index > still.compressions.size())
    return std::nullopt;
  const auto& size = still.sizes[wish.size_index - std::size_t{1}];
  const std::uint32_t bytes = emulated_frame_bytes(*format, size.width_px, size.height_px, 0);
  std::vector<std::uint8_t> block(kStillControlBytes);
  block[0] = wish.format_index;
  block[1] = wish.size_index;
  block[2] = wish.compression_index;
  write_le(block, 3, bytes);
  const bool own_pipe = still_endpoint_ != 0 || interface_.bulk();
  write_le(block, 7,
           own_pipe ? bulk_payload_bytes(bytes) : payload_bytes(bytes, probe_.interval_100ns));
  return block;
}

EmulatedMode UvcFunctionStream::still_mode() const {
  const uvc::FormatDescriptor& format = *find_format(still_committed_.format_index);
  const auto& size = format.still->sizes[still_committed_.size_index - std::size_t{1}];
  return {.format_index = format.index,
          .width_px = size.width_px,
          .height_px = size.height_px,
          .interval_100ns = committed_ ? committed_->interval_100ns : fallback().interval_100ns,
          .still = true};
}

UsbOutcome UvcFunctionStream::trigger_request(std::uint8_t request, std::span<std::uint8_t> data) {
  const std::uint8_t own = interface_.still_method == 2 ? kTriggerVideoPipe : kTriggerStillPipe;
  switch (request) {
    case uvc::kGetInfo:
      return answer_byte(data, kCanGet | kCanSet);
    case uvc::kGetCur:
      return answer_byte(data, still_due_ ? own : kTriggerNone);
    case uvc::kSetCur:
      break;
    default:
      return kRefused;
  }
  if (data.size() != 1) return kRefused;
  if (data[0] == kTriggerNone || data[0] == kTriggerAbort) {
    still_due_ = false;
  } else if (data[0] == own && still_committed_.format_index != 0) {
    still_due_ = true;
    work_.notify_all();
  } else {
    return kRefused;
  }
  return data_of(data.size());
}

}  // namespace cusp
