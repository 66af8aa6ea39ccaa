#include "drivers/uvc/still_capture.h"

#include "drivers/bytes.h"
#include "drivers/uvc/class_request_internal.h"
#include "drivers/uvc/stream_choice_internal.h"

namespace cusp::uvc {
namespace {

constexpr std::size_t kBlockBytes = 11, kFrameBytesAt = 3, kPayloadBytesAt = 7;
constexpr std::chrono::milliseconds kTimeout{2000}, kPictureTimeout{10'000};

}  // namespace

std::vector<std::uint8_t> encode(const StillControl& control) {
  std::vector<std::uint8_t> bytes(kBlockBytes);
  bytes[0] = control.format_index;
  bytes[1] = control.size_index;
  bytes[2] = control.compression_index;
  write_le(bytes, kFrameBytesAt, control.max_frame_bytes);
  write_le(bytes, kPayloadBytesAt, control.max_payload_bytes);
  return bytes;
}

Result<StillControl> decode_still_control(std::span<const std::uint8_t> bytes) {
  if (bytes.size() != kBlockBytes)
    return error(ErrorCode::kProtocol, "UVC still control: {} bytes, expected {}", bytes.size(),
                 kBlockBytes);
  return StillControl{.format_index = bytes[0],
                      .size_index = bytes[1],
                      .compression_index = bytes[2],
                      .max_frame_bytes = read_le<std::uint32_t>(bytes, kFrameBytesAt),
                      .max_payload_bytes = read_le<std::uint32_t>(bytes, kPayloadBytesAt)};
}

Result<AgreedStill> agree_still(UsbTransport& transport, const StreamingInterface& stream,
                                AgreedStream& video, std::uint8_t size_index) {
  const auto& offered = video.format.still;
  if (stream.still_method < 2 || !offered || offered->sizes.empty() ||
      (stream.still_method == 3 && offered->endpoint == 0))
    return error(ErrorCode::kUnsupported, "UVC interface {}: format {} has no still pictures",
                 stream.number, video.format.index);
  if (size_index == 0 || size_index > offered->sizes.size())
    return error(ErrorCode::kInvalidArgument,
                 "UVC interface {}: still picture size {} is none of its {}", stream.number,
                 size_index, offered->sizes.size());
  const StillControl wish{
      .format_index = video.format.index,
      .size_index = size_index,
      .compression_index = offered->compressions.empty() ? std::uint8_t{0} : std::uint8_t{1}};
  CUSP_TRY(transport.control_out(
      class_request(kToInterface, kSetCur, kStillProbeSelector, stream.number), encode(wish),
      kTimeout));
  std::vector<std::uint8_t> block(kBlockBytes);
  CUSP_ASSIGN(const std::size_t size,
              transport.control_in(
                  class_request(kFromInterface, kGetCur, kStillProbeSelector, stream.number), block,
                  kTimeout));
  CUSP_ASSIGN(StillControl control, decode_still_control(std::span(block).first(size)));
  if (control.format_index != wish.format_index || control.size_index != wish.size_index)
    return error(ErrorCode::kProtocol,
                 "UVC interface {}: asked for still pictures of format {} and size {}, the device "
                 "offers {} and {}",
                 stream.number, wish.format_index, wish.size_index, control.format_index,
                 control.size_index);
  AgreedStill still{.interface_number = stream.number,
                    .method = stream.still_method,
                    .control = control,
                    .size = offered->sizes[size_index - 1u]};
  const FrameBytes frame =
      frame_bytes(video.format, still.size.width_px, still.size.height_px, control.max_frame_bytes);
  still.frame_bytes = frame.bytes;
  still.frame_size = frame.size;
  CUSP_TRY(check_sizes(stream.number, still.frame_bytes, control.max_payload_bytes));
  if (still.method == 3) {
    still.endpoint = offered->endpoint;
  } else if (video.setting.type == TransferType::kIsochronous) {
    CUSP_ASSIGN(video.setting, choose_setting(stream, std::max(control.max_payload_bytes,
                                                               video.control.max_payload_bytes)));
  }
  return still;
}

Result<void> trigger_still(UsbTransport& transport, const AgreedStill& still) {
  CUSP_TRY(transport.control_out(
      class_request(kToInterface, kSetCur, kStillCommitSelector, still.interface_number),
      encode(still.control), kTimeout));
  const std::uint8_t trigger = still.method == 3 ? kSendStillOverBulk : kSendStill;
  return transport.control_out(
      class_request(kToInterface, kSetCur, kStillTriggerSelector, still.interface_number),
      std::span(&trigger, 1), kTimeout);
}

Result<AssembledFrame> take_picture(UsbTransport& transport, VideoCapture& capture,
                                    const AgreedStill* still, int settle_frames,
                                    std::stop_token stop) {
  if (still != nullptr) capture.expect_stills(*still);
  Result<AssembledFrame> picture =
      error(ErrorCode::kCancelled, "UVC: the capture was stopped before a picture came");
  std::optional<MonoTime> triggered;
  const auto take = [&](std::size_t, AssembledFrame&& frame) {
    if (triggered ? frame.still : still == nullptr && settle_frames == 0) {
      picture = std::move(frame);
      return false;
    }
    if (settle_frames > 0) {
      --settle_frames;
      return true;
    }
    const MonoTime now = std::chrono::steady_clock::now();
    if (!triggered) {
      triggered = now;
      const Result<void> asked = trigger_still(transport, *still);
      if (!asked) picture = asked.error();
      return asked.ok();
    }
    if (now - *triggered < kPictureTimeout) return true;
    picture = error(ErrorCode::kTimeout, "UVC interface {}: no still picture came for {} s",
                    still->interface_number, kPictureTimeout.count() / 1000);
    return false;
  };
  CUSP_TRY(capture.run(stop, take));
  return picture;
}

}  // namespace cusp::uvc
