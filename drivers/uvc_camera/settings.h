// What may be set on an ordinary camera: its exposure and gain; README.md says what each number
// means.
//
// A setting that a camera lacks is not listed. Threads: as UsbTransport. Errors: as uvc/controls.h.
#pragma once

#include <string_view>
#include <vector>

#include "drivers/driver.h"
#include "drivers/uvc/descriptors.h"

namespace cusp::uvc_camera {

Result<std::vector<Setting>> read_settings(UsbTransport& transport,
                                           const uvc::VideoFunction& function);
// `name` is one of those listed. An exposure switches automatic exposure off, which would take it
// back.
Result<void> apply_setting(UsbTransport& transport, const uvc::VideoFunction& function,
                           std::string_view name, double value);

}  // namespace cusp::uvc_camera
