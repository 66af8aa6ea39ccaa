// What choosing a video stream and choosing still pictures share.
// Threads: functions. Errors: kUnsupported, kProtocol; the interface is named.
#pragma once

#include "drivers/uvc/descriptors.h"
#include "drivers/uvc/frame_assembler.h"

namespace cusp::uvc {

struct FrameBytes {
  std::size_t bytes = 0;
  FrameSize size = FrameSize::kExact;
};
// Of a whole frame. Where the pixels say it, they do; else it is at most what the device says.
FrameBytes frame_bytes(const FormatDescriptor& format, int width_px, int height_px,
                       std::size_t device_says);
// kProtocol: no stream can have these.
Result<void> check_sizes(int interface_number, std::size_t frame_bytes, std::size_t payload_bytes);
// The isochronous setting with the least bandwidth that is enough; a bulk stream has but one.
Result<AlternateSetting> choose_setting(const StreamingInterface& stream,
                                        std::uint32_t payload_bytes);

}  // namespace cusp::uvc
