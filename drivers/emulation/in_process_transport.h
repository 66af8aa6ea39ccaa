// A UsbTransport straight into a UsbFunction: no kernel, no libusb, for tests of drivers.
#pragma once

#include <memory>

#include "drivers/emulation/usb_function.h"

namespace cusp {

// The function must outlive the transport.
std::unique_ptr<UsbTransport> make_in_process_transport(UsbFunction& function);

}  // namespace cusp
