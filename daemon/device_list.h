// DeviceList: the scanners that are plugged in, who they are, how they are, and who uses them.
//
// A thread of its own opens each new arrival once to read its name and health; a device that can't
// be opened stays in the list with the reason and is tried again every two seconds (the udev rule
// may come late, another program may let go), unless no driver can do anything with it. One that
// failed in use is shown so until it is used again or plugged in again: that it opens proves
// nothing. Counts are sums since the device was plugged in.
// Threads: all verbs from any thread. Leases must end before the list.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "drivers/driver.h"
#include "drivers/usb/usb_bus.h"

namespace cusp::daemon {

enum class DeviceStatus {
  kStarting,  // its name is being read
  kAvailable,
  kInUse,        // by a scan of this station, or by another program
  kUnavailable,  // this user may not open it, or no driver can do anything with it
  kError,        // it does not answer as it should
};
std::string_view to_string(DeviceStatus status);

struct DeviceEntry {
  DeviceAddress address;
  DeviceInfo info;  // empty until it could be read
  std::optional<UsbSpeed> speed;
  DeviceStatus status = DeviceStatus::kStarting;
  std::string problem;  // a sentence, when it can't be used
  std::string user;     // of one in use: "ticket 3f2a..., stage upper", "another program"
  DeviceHealth health;
  CaptureCounts counts;
  std::uint64_t dropped = 0;    // frames that came but that who uses it had no time for
  double bytes_per_second = 0;  // over the last second or so
  std::uint64_t arrival = 0;    // counts up: a device that was plugged in again has a higher one
};

class DeviceList;

// An opened device; the list shows it as in use until the lease ends.
class DeviceLease {
 public:
  DeviceLease(DeviceLease&&) noexcept = default;
  DeviceLease& operator=(DeviceLease&&) = delete;
  ~DeviceLease();
  [[nodiscard]] Device& device() { return *device_; }
  // How many frames of this lease were dropped so far; called on any thread until the lease ends.
  void count_drops(std::function<std::uint64_t()> count);
  // The device did not do what it should: the list says so when the lease ends.
  void note_failure(const Error& why);

 private:
  friend class DeviceList;
  struct Slot;
  DeviceLease(DeviceList& list, std::shared_ptr<Slot> slot, std::unique_ptr<Device> device);

  DeviceList* list_;
  std::shared_ptr<Slot> slot_;
  std::unique_ptr<Device> device_;
};

class DeviceList {
 public:
  // `on_change` is called on threads of the list.
  static Result<std::unique_ptr<DeviceList>> start(UsbBus& bus, std::function<void()> on_change);
  ~DeviceList();

  [[nodiscard]] std::vector<DeviceEntry> list() const;
  // Puts something between the driver and its cable.
  using WrapCable = std::function<std::unique_ptr<UsbTransport>(std::unique_ptr<UsbTransport>,
                                                                const DeviceAddress&)>;
  // `user` is shown in the list. Waits while the last user is still closing the device.
  // kDisconnected: not plugged in; kConflict: stays in use; kCancelled: `stop` was asked.
  Result<DeviceLease> open(const std::string& serial, const std::string& user, std::stop_token stop,
                           const WrapCable& wrap = {});

 private:
  friend class DeviceLease;
  using Slot = DeviceLease::Slot;

  DeviceList(UsbBus& bus, std::function<void()> on_change);
  void on_event(const HotplugEvent& event);
  void probe_loop(std::stop_token stop);
  struct Opened {
    std::unique_ptr<Device> device;
    UsbSpeed speed;
  };
  Result<Opened> open_now(const DeviceAddress& address, const WrapCable& wrap);
  void fail(Slot& slot, const Error& why);
  void close(Slot& slot, std::unique_ptr<Device> device);

  // The bus can't be told to stop calling: its callback holds this, and the list leaves it first.
  struct Door {
    std::mutex mutex;
    DeviceList* list = nullptr;
  };

  UsbBus& bus_;
  std::function<void()> on_change_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<DeviceAddress, std::shared_ptr<Slot>> slots_;
  std::uint64_t arrivals_ = 0;
  std::shared_ptr<Door> door_ = std::make_shared<Door>();
  std::jthread prober_;
};

}  // namespace cusp::daemon
