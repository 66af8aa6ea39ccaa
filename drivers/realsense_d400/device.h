// The RealSense D400 driver: opens a camera behind any UsbTransport and streams its depth (Z16).
// Threads and errors: as Device (drivers/driver.h). README.md in this folder has ids, quirks and
// permissions.
#pragma once

#include <memory>

#include "drivers/driver.h"

namespace cusp::realsense_d400 {

Result<std::unique_ptr<Device>> open(std::unique_ptr<UsbTransport> transport);
// The row of the registry.
Driver driver();

}  // namespace cusp::realsense_d400
