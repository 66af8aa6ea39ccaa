#include "drivers/uvc/stream_control.h"

#include <algorithm>

#include "drivers/bytes.h"
#include "drivers/uvc/class_request_internal.h"

namespace cusp::uvc {
namespace {

constexpr std::size_t kBytes10 = 26, kBytes11 = 34, kBytes15 = 48;
constexpr std::size_t kFormatAt = 2, kFrameAt = 3, kIntervalAt = 4, kFrameBytesAt = 18,
                      kPayloadBytesAt = 22, kClockAt = 26;
constexpr std::uint16_t kKeepInterval = 1;  // bmHint: choose the other fields around the interval
constexpr std::chrono::milliseconds kTimeout{2000};

bool is_block(std::size_t bytes) {
  return bytes == kBytes10 || bytes == kBytes11 || bytes == kBytes15;
}

}  // namespace

std::size_t stream_control_bytes(std::uint16_t uvc_version_bcd) {
  if (uvc_version_bcd >= 0x0150) return kBytes15;
  return uvc_version_bcd >= 0x0110 ? kBytes11 : kBytes10;
}

std::vector<std::uint8_t> encode(const StreamControl& control, std::uint16_t uvc_version_bcd) {
  std::vector<std::uint8_t> bytes(stream_control_bytes(uvc_version_bcd));
  write_le(bytes, 0, kKeepInterval);
  bytes[kFormatAt] = control.format_index;
  bytes[kFrameAt] = control.frame_index;
  write_le(bytes, kIntervalAt, control.interval_100ns);
  write_le(bytes, kFrameBytesAt, control.max_frame_bytes);
  write_le(bytes, kPayloadBytesAt, control.max_payload_bytes);
  if (bytes.size() >= kBytes11) write_le(bytes, kClockAt, control.clock_hz);
  return bytes;
}

Result<StreamControl> decode_stream_control(std::span<const std::uint8_t> bytes) {
  if (!is_block(bytes.size()))
    return error(ErrorCode::kProtocol,
                 "UVC stream control: {} bytes, expected {} (UVC 1.0), {} (1.1) or {} (1.5)",
                 bytes.size(), kBytes10, kBytes11, kBytes15);
  StreamControl control;
  control.format_index = bytes[kFormatAt];
  control.frame_index = bytes[kFrameAt];
  control.interval_100ns = read_le<std::uint32_t>(bytes, kIntervalAt);
  control.max_frame_bytes = read_le<std::uint32_t>(bytes, kFrameBytesAt);
  control.max_payload_bytes = read_le<std::uint32_t>(bytes, kPayloadBytesAt);
  if (bytes.size() >= kBytes11) control.clock_hz = read_le<std::uint32_t>(bytes, kClockAt);
  return control;
}

namespace {

// The device's default block; zeros when it has none to give.
Result<std::vector<std::uint8_t>> default_block(UsbTransport& transport, int streaming_interface,
                                                std::size_t bytes) {
  std::vector<std::uint8_t> block(bytes);
  const auto size = transport.control_in(
      class_request(kFromInterface, kGetDef, kProbeSelector, streaming_interface), block, kTimeout);
  if (!size && size.error().code == ErrorCode::kDisconnected) return size.error();
  if (size && is_block(*size)) {
    block.resize(*size);
  } else {
    std::fill(block.begin(), block.end(), std::uint8_t{0});
  }
  return block;
}

void write_wish(std::span<std::uint8_t> block, const StreamControl& wish) {
  write_le(block, 0, kKeepInterval);
  block[kFormatAt] = wish.format_index;
  block[kFrameAt] = wish.frame_index;
  write_le(block, kIntervalAt, wish.interval_100ns);
  write_le(block, kFrameBytesAt, wish.max_frame_bytes);
  write_le(block, kPayloadBytesAt, wish.max_payload_bytes);
}

}  // namespace

Result<Negotiated> negotiate(UsbTransport& transport, int streaming_interface,
                             std::uint16_t uvc_version_bcd, const StreamControl& wish) {
  CUSP_ASSIGN(std::vector<std::uint8_t> block,
              default_block(transport, streaming_interface, stream_control_bytes(uvc_version_bcd)));
  write_wish(block, wish);
  const auto set_cur = class_request(kToInterface, kSetCur, kProbeSelector, streaming_interface);
  Result<void> asked = transport.control_out(set_cur, block, kTimeout);
  // A stall (kProtocol) of a long block: perhaps the device knows a shorter one.
  for (const std::size_t shorter : {kBytes11, kBytes10}) {
    if (asked || asked.error().code != ErrorCode::kProtocol || shorter >= block.size()) continue;
    block.resize(shorter);
    asked = transport.control_out(set_cur, block, kTimeout);
  }
  CUSP_TRY(asked);
  CUSP_ASSIGN(const std::size_t size,
              transport.control_in(
                  class_request(kFromInterface, kGetCur, kProbeSelector, streaming_interface),
                  block, kTimeout));
  block.resize(size);
  CUSP_ASSIGN(const StreamControl control, decode_stream_control(block));
  return Negotiated{.control = control, .block = std::move(block)};
}

Result<void> commit(UsbTransport& transport, int streaming_interface,
                    std::span<const std::uint8_t> block) {
  return transport.control_out(
      class_request(kToInterface, kSetCur, kCommitSelector, streaming_interface), block, kTimeout);
}

}  // namespace cusp::uvc
