#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "drivers/usb/libusb_transport_internal.h"
#include "drivers/usb/stream_errors.h"
#include "drivers/usb/usb_bus.h"

namespace cusp {
namespace {

constexpr std::chrono::milliseconds kPauseAfterError{100};

struct ContextExit {
  void operator()(libusb_context* context) const { libusb_exit(context); }
};
using Context = std::unique_ptr<libusb_context, ContextExit>;

// libusb's list, whose devices are released with it.
class DeviceList {
 public:
  explicit DeviceList(libusb_context* context) : count_(libusb_get_device_list(context, &list_)) {}
  ~DeviceList() {
    if (list_ != nullptr) libusb_free_device_list(list_, 1);
  }
  DeviceList(const DeviceList&) = delete;
  DeviceList& operator=(const DeviceList&) = delete;
  std::span<libusb_device*> devices() const {
    return {list_, count_ > 0 ? static_cast<std::size_t>(count_) : 0};
  }

 private:
  libusb_device** list_ = nullptr;
  ssize_t count_;
};

// From libusb's own copy of the descriptors.
UsbIdentity identity_of_device(libusb_device* device, const libusb_device_descriptor& descriptor) {
  UsbIdentity identity{descriptor.idVendor, descriptor.idProduct};
  libusb_config_descriptor* config = nullptr;
  if (libusb_get_config_descriptor(device, 0, &config) != LIBUSB_SUCCESS) return identity;
  for (const libusb_interface& interface : std::span(config->interface, config->bNumInterfaces)) {
    if (interface.num_altsetting < 1) continue;
    const libusb_interface_descriptor& first = interface.altsetting[0];
    UsbInterface& made = identity.interfaces.emplace_back();
    made.number = first.bInterfaceNumber;
    made.usb_class = first.bInterfaceClass;
    made.subclass = first.bInterfaceSubClass;
    made.protocol = first.bInterfaceProtocol;
    made.extra.assign(first.extra, first.extra + first.extra_length);
  }
  libusb_free_config_descriptor(config);
  return identity;
}

// The address of a device that some driver knows. No input or output, so that hotplug callbacks may
// call it.
std::optional<DeviceAddress> address_of_known(libusb_device* device) {
  libusb_device_descriptor descriptor{};
  if (libusb_get_device_descriptor(device, &descriptor) != LIBUSB_SUCCESS) return std::nullopt;
  const Driver* const driver = find_driver(identity_of_device(device, descriptor));
  if (driver == nullptr) return std::nullopt;
  DeviceAddress address{.vendor_id = descriptor.idVendor,
                        .product_id = descriptor.idProduct,
                        .bus = libusb_get_bus_number(device),
                        .address = libusb_get_device_address(device),
                        .port_path = fmt::format("{}", libusb_get_bus_number(device)),
                        .driver = driver->name};
  std::array<std::uint8_t, 7> ports{};  // USB 3.0 allows seven tiers
  const int depth = libusb_get_port_numbers(device, ports.data(), static_cast<int>(ports.size()));
  for (int i = 0; i < depth; ++i)
    address.port_path +=
        fmt::format("{}{}", i == 0 ? '-' : '.', ports[static_cast<std::size_t>(i)]);
  return address;
}

// The kernel numbers the devices of a bus in turn: the pair does not come again soon.
using Place = std::pair<int, int>;  // bus, address
Place place_of(libusb_device* device) {
  return {libusb_get_bus_number(device), libusb_get_device_address(device)};
}

class LibusbBus final : public UsbBus {
 public:
  explicit LibusbBus(Context context) : context_(std::move(context)) {
    // The thread inherits a full mask: signals are for the program's own threads.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    events_ = std::thread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  ~LibusbBus() override {
    if (watching_) libusb_hotplug_deregister_callback(context_.get(), callback_);
    stopping_ = true;
    libusb_interrupt_event_handler(context_.get());
    events_.join();
  }

  std::vector<DeviceAddress> list() override {
    std::vector<DeviceAddress> addresses;
    const DeviceList list(context_.get());
    for (libusb_device* device : list.devices())
      if (auto address = address_of_known(device)) addresses.push_back(std::move(*address));
    std::sort(addresses.begin(), addresses.end());
    return addresses;
  }

