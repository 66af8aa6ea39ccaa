// Reads the video functions of a USB configuration descriptor: control interface, extension units,
// streaming interfaces with their formats and frames.
//
// It trusts nothing: every bLength is compared with what is left and with what the type needs.
// Descriptors of other classes and of unknown types are stepped over, as the standards ask.
// Standards: USB 2.0 chapter 9, UVC 1.1 and 1.5 chapter 3, UVC "Frame Based Payload".
// Threads: values and functions. Errors: kProtocol, one sentence with the offset of what is wrong.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/result.h"

namespace cusp::uvc {

using Guid = std::array<std::uint8_t, 16>;  // in the order of the wire

struct FrameDescriptor {
  std::uint8_t index = 0;
  int width_px = 0;
  int height_px = 0;
  std::vector<std::uint32_t> intervals_100ns{};  // what the device offers; of a range its two ends
};

struct FormatDescriptor {
  std::uint8_t index = 0;
  Guid guid{};
  int bits_per_pixel = 0;
  std::vector<FrameDescriptor> frames{};
};

struct StreamingInterface {
  int number = 0;
  std::uint8_t endpoint = 0;  // bulk or isochronous IN
  bool bulk = false;          // the endpoint is bulk and sits in the first alternate setting
  int max_packet_bytes = 0;
  std::vector<FormatDescriptor> formats{};  // uncompressed and frame based ones
};

struct ExtensionUnit {
  std::uint8_t id = 0;
  Guid guid{};
};

struct VideoFunction {
  std::uint16_t uvc_version_bcd = 0;
  int control_interface = 0;
  std::uint32_t clock_hz = 0;
  std::vector<ExtensionUnit> extension_units{};
  std::vector<StreamingInterface> streams{};
};

Result<std::vector<VideoFunction>> parse_video_functions(std::span<const std::uint8_t> config);

}  // namespace cusp::uvc
