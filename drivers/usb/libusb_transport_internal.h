// The cable over libusb, and what the libusb files of this folder share.
//
// Threads: a transport is used by one thread. Errors: kDisconnected, kPermission (names the udev
// rule), kConflict (held by another program, which is named where that can be known), kTimeout,
// kProtocol (stall), kNoSpace (the kernel's memory for transfers, the bus's bandwidth), kNotFound
// (no such interface, setting or endpoint), kIo.
#pragma once

#include <libusb.h>

#include <memory>
#include <string>

#include "drivers/driver.h"

namespace cusp {

struct HandleClose {
  void operator()(libusb_device_handle* handle) const { libusb_close(handle); }
};
using UsbHandle = std::unique_ptr<libusb_device_handle, HandleClose>;

// The error of a libusb call; `what` names the device: "USB device 8086:0b5b at 2-1".
Error usb_error(int code, const std::string& what);

// `location`: "2-1.4"; errors begin with `what`.
Result<std::unique_ptr<UsbTransport>> make_libusb_transport(UsbHandle handle, std::string what,
                                                            std::string location);

}  // namespace cusp
