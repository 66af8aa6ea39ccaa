// UsbFunction: a device seen from the cable's far end, the "firmware double". One model serves
// every way of attaching it: in-process (InProcessTransport, for tests), umockdev (UmockBus, so
// that unmodified libusb runs), USB/IP and usb-redir (so that a real kernel does). It answers
// exactly what real firmware would. Standard requests of USB 2.0 chapter 9 are answered for it
// (standard_requests.h).
//
// Threads: all verbs are called by one thread at a time; `wake` may be called by the function from
// any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "drivers/driver.h"

namespace cusp {

// What the host sees happen to a transfer.
struct UsbOutcome {
  enum class Kind {
    kData,     // more than was asked is babble, of which the host sees an overflow
    kNak,      // nothing yet; of a request: no answer yet, the host waits until its time-out
    kStall,    // refused; of an endpoint: halted until it is cleared
    kDamaged,  // garbled on the bus: `size` bytes of a transfer or packet came before
  } kind = Kind::kData;
  std::size_t size = 0;  // of kData and kDamaged; of a transfer that stalls: what came before
};

class UsbFunction {
 public:
  virtual ~UsbFunction() = default;

  [[nodiscard]] virtual std::vector<std::uint8_t> device_descriptor() const = 0;
  [[nodiscard]] virtual std::vector<std::uint8_t> config_descriptor() const = 0;
  [[nodiscard]] virtual std::string string_descriptor(std::uint8_t index) const = 0;
  [[nodiscard]] virtual UsbSpeed speed() const { return UsbSpeed::kSuper; }

  // Class and vendor requests. `data` is filled (IN) or read (OUT).
  virtual UsbOutcome control(const ControlSetup& setup, std::span<std::uint8_t> data) = 0;
  // A bulk or interrupt IN transfer of up to data.size() bytes, fewer of which end a payload, or
  // one isochronous packet. kNak: nothing yet (of an isochronous endpoint: an empty packet).
  virtual UsbOutcome in(std::uint8_t endpoint, std::span<std::uint8_t> data) = 0;
  virtual void set_alternate(int interface_number, int alternate) = 0;
  virtual void clear_halt(std::uint8_t endpoint) = 0;
  virtual void reset() = 0;

  // Called by whoever attaches the function: `wake` says that a NAKed endpoint may have data now.
  virtual void set_wake(std::function<void()> wake) = 0;
};

}  // namespace cusp
