// Still pictures: the still probe, commit and trigger controls of the USB Video Class, UVC 1.5
// sections 2.4.2.4 and 4.3.1.2 to 4.3.1.4.
//
// Method 2 sends a still picture in place of a video frame, with the still bit in its payload
// headers; method 3 sends it over a bulk endpoint of its own. With method 1, or none, a picture is
// a frame of the video stream. Threads: one. Errors: as UsbTransport; kUnsupported when the format
// has no still pictures or the bus no bandwidth for them, kProtocol when the device answers
// something else than it was asked, kTimeout when the picture did not come.
#pragma once

#include <stop_token>

#include "drivers/driver.h"
#include "drivers/uvc/video_capture.h"

namespace cusp::uvc {

inline constexpr std::uint8_t kStillProbeSelector = 3;
inline constexpr std::uint8_t kStillCommitSelector = 4;
inline constexpr std::uint8_t kStillTriggerSelector = 5;
// Values of the trigger, one byte.
inline constexpr std::uint8_t kSendStill = 1;          // method 2
inline constexpr std::uint8_t kSendStillOverBulk = 2;  // method 3

// The block of probe and commit, 11 bytes in every version. Indices count from 1.
struct StillControl {
  std::uint8_t format_index = 0;
  std::uint8_t size_index = 0;  // of StillDescriptor::sizes
  std::uint8_t compression_index = 0;
  std::uint32_t max_frame_bytes = 0;
  std::uint32_t max_payload_bytes = 0;

  bool operator==(const StillControl&) const = default;
};
std::vector<std::uint8_t> encode(const StillControl& control);
Result<StillControl> decode_still_control(std::span<const std::uint8_t> bytes);

// Still pictures as the device agreed to them, beside a video stream of the same format.
struct AgreedStill {
  int interface_number = 0;
  std::uint8_t method = 0;    // 2 or 3
  std::uint8_t endpoint = 0;  // of method 3
  StillControl control{};
  StillDescriptor::Size size{};
  std::size_t frame_bytes = 0;
  FrameSize frame_size = FrameSize::kExact;
};

// `size_index` counts from 1. Where still pictures need more bandwidth, `video` gets an alternate
// setting that has it.
Result<AgreedStill> agree_still(UsbTransport& transport, const StreamingInterface& stream,
                                AgreedStream& video, std::uint8_t size_index);

// Commits and asks for one picture; the video stream must be running.
Result<void> trigger_still(UsbTransport& transport, const AgreedStill& still);

// Runs `capture`, whose first stream is the video, until it has one picture: lets `settle_frames`
// go by, so that the camera finds its exposure, then takes a still picture, or without `still` a
// video frame. kCancelled when `stop` came first.
Result<AssembledFrame> take_picture(UsbTransport& transport, VideoCapture& capture,
                                    const AgreedStill* still, int settle_frames,
                                    std::stop_token stop);

}  // namespace cusp::uvc
