// UsbRedirPort: one USB port of a virtual machine: offers a UsbFunction over usb-redir, the
// protocol by which QEMU's emulated host controllers reach devices elsewhere.
//
// Listens on a Unix socket, to which QEMU connects ("-chardev socket,id=scanner,path=PATH,
// reconnect=1 -device usb-redir,chardev=scanner"); one machine at a time. The protocol is spice's
// usb-redirection-protocol, spoken by libusbredirparser. A machine that breaks it is cut off.
// Threads: one of its own calls the function; verbs from any other. Errors: kConflict (somebody
// listens there), kInvalidArgument (the path is too long), kIo.
#pragma once

#include <filesystem>
#include <memory>

#include "core/result.h"
#include "drivers/emulation/usb_function.h"

namespace cusp {

class UsbRedirPort {
 public:
  // A socket that nobody serves any more is replaced.
  static Result<std::unique_ptr<UsbRedirPort>> listen(const std::filesystem::path& socket);
  virtual ~UsbRedirPort() = default;

  // One function at a time; it must outlive the port or its unplug.
  virtual Result<void> plug(UsbFunction& function) = 0;
  virtual Result<void> unplug() = 0;
  // Whether a machine is connected and has the function.
  [[nodiscard]] virtual bool attached() const = 0;
};

}  // namespace cusp
