// What may be set on a D400 camera; README.md says what each number means.
//
// A setting that a camera lacks (a D405 has no projector) is not listed. Threads: as UsbTransport.
// Errors: kInvalidArgument lists what may be set; trouble with the cable keeps its code.
#pragma once

#include <string_view>
#include <vector>

#include "drivers/driver.h"
#include "drivers/realsense_d400/streams.h"

namespace cusp::realsense_d400 {

Result<std::vector<Setting>> read_settings(UsbTransport& transport, const DepthStream& depth);
// Switches off what would take the number back: automatic exposure for exposure and gain, automatic
// power for the laser's power.
Result<void> apply_setting(UsbTransport& transport, const DepthStream& depth, std::string_view name,
                           double value);

}  // namespace cusp::realsense_d400
