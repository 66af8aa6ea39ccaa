// What a device offers, what is chosen, and what it agrees to: the part of video_capture.h that
// comes before the first frame.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "drivers/uvc/stream_choice_internal.h"
#include "drivers/uvc/video_capture.h"

namespace cusp::uvc {
namespace {

constexpr double kIntervalUnitsPerSecond = 1e7;
constexpr double kRateTolerance = 0.01;
constexpr std::size_t kMaxFrameBytes = 256u << 20;
constexpr std::size_t kLeastPayloadBytes = 16;

bool same_rate(double a_hz, double b_hz) { return std::abs(a_hz - b_hz) <= kRateTolerance * b_hz; }

}  // namespace

FrameBytes frame_bytes(const FormatDescriptor& format, int width_px, int height_px,
                       std::size_t device_says) {
  const auto pixels = static_cast<std::size_t>(width_px) * static_cast<std::size_t>(height_px);
  if (format.kind == FormatKind::kMjpeg) return {device_says, FrameSize::kJpeg};
  if (const auto known = pixel_format(format)) return {pixels * bytes_per_pixel(*known)};
  if (format.kind == FormatKind::kUncompressed && format.bits_per_pixel != 0)
    return {pixels * static_cast<std::size_t>(format.bits_per_pixel) / 8};
  return {device_says, FrameSize::kAtMost};
}

Result<void> check_sizes(int interface_number, std::size_t frame_bytes, std::size_t payload_bytes) {
  if (frame_bytes > 0 && frame_bytes <= kMaxFrameBytes && payload_bytes >= kLeastPayloadBytes)
    return {};
  return error(ErrorCode::kProtocol,
               "UVC interface {}: the device offers frames of {} bytes in payloads of {}",
               interface_number, frame_bytes, payload_bytes);
}

Result<AlternateSetting> choose_setting(const StreamingInterface& stream,
                                        std::uint32_t payload_bytes) {
  if (stream.alternates.empty())
    return error(ErrorCode::kUnsupported, "UVC interface {}: it has no endpoint to stream over",
                 stream.number);
  if (stream.bulk()) return stream.alternates.front();
  const AlternateSetting* best = nullptr;
  std::uint32_t most = 0;
  for (const AlternateSetting& setting : stream.alternates) {
    const auto bytes = static_cast<std::uint32_t>(setting.interval_bytes);
    most = std::max(most, bytes);
    if (bytes >= payload_bytes &&
        (best == nullptr || setting.interval_bytes < best->interval_bytes))
      best = &setting;
  }
  if (best != nullptr) return *best;
  return error(ErrorCode::kUnsupported,
               "UVC interface {}: the stream needs {} bytes of bandwidth an interval, the device's "
               "settings have {} at most; choose a smaller picture or rate, or a faster port",
               stream.number, payload_bytes, most);
}

Result<AgreedStream> agree(UsbTransport& transport, const VideoFunction& function,
                           const StreamingInterface& stream, std::uint8_t format_index,
                           std::uint8_t frame_index, std::uint32_t interval_100ns) {
  AgreedStream agreed{.interface_number = stream.number};
  const auto format = std::find_if(stream.formats.begin(), stream.formats.end(),
                                   [&](const auto& f) { return f.index == format_index; });
  if (format != stream.formats.end()) {
    agreed.format = *format;
    std::erase_if(agreed.format.frames, [&](const auto& f) { return f.index != frame_index; });
  }
  if (agreed.format.frames.empty() || interval_100ns == 0)
    return error(ErrorCode::kInvalidArgument,
                 "UVC interface {}: it has no format {} with a frame {} every {} x 100 ns",
                 stream.number, format_index, frame_index, interval_100ns);
  agreed.format.frames.resize(1);

  // Some cameras misbehave unless an alternate setting is chosen before any other request.
  if (const auto idle = transport.set_alternate(stream.number, 0);
      !idle && idle.error().code == ErrorCode::kDisconnected)
    return idle.error();
  CUSP_ASSIGN(Negotiated answer, negotiate(transport, stream.number, function.uvc_version_bcd,
                                           {.format_index = format_index,
                                            .frame_index = frame_index,
                                            .interval_100ns = interval_100ns}));
  StreamControl& control = answer.control;
  if (control.format_index != format_index || control.frame_index != frame_index)
    return error(ErrorCode::kProtocol,
                 "UVC interface {}: asked for format {} frame {}, the device offers {} and {}",
                 stream.number, format_index, frame_index, control.format_index,
                 control.frame_index);
  if (control.interval_100ns == 0 || !same_rate(kIntervalUnitsPerSecond / control.interval_100ns,
                                                kIntervalUnitsPerSecond / interval_100ns))
    return error(ErrorCode::kProtocol,
                 "UVC interface {}: asked for a frame every {} x 100 ns, the device offers one "
                 "every {}",
                 stream.number, interval_100ns, control.interval_100ns);
  // Seen in the field: computed with 16 bits and sign-extended.
  if (control.max_payload_bytes >> 16 == 0xFFFF) control.max_payload_bytes &= 0xFFFF;
  agreed.control = control;
  agreed.commit_block = std::move(answer.block);
  agreed.clock_hz = control.clock_hz != 0 ? control.clock_hz : function.clock_hz;
  const FrameDescriptor& frame = agreed.frame();
  const FrameBytes whole =
      frame_bytes(agreed.format, frame.width_px, frame.height_px,
                  control.max_frame_bytes != 0 ? control.max_frame_bytes : frame.max_frame_bytes);
  agreed.frame_bytes = whole.bytes;
  agreed.frame_size = whole.size;
  CUSP_TRY(check_sizes(stream.number, agreed.frame_bytes, control.max_payload_bytes));
  CUSP_ASSIGN(agreed.setting, choose_setting(stream, control.max_payload_bytes));
  return agreed;
}

std::vector<OfferedMode> offered_modes(const StreamingInterface& stream,
                                       const std::function<bool(const FormatDescriptor&)>& wanted) {
  std::vector<OfferedMode> modes;
  for (const FormatDescriptor& format : stream.formats) {
    if (!wanted(format)) continue;
    for (const FrameDescriptor& frame : format.frames)
      for (const std::uint32_t interval : frame.intervals_100ns)
        modes.push_back(
            {.mode = {frame.width_px, frame.height_px, kIntervalUnitsPerSecond / interval},
             .format_index = format.index,
             .frame_index = frame.index,
             .interval_100ns = interval});
  }
  return modes;
}

Result<OfferedMode> choose_mode(const std::vector<OfferedMode>& offered, const StreamMode& wish,
                                const std::string& device_name) {
  const auto found = std::find_if(offered.begin(), offered.end(), [&](const OfferedMode& offer) {
    return offer.mode.width_px == wish.width_px && offer.mode.height_px == wish.height_px &&
           same_rate(wish.rate_hz, offer.mode.rate_hz);
  });
  if (found != offered.end()) return *found;
  std::string list;
  for (const OfferedMode& offer : offered)
    fmt::format_to(std::back_inserter(list), "{}{}x{} at {:.4g} Hz", list.empty() ? "" : ", ",
                   offer.mode.width_px, offer.mode.height_px, offer.mode.rate_hz);
  return error(ErrorCode::kInvalidArgument, "{}: no stream of {}x{} at {:.4g} Hz; it offers {}",
               device_name, wish.width_px, wish.height_px, wish.rate_hz,
               list.empty() ? "none" : list);
}

}  // namespace cusp::uvc
