// The cable over libusb, and what the two libusb files of this folder share.
//
// stream() follows what long-lived libusb programs agree on (hackrf, rtl-sdr, uhd): transfers
// without a time-out and a watchdog of one's own, buffers from the kernel where it gives them, and
// no transfer freed before its callback ran. Threads: the transport is used by one thread; libusb's
// callbacks run on whichever thread is handling events inside libusb and only move buffers. Errors:
// kDisconnected, kPermission (names the udev rule), kConflict (held by another program), kTimeout,
// kProtocol (stall), kNoSpace (the kernel's usbfs memory is used up), kIo.
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

// The error of a libusb call; `what` names the object: "USB device 2-1".
Error usb_error(int code, const std::string& what);

Result<std::unique_ptr<UsbTransport>> make_libusb_transport(UsbHandle handle, std::string name);

}  // namespace cusp
