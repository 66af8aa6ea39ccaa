// UsbBus: the libusb context of the process, its one event thread, hotplug, and opening a device.
//
// Hotplug callbacks run one at a time, with duplicates removed (libusb may announce one device
// twice), on the event thread or on any other that is inside a libusb call just then; they must
// only post the address elsewhere. Threads: every verb from any thread;
// transports made by open() must be destroyed before the bus. Errors of open(): kPermission names
// the udev rule, kConflict says that another program holds the device, kDisconnected that it is
// gone.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "drivers/driver.h"

namespace cusp {

struct HotplugEvent {
  enum class Kind { kArrived, kLeft } kind;
  DeviceAddress address;
};

class UsbBus {
 public:
  static Result<std::unique_ptr<UsbBus>> start();
  virtual ~UsbBus() = default;

  // Devices that some Driver knows.
  virtual std::vector<DeviceAddress> list() = 0;
  // Set once; what is plugged in already is announced as arrived.
  virtual Result<void> watch(std::function<void(const HotplugEvent&)> on_event) = 0;
  virtual Result<std::unique_ptr<UsbTransport>> open(const DeviceAddress& address) = 0;
};

}  // namespace cusp
