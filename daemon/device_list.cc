#include "daemon/device_list.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace cusp::daemon {
namespace {

using namespace std::chrono_literals;
constexpr auto kProbeAgainAfter = 2s;
constexpr auto kWaitForLastUser = 5s;  // a stream's transfers are home within its watchdog

}  // namespace

std::string_view to_string(DeviceStatus status) {
  switch (status) {
    case DeviceStatus::kStarting:
      return "starting";
    case DeviceStatus::kAvailable:
      return "available";
    case DeviceStatus::kInUse:
      return "in_use";
    case DeviceStatus::kError:
      return "error";
  }
  CUSP_CHECK(false, "a device status without a name");
}

// What is known of one plugged-in device. Guarded by the list's mutex.
struct DeviceLease::Slot {
  DeviceEntry entry;
  bool busy = false;  // opened by the prober or by a lease
  MonoTime probe_at{};
};

DeviceLease::DeviceLease(DeviceList& list, std::shared_ptr<Slot> slot,
                         std::unique_ptr<Device> device)
    : list_(&list), slot_(std::move(slot)), device_(std::move(device)) {}

DeviceLease::~DeviceLease() {
  if (slot_ == nullptr) return;  // moved from
  device_.reset();
  list_->release(*slot_);
}

DeviceList::DeviceList(UsbBus& bus, std::function<void()> on_change)
    : bus_(bus),
      on_change_(std::move(on_change)),
      prober_([this](std::stop_token stop) { probe_loop(std::move(stop)); }) {}

DeviceList::~DeviceList() {
  const std::lock_guard lock(door_->mutex);
  door_->list = nullptr;
}

Result<std::unique_ptr<DeviceList>> DeviceList::start(UsbBus& bus,
                                                      std::function<void()> on_change) {
  std::unique_ptr<DeviceList> list(new DeviceList(bus, std::move(on_change)));
  list->door_->list = list.get();
  CUSP_TRY(bus.watch([door = list->door_](const HotplugEvent& event) {
    const std::lock_guard lock(door->mutex);
    if (door->list != nullptr) door->list->on_event(event);
  }));
  return list;
}

std::vector<DeviceEntry> DeviceList::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<DeviceEntry> entries;
  for (const auto& [address, slot] : slots_) entries.push_back(slot->entry);
  return entries;
}

void DeviceList::on_event(const HotplugEvent& event) {
  {
    const std::lock_guard lock(mutex_);
    if (event.kind == HotplugEvent::Kind::kArrived) {
      auto slot = std::make_shared<Slot>();
      slot->entry.address = event.address;
      slot->entry.arrival = ++arrivals_;
      slots_[event.address] = std::move(slot);
    } else {
      slots_.erase(event.address);
    }
    changed_.notify_all();
  }
  on_change_();
}

Result<std::unique_ptr<Device>> DeviceList::open_now(const DeviceAddress& address) {
  const Driver* driver = find_driver(address.driver);
  if (driver == nullptr)
    return error(ErrorCode::kUnsupported, "device {:04x}:{:04x} at {}: no driver knows it",
                 address.vendor_id, address.product_id, address.port_path);
  CUSP_ASSIGN(auto transport, bus_.open(address));
  return driver->open(std::move(transport));
}

void DeviceList::probe_loop(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const MonoTime now = std::chrono::steady_clock::now();
    std::shared_ptr<Slot> next;
    MonoTime wake_at = now + kProbeAgainAfter;
    for (const auto& [address, slot] : slots_) {
      const bool unknown = slot->entry.status == DeviceStatus::kStarting ||
                           slot->entry.status == DeviceStatus::kError;
      if (!unknown || slot->busy) continue;
      if (slot->probe_at <= now) next = slot;
      wake_at = std::min(wake_at, slot->probe_at);
    }
    if (next == nullptr) {
      changed_.wait_until(lock, stop, wake_at, [&] {
        return std::any_of(slots_.begin(), slots_.end(), [](const auto& item) {
          return item.second->entry.status == DeviceStatus::kStarting && !item.second->busy;
        });
      });
      continue;
    }
    next->busy = true;
    const DeviceAddress address = next->entry.address;
    lock.unlock();
    auto device = open_now(address);
    std::optional<DeviceInfo> info;
    if (device.ok()) {
      info = (*device)->info();
      device->reset();
    }
    lock.lock();
    next->busy = false;
    next->probe_at = std::chrono::steady_clock::now() + kProbeAgainAfter;
    next->entry.status = info ? DeviceStatus::kAvailable : DeviceStatus::kError;
    next->entry.problem = info ? "" : device.error().message;
    if (info) next->entry.info = *info;
    changed_.notify_all();
    lock.unlock();
    on_change_();
    lock.lock();
  }
}

Result<DeviceLease> DeviceList::open(const std::string& serial, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  const auto find = [&]() -> std::shared_ptr<Slot> {
    for (const auto& [address, slot] : slots_)
      if (slot->entry.info.serial == serial) return slot;
    return nullptr;
  };
  std::shared_ptr<Slot> slot;
  const bool settled = changed_.wait_for(lock, stop, kWaitForLastUser, [&] {
    slot = find();
    return slot == nullptr || !slot->busy;
  });
  if (stop.stop_requested())
    return error(ErrorCode::kCancelled, "device {}: opening was stopped", serial);
  if (slot == nullptr) return error(ErrorCode::kDisconnected, "device {}: not plugged in", serial);
  if (!settled) return error(ErrorCode::kConflict, "device {}: still in use", serial);
  slot->busy = true;
  slot->entry.status = DeviceStatus::kInUse;
  const DeviceAddress address = slot->entry.address;
  lock.unlock();
  auto device = open_now(address);
  if (!device.ok()) {
    {
      const std::lock_guard again(mutex_);
      slot->busy = false;
      slot->entry.status = DeviceStatus::kError;
      slot->entry.problem = device.error().message;
      slot->probe_at = std::chrono::steady_clock::now() + kProbeAgainAfter;
      changed_.notify_all();
    }
    on_change_();
    return device.error();
  }
  on_change_();
  return DeviceLease(*this, std::move(slot), std::move(*device));
}

void DeviceList::release(Slot& slot) {
  {
    const std::lock_guard lock(mutex_);
    slot.busy = false;
    slot.entry.status = DeviceStatus::kAvailable;
    slot.entry.problem.clear();
    changed_.notify_all();
  }
  on_change_();
}

}  // namespace cusp::daemon
