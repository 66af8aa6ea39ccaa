// Reads the video functions of a USB configuration descriptor: the control interface with its
// terminals and units, and the streaming interfaces with their formats, frames, still picture sizes
// and alternate settings.
//
// It trusts nothing: every bLength is compared with what is left and with what the type needs.
// Descriptors of other classes and of unknown types are stepped over, as the standards ask.
// Standards: USB 2.0 chapter 9, USB 3.2 section 9.6.7, UVC 1.1 and 1.5 chapter 3 with the payload
// documents "Uncompressed", "MJPEG" and "Frame Based".
// Threads: values and functions. Errors: kProtocol, one sentence with the offset of what is wrong.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/frame.h"
#include "core/result.h"
#include "drivers/driver.h"

namespace cusp::uvc {

using Guid = std::array<std::uint8_t, 16>;  // in the order of the wire

struct FrameDescriptor {
  std::uint8_t index = 0;
  int width_px = 0;
  int height_px = 0;
  std::vector<std::uint32_t> intervals_100ns{};  // what the device offers; of a range its two ends
  std::uint32_t max_frame_bytes = 0;             // dwMaxVideoFrameBufferSize; 0: not said
};

// Sizes of still pictures (UVC 1.5 section 3.9.2.5).
struct StillDescriptor {
  std::uint8_t endpoint = 0;  // of method 3; 0: the video endpoint
  struct Size {
    int width_px = 0;
    int height_px = 0;
  };
  std::vector<Size> sizes{};
  std::vector<std::uint8_t> compressions{};
};

enum class FormatKind : std::uint8_t { kUncompressed, kMjpeg, kFrameBased };

struct FormatDescriptor {
  std::uint8_t index = 0;
  FormatKind kind = FormatKind::kUncompressed;
  Guid guid{};  // zero for MJPEG, which has none
  int bits_per_pixel = 0;
  std::uint8_t default_frame = 0;
  std::vector<FrameDescriptor> frames{};
  std::optional<StillDescriptor> still{};
};
// The pixels of a format that Cusp reads; none: it is another.
std::optional<PixelFormat> pixel_format(const FormatDescriptor& format);
// GUID of a FourCC as Windows and Linux derive it: "YUY2" is 32595559-0000-0010-8000-00AA00389B71.
Guid fourcc_guid(const char (&fourcc)[5]);

// One setting of a streaming interface that has an endpoint.
struct AlternateSetting {
  int number = 0;
  std::uint8_t endpoint = 0;
  TransferType type = TransferType::kBulk;
  // In one service interval: wMaxPacketSize times its transactions, or wBytesPerInterval of a
  // SuperSpeed endpoint.
  int interval_bytes = 0;
  std::uint8_t interval_exponent = 1;  // bInterval: every 2^(n-1) microframes or frames
};

struct StreamingInterface {
  int number = 0;
  std::uint8_t still_method = 0;  // 0: no still pictures; 1, 2, 3 as in UVC 1.5 section 2.4.2.4
  std::vector<AlternateSetting> alternates{};
  std::vector<FormatDescriptor> formats{};

  // Whether frames come over a bulk endpoint (of alternate setting 0).
  [[nodiscard]] bool bulk() const {
    return !alternates.empty() && alternates.front().type == TransferType::kBulk;
  }
  // Every setting names the same endpoint; 0 when there is none.
  [[nodiscard]] std::uint8_t endpoint() const {
    return alternates.empty() ? std::uint8_t{0} : alternates.front().endpoint;
  }
};

// bmControls of a terminal or unit: bit n says that control n+1 exists (camera terminal and
// processing unit: UVC 1.5 tables 3-6 and 3-8).
struct CameraTerminal {
  std::uint8_t id = 0;
  std::uint32_t controls = 0;
};
struct ProcessingUnit {
  std::uint8_t id = 0;
  std::uint8_t source = 0;
  std::uint32_t controls = 0;
};
struct ExtensionUnit {
  std::uint8_t id = 0;
  Guid guid{};
  std::vector<std::uint8_t> controls{};  // bitmap, as sent
};

struct VideoFunction {
  std::uint16_t uvc_version_bcd = 0;
  int control_interface = 0;
  std::uint8_t status_endpoint = 0;  // interrupt IN of the control interface; 0: none
  // A transfer that is longer would wait for a second packet when the first is full.
  int status_packet_bytes = 0;
  std::uint32_t clock_hz = 0;
  std::vector<CameraTerminal> cameras{};
  std::vector<ProcessingUnit> processing_units{};
  std::vector<ExtensionUnit> extension_units{};
  std::vector<StreamingInterface> streams{};

  [[nodiscard]] const ExtensionUnit* find_unit(const Guid& guid) const {
    for (const ExtensionUnit& unit : extension_units)
      if (unit.guid == guid) return &unit;
    return nullptr;
  }
};

Result<std::vector<VideoFunction>> parse_video_functions(std::span<const std::uint8_t> config);

}  // namespace cusp::uvc
