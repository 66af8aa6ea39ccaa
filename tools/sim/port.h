// Port: where a virtual device is plugged in: one way of attaching each.
//
// Threads: verbs from one thread at a time. Errors: those of the servers behind (umock_bus.h,
// usbip_server.h, usb_redir.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "core/result.h"
#include "drivers/emulation/usb_function.h"
#include "tools/sim/run_folder.h"

namespace cusp::sim {

class Port {
 public:
  virtual ~Port() = default;
  // One device, which must outlive the port.
  virtual Result<void> plug(UsbFunction& device) = 0;
  virtual Result<void> unplug(UsbFunction& device) = 0;
  // For a person, some lines: how clients get at the device. Once it was plugged in.
  [[nodiscard]] virtual std::string how_to_attach() const = 0;
};

// libusb programs under umockdev. The process must run under its preload (preload_umockdev). The
// run folder's umockdev-dir says where the bus is, from the first plug on.
Result<std::unique_ptr<Port>> make_umock_port(const RunFolder& folder);
// Any Linux of this machine, and QEMU's guests through their network.
Result<std::unique_ptr<Port>> make_usbip_port(std::uint16_t tcp_port);
// A virtual machine of QEMU.
Result<std::unique_ptr<Port>> make_usb_redir_port(const std::filesystem::path& socket);

// Starts this program again under the umockdev preload, if it is not yet; returns only when nothing
// is to be done or it can't be done.
Result<void> preload_umockdev(char** arguments);

}  // namespace cusp::sim