  Result<void> watch(std::function<void(const HotplugEvent&)> on_event) override {
    CUSP_CHECK(!watching_ && on_event != nullptr, "one watcher a bus");
    on_event_ =
        std::move(on_event);  // before the registration, so that the event thread sees it whole
    const int code = libusb_hotplug_register_callback(
        context_.get(), LIBUSB_HOTPLUG_EVENT_DEVICE_ARRIVED | LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT, 0,
        LIBUSB_HOTPLUG_MATCH_ANY, LIBUSB_HOTPLUG_MATCH_ANY, LIBUSB_HOTPLUG_MATCH_ANY,
        &LibusbBus::on_hotplug, this, &callback_);
    if (code != LIBUSB_SUCCESS) return usb_error(code, "USB hotplug");
    watching_ = true;
    {
      // Those that are here already are announced as news is, and before any later news of them.
      const std::lock_guard lock(mutex_);
      already_here_ = list();
    }
    libusb_interrupt_event_handler(context_.get());
    return {};
  }

  Result<std::unique_ptr<UsbTransport>> open(const DeviceAddress& address) override {
    const std::string name = fmt::format("USB device {:04x}:{:04x} at {}", address.vendor_id,
                                         address.product_id, address.port_path);
    const DeviceList list(context_.get());
    for (libusb_device* device : list.devices()) {
      if (place_of(device) != Place{address.bus, address.address} ||
          address_of_known(device) != address)
        continue;
      libusb_device_handle* handle = nullptr;
      if (const int code = libusb_open(device, &handle); code != LIBUSB_SUCCESS)
        return usb_error(code, name);
      return make_libusb_transport(UsbHandle(handle), name, address.port_path);
    }
    return device_gone(name);
  }

 private:
  void run() {
    while (!stopping_) {
      // Returns after a minute at the latest; otherwise the thread sleeps until something happens.
      const int code = libusb_handle_events_completed(context_.get(), nullptr);
      if (code != LIBUSB_SUCCESS && code != LIBUSB_ERROR_INTERRUPTED)
        std::this_thread::sleep_for(kPauseAfterError);
      const std::lock_guard lock(mutex_);
      announce_already_here();
    }
  }

  static int LIBUSB_CALL on_hotplug(libusb_context*, libusb_device* device,
                                    libusb_hotplug_event event, void* data) {
    auto& self = *static_cast<LibusbBus*>(data);
    const std::lock_guard lock(self.mutex_);
    self.announce_already_here();
    if (event == LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT)
      self.announce_left(place_of(device));
    else if (auto address = address_of_known(device))
      self.announce_arrived(std::move(*address));
    return 0;  // stay registered
  }

  void announce_already_here() {
    std::vector<DeviceAddress> addresses;
    addresses.swap(already_here_);
    for (DeviceAddress& address : addresses) announce_arrived(std::move(address));
  }

  // libusb may announce a device from its list and from a queued uevent, and calls back on any
  // thread that handles events: also on one that waits for a control transfer.
  void announce_arrived(DeviceAddress address) {
    const Place place{address.bus, address.address};
    if (const auto known = present_.find(place); known != present_.end()) {
      if (known->second == address) return;  // announced twice
      announce_left(place);                  // another device has its place: it must have left
    }
    const auto arrived = present_.emplace(place, std::move(address)).first;
    on_event_({HotplugEvent::Kind::kArrived, arrived->second});
  }

  // A device that has left can't be asked any more: the event says what its arrival said.
  void announce_left(const Place& place) {
    const auto left = present_.extract(place);
    if (!left.empty()) on_event_({HotplugEvent::Kind::kLeft, left.mapped()});
  }

  const Context context_;
  std::function<void(const HotplugEvent&)> on_event_;
  std::mutex mutex_;                         // of the next two, and held while announcing
  std::vector<DeviceAddress> already_here_;  // when watch() was called, not announced yet
  std::map<Place, DeviceAddress> present_;   // as announced
  libusb_hotplug_callback_handle callback_ = 0;
  bool watching_ = false;
  std::atomic<bool> stopping_{false};
  std::thread events_;
};

}  // namespace

Result<std::unique_ptr<UsbBus>> UsbBus::start() {
  libusb_context* raw = nullptr;
  if (const int code = libusb_init(&raw); code != LIBUSB_SUCCESS) return usb_error(code, "USB");
  Context context(raw);
  // Our errors carry what libusb would print.
  libusb_set_option(raw, LIBUSB_OPTION_LOG_LEVEL, LIBUSB_LOG_LEVEL_NONE);
  if (libusb_has_capability(LIBUSB_CAP_HAS_HOTPLUG) == 0)
    return error(ErrorCode::kUnsupported, "USB: this system's libusb has no hotplug");
  return std::unique_ptr<UsbBus>(std::make_unique<LibusbBus>(std::move(context)));
}

}  // namespace cusp
