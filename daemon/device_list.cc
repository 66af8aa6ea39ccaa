#include "daemon/device_list.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace cusp::daemon {
namespace {

using namespace std::chrono_literals;
constexpr auto kProbeAgainAfter = 2s;
constexpr auto kRateWindow = 1s;
constexpr auto kWaitForLastUser = 5s;  // a stream's transfers are home within its watchdog

// A failure that only plugging the device in again, or a better try, can mend.
bool is_the_devices(ErrorCode code) {
  return code == ErrorCode::kTimeout || code == ErrorCode::kIo || code == ErrorCode::kProtocol;
}

// What a device that could not be opened, or failed in use, is.
void describe_failure(DeviceEntry& entry, const Error& why) {
  entry.problem = why.message;
  entry.user.clear();
  switch (why.code) {
    case ErrorCode::kConflict:
      entry.status = DeviceStatus::kInUse;
      entry.user = "another program";
      return;
    case ErrorCode::kPermission:
    case ErrorCode::kUnsupported:
      entry.status = DeviceStatus::kUnavailable;
      return;
    default:
      entry.status = DeviceStatus::kError;
  }
}

}  // namespace

std::string_view to_string(DeviceStatus status) {
  switch (status) {
    case DeviceStatus::kStarting:
      return "starting";
    case DeviceStatus::kAvailable:
      return "available";
    case DeviceStatus::kInUse:
      return "in_use";
    case DeviceStatus::kUnavailable:
      return "unavailable";
    case DeviceStatus::kError:
      return "error";
  }
  CUSP_CHECK(false, "a device status without a name");
}

// What is known of one plugged-in device. Guarded by the list's mutex.
struct DeviceLease::Slot {
  DeviceEntry entry;  // its counts are those of devices that are closed again
  bool busy = false;  // opened by the prober or by a lease
  MonoTime probe_at{};
  const Device* device = nullptr;  // of the lease,
  std::function<std::uint64_t()> drops;
  std::optional<Error> failure;
  // The rate of bytes, from two looks that are a window apart.
  MonoTime looked_at{};
  std::uint64_t bytes_then = 0;
  double bytes_per_second = 0;

  // The entry with what an open device says now.
  DeviceEntry look(MonoTime now) {
    DeviceEntry seen = entry;
    if (device != nullptr) {
      seen.health = device->health();
      seen.counts += device->counts();
    }
    if (drops) seen.dropped += drops();
    if (const auto passed = now - looked_at; passed >= kRateWindow) {
      bytes_per_second = static_cast<double>(seen.counts.bytes - bytes_then) /
                         std::chrono::duration<double>(passed).count();
      bytes_then = seen.counts.bytes;
      looked_at = now;
    }
    seen.bytes_per_second = device != nullptr ? bytes_per_second : 0;
    return seen;
  }
};

DeviceLease::DeviceLease(DeviceList& list, std::shared_ptr<Slot> slot,
                         std::unique_ptr<Device> device)
    : list_(&list), slot_(std::move(slot)), device_(std::move(device)) {}

DeviceLease::~DeviceLease() {
  if (slot_ == nullptr) return;  // moved from
  list_->close(*slot_, std::move(device_));
}

void DeviceLease::count_drops(std::function<std::uint64_t()> count) {
  const std::lock_guard lock(list_->mutex_);
  slot_->drops = std::move(count);
}

void DeviceLease::note_failure(const Error& why) {
  const std::lock_guard lock(list_->mutex_);
  if (is_the_devices(why.code)) slot_->failure = why;
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
  const MonoTime now = std::chrono::steady_clock::now();
  for (const auto& [address, slot] : slots_) entries.push_back(slot->look(now));
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

Result<DeviceList::Opened> DeviceList::open_now(const DeviceAddress& address,
                                                const WrapCable& wrap) {
  const Driver* driver = find_driver(address.driver);
  if (driver == nullptr)
    return error(ErrorCode::kUnsupported, "device {:04x}:{:04x} at {}: no driver knows it",
                 address.vendor_id, address.product_id, address.port_path);
  CUSP_ASSIGN(auto transport, bus_.open(address));
  const UsbSpeed speed = transport->speed();
  if (wrap) transport = wrap(std::move(transport), address);
  CUSP_ASSIGN(auto device, driver->open(std::move(transport)));
  return Opened{std::move(device), speed};
}

void DeviceList::probe_loop(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const MonoTime now = std::chrono::steady_clock::now();
    std::shared_ptr<Slot> next;
    MonoTime wake_at = now + kProbeAgainAfter;
    for (const auto& [address, slot] : slots_) {
      if (slot->entry.status == DeviceStatus::kAvailable || slot->busy) continue;
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
    auto opened = open_now(address, {});
    if (opened.ok()) {
      lock.lock();
      next->entry.info = opened->device->info();
      next->entry.speed = opened->speed;
      lock.unlock();
      close(*next, std::move(opened->device));
    } else {
      fail(*next, opened.error());
    }
    lock.lock();
  }
}

Result<DeviceLease> DeviceList::open(const std::string& serial, const std::string& user,
                                     std::stop_token stop, const WrapCable& wrap) {
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
  slot->entry.user = user;
  slot->entry.problem.clear();
  const DeviceAddress address = slot->entry.address;
  lock.unlock();
  auto opened = open_now(address, wrap);
  if (!opened.ok()) {
    fail(*slot, opened.error());
    return opened.error();
  }
  lock.lock();
  slot->device = opened->device.get();
  lock.unlock();
  on_change_();
  return DeviceLease(*this, std::move(slot), std::move(opened->device));
}

void DeviceList::fail(Slot& slot, const Error& why) {
  {
    const std::lock_guard lock(mutex_);
    slot.busy = false;
    describe_failure(slot.entry, why);
    // A driver that can't do anything with a device won't be able to later.
    slot.probe_at = why.code == ErrorCode::kUnsupported
                        ? MonoTime::max()
                        : std::chrono::steady_clock::now() + kProbeAgainAfter;
    changed_.notify_all();
  }
  on_change_();
}

void DeviceList::close(Slot& slot, std::unique_ptr<Device> device) {
  {
    const std::lock_guard lock(mutex_);
    slot.entry.health = device->health();
    slot.entry.counts += device->counts();
    if (slot.drops) slot.entry.dropped += slot.drops();
    slot.drops = nullptr;
    slot.device = nullptr;
  }
  device.reset();  // may take a moment
  {
    const std::lock_guard lock(mutex_);
    slot.busy = false;
    slot.entry.status = DeviceStatus::kAvailable;
    slot.entry.problem.clear();
    slot.entry.user.clear();
    if (const auto failure = std::exchange(slot.failure, std::nullopt)) {
      describe_failure(slot.entry, *failure);
      slot.probe_at = MonoTime::max();
    }
    changed_.notify_all();
  }
  on_change_();
}

}  // namespace cusp::daemon
