// What the USB fault tests share: scanners whose every frame is known, behind a cable that can go
// wrong, in both ways of plugging them in.
//
// Threads: a test's own; capture() runs the device on a thread. What hangs is ended by ctest.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "drivers/emulation/faulty_function.h"
#include "drivers/emulation/umock_bus.h"
#include "drivers/emulation/uvc_function.h"
#include "drivers/usb/usb_bus.h"

namespace cusp {

enum class Family { kD400, kWand };
enum class Cable { kLibusb, kInProcess };
std::string to_string(Family family);
std::string to_string(Cable cable);

// A double of a family that sends `frames` frames as fast as they are read, each with its index in
// its first eight bytes, and is silent then.
struct Scanner {
  std::unique_ptr<FaultyFunction> function;
  EmulatorControl* stream = nullptr;  // owned by the function
  std::uint8_t endpoint = 0;          // of its video
  std::string serial;
  StreamMode mode;
};
Scanner make_scanner(Family family, std::uint64_t frames, int number = 1);

std::uint64_t index_of(const RawFrame& frame);

// A place to plug scanners into.
class Socket {
 public:
  static std::unique_ptr<Socket> make(Cable cable);
  virtual ~Socket() = default;
  virtual void plug(UsbFunction& function) = 0;
  // Of a device that hosts may refuse: does not wait until it is seen.
  virtual void plug_suspect(UsbFunction& function) = 0;
  virtual void unplug(UsbFunction& function) = 0;
  // The device that was plugged in, opened by its driver.
  virtual Result<std::unique_ptr<Device>> open(UsbFunction& function) = 0;
};

struct Captured {
  std::vector<std::uint64_t> indices;  // of the frames, as they came
  Result<void> result;
  CaptureCounts counts;

  // Every frame that came, came broken or never came.
  [[nodiscard]] std::uint64_t accounted() const {
    return counts.frames + counts.broken() + counts.lost;
  }
};
// Captures until the device has accounted for `frames` frames or can't go on. `on_frame` is called
// on this thread after each.
Captured capture(Device& device, std::uint64_t frames,
                 const std::function<void(std::uint64_t index)>& on_frame = {});

}  // namespace cusp
