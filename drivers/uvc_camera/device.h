// The Device of an ordinary camera of the USB Video Class (README.md): pictures for photo stages.
//
// It is left to other programs until it is asked for pictures: open() claims no interface. Threads:
// as Device. Errors: kUnsupported, when the device has no pictures that Cusp reads.
#pragma once

#include <memory>

#include "drivers/driver.h"

namespace cusp::uvc_camera {

// Any device with a video control interface; no other family may know it better, so it stands last
// in the registry.
Driver driver();
Result<std::unique_ptr<Device>> open(std::unique_ptr<UsbTransport> transport);

}  // namespace cusp::uvc_camera
