// The negotiation of a video stream: the probe and commit control of the USB Video Class,
// UVC 1.5 section 4.3.1.1 (USB-IF, "Universal Serial Bus Device Class Definition for Video
// Devices", 2012).
//
// The block is 26 bytes in UVC 1.0, 34 in 1.1 and 48 in 1.5. Devices do not always speak the
// version that their header claims, some stall GET_DEF, and the block has fields that Cusp does not
// use but the device may care for (compression quality): negotiate() starts from the device's own
// defaults, speaks the size that it answers with, and gives back to it what it said, unchanged.
// Threads: values and functions. Errors: kProtocol when the device answers something else than it
// was asked.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "drivers/driver.h"

namespace cusp::uvc {

inline constexpr std::uint8_t kSetCur = 0x01;
inline constexpr std::uint8_t kGetCur = 0x81;
inline constexpr std::uint8_t kGetMin = 0x82;
inline constexpr std::uint8_t kGetMax = 0x83;
inline constexpr std::uint8_t kGetLen = 0x85;
inline constexpr std::uint8_t kGetInfo = 0x86;
inline constexpr std::uint8_t kGetDef = 0x87;
inline constexpr std::uint8_t kToInterface = 0x21;    // class request, host to device
inline constexpr std::uint8_t kFromInterface = 0xA1;  // class request, device to host
inline constexpr std::uint8_t kProbeSelector = 1;
inline constexpr std::uint8_t kCommitSelector = 2;

struct StreamControl {
  std::uint8_t format_index = 0;
  std::uint8_t frame_index = 0;
  std::uint32_t interval_100ns = 0;
  std::uint32_t max_frame_bytes = 0;
  std::uint32_t max_payload_bytes = 0;
  std::uint32_t clock_hz = 0;  // of payload time stamps; UVC 1.0 leaves it to the interface header

  bool operator==(const StreamControl&) const = default;
};

// Size of the block for a bcdUVC of 0x0100, 0x0110, 0x0150, ...
std::size_t stream_control_bytes(std::uint16_t uvc_version_bcd);
std::vector<std::uint8_t> encode(const StreamControl& control, std::uint16_t uvc_version_bcd);
Result<StreamControl> decode_stream_control(std::span<const std::uint8_t> bytes);

// What the device would send, and the block in which it said so, for commit().
struct Negotiated {
  StreamControl control;
  std::vector<std::uint8_t> block;
};
// Asks for a format, frame and interval; the answer is the device's, and may differ. Nothing starts
// yet.
Result<Negotiated> negotiate(UsbTransport& transport, int streaming_interface,
                             std::uint16_t uvc_version_bcd, const StreamControl& wish);
// Starts the stream. On a bulk endpoint data follows at once.
Result<void> commit(UsbTransport& transport, int streaming_interface,
                    std::span<const std::uint8_t> block);

}  // namespace cusp::uvc
