// Device and configuration descriptors of a UvcFunction, byte for byte as cameras send them.
//
// USB 2.0 section 9.6, USB 3.2 section 9.6.7 (SuperSpeed companions), the interface association
// ECN, UVC 1.5 chapter 3 and its payload documents. Strings: 1 maker, 2 product, 3 serial number.
// Threads: functions of their arguments. Errors: a description that cannot be written down is our
// own bug (CUSP_CHECK).
#pragma once

#include <cstdint>
#include <vector>

#include "drivers/emulation/uvc_function.h"

namespace cusp {

std::vector<std::uint8_t> emulated_device_descriptor(const EmulatedUvcDevice& device);
std::vector<std::uint8_t> emulated_config_descriptor(const EmulatedUvcDevice& device);

// dwMaxVideoFrameBufferSize: what the frame says, or what its pixels need.
std::uint32_t emulated_frame_bytes(const uvc::FormatDescriptor& format, int width_px, int height_px,
                                   std::uint32_t stated);

}  // namespace cusp
