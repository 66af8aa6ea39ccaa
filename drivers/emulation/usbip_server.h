// UsbipServer: offers UsbFunctions over USB/IP, so that a stock Linux attaches them ("usbip
// attach") and drives them with its own USB stack.
//
// Listens on 127.0.0.1 alone: the protocol knows no passwords. Each function is attached by one
// host at a time. A host that breaks the protocol, asks for more than is allowed (usbip_protocol.h)
// or does not import within five seconds finds its connection closed; the function is then as if
// unplugged. Hosts do not pass on bus resets: the SET_CONFIGURATION that follows one resets the
// function. Threads: one of its own calls the functions; verbs from any other. Errors: kConflict
// (the port is taken), kIo.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/result.h"
#include "drivers/emulation/usb_function.h"

namespace cusp {

class UsbipServer {
 public:
  // Port 0: any free one.
  static Result<std::unique_ptr<UsbipServer>> start(std::uint16_t port);
  virtual ~UsbipServer() = default;

  [[nodiscard]] virtual std::uint16_t port() const = 0;
  // Offers the function and answers its bus id, "1-1": the lowest that is free, so that a function
  // that is plugged in again has the one it had. The function must outlive the server or its
  // unplug.
  virtual Result<std::string> plug(UsbFunction& function) = 0;
  // Takes it away; the host sees the cable pulled.
  virtual Result<void> unplug(UsbFunction& function) = 0;
  [[nodiscard]] virtual bool attached(const UsbFunction& function) const = 0;
};

}  // namespace cusp
