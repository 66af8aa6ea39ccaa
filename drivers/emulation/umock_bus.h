// UmockBus: attaches UsbFunctions to a umockdev testbed, so that any process started with the same
// UMOCKDEV_DIR and the umockdev preload finds them through unmodified libusb.
//
// The creating process must itself run under the preload. The node is a FIFO, so that polling
// clients sleep. Threads: one worker of umockdev's own calls the function; verbs from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "core/result.h"
#include "drivers/emulation/usb_function.h"

namespace cusp {

struct UmockOptions {
  // What clients may hold in URBs, all together, as the kernel's usbfs_memory_mb.
  std::size_t usbfs_memory_bytes = std::size_t{16} << 20;
  // Tells of it in /sys/module/usbcore/parameters/usbfs_memory_mb, as real kernels do.
  bool shows_usbfs_memory = false;
  // With so many claims after a reset another program is quicker.
  int claims_lost_at_reset = 0;
};

// What clients asked of the emulated kernel.
struct UmockCounts {
  std::uint64_t ioctls = 0;
  std::uint64_t unhandled = 0;  // answered with ENOTTY: it is not emulated
  std::size_t urb_bytes = 0;    // held by URBs now
  std::size_t most_urb_bytes = 0;
};

class UmockBus {
 public:
  // kUnavailable when the preload is missing, with the command that adds it.
  static Result<std::unique_ptr<UmockBus>> create(const UmockOptions& options = {});
  virtual ~UmockBus() = default;

  // For a client's UMOCKDEV_DIR.
  [[nodiscard]] virtual std::filesystem::path folder() const = 0;
  // Plugs the function in (uevent add). The function must outlive the bus or its unplug. kProtocol:
  // no host would take its device descriptor.
  virtual Result<void> plug(UsbFunction& function) = 0;
  // Pulls the cable: queued transfers end as they do on a real unplug.
  virtual Result<void> unplug(UsbFunction& function) = 0;
  // From now on every request and transfer ends as a bus error, as while a plug slips out.
  virtual void garble() = 0;
  [[nodiscard]] virtual UmockCounts counts() const = 0;
};

}  // namespace cusp
