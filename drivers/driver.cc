#include "drivers/driver.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <iterator>
#include <mutex>

#include "drivers/bytes.h"

namespace cusp {
namespace {

constexpr std::size_t kDeviceDescriptorBytes = 18, kConfigBytes = 9, kInterfaceBytes = 9;
constexpr std::uint8_t kInterface = 4, kEndpoint = 5;

}  // namespace

std::string_view to_string(UsbSpeed speed) {
  switch (speed) {
    case UsbSpeed::kLow:
      return "low speed (1.5 Mbit/s)";
    case UsbSpeed::kFull:
      return "full speed (12 Mbit/s)";
    case UsbSpeed::kHigh:
      return "high speed (480 Mbit/s)";
    case UsbSpeed::kSuper:
      return "SuperSpeed (5 Gbit/s)";
    case UsbSpeed::kSuperPlus:
      return "SuperSpeed+ (10 Gbit/s)";
  }
  CUSP_CHECK(false, "a USB speed without a name");
}

std::string_view to_string(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::kDepth:
      return "depth";
    case DeviceKind::kFringe:
      return "fringe";
    case DeviceKind::kPhoto:
      return "photo";
  }
  CUSP_CHECK(false, "a device kind without a name");
}

CaptureCounts& CaptureCounts::operator+=(const CaptureCounts& more) {
  frames += more.frames;
  lost += more.lost;
  broken_on_bus += more.broken_on_bus;
  broken_header += more.broken_header;
  broken_size += more.broken_size;
  broken_by_device += more.broken_by_device;
  restarts += more.restarts;
  bytes += more.bytes;
  return *this;
}

Result<void> check_setting(const std::vector<Setting>& offered, std::string_view name,
                           double value) {
  const auto found = std::find_if(offered.begin(), offered.end(),
                                  [&](const Setting& setting) { return setting.name == name; });
  std::string list;
  for (const Setting& setting : offered)
    fmt::format_to(std::back_inserter(list), "{}{} ({} to {})", list.empty() ? "" : ", ",
                   setting.name, setting.min, setting.max);
  if (found == offered.end())
    return error(ErrorCode::kInvalidArgument, "no setting \"{}\"; it has {}", name,
                 list.empty() ? "none" : list);
  if (!(value >= found->min && value <= found->max))
    return error(ErrorCode::kInvalidArgument, "{} can't be {}; it has {}", name, value, list);
  const double steps = found->step > 0 ? (value - found->min) / found->step : 0;
  if (std::abs(steps - std::round(steps)) > 1e-6)
    return error(ErrorCode::kInvalidArgument, "{} can't be {}: it goes from {} in steps of {}",
                 name, value, found->min, found->step);
  return {};
}

Result<std::vector<Setting>> Device::settings() { return std::vector<Setting>{}; }

Result<void> Device::apply(std::string_view name, double value) {
  CUSP_ASSIGN(const auto offered, settings());
  if (const auto checked = check_setting(offered, name, value); !checked)
    return error(checked.error().code, "device {}: {}", info().serial, checked.error().message);
  CUSP_CHECK(false, "a device with settings says how they are applied");
}

Result<void> Device::standby(std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait(lock, stop, [] { return false; });
  return {};
}

Result<RawFrame> Device::photo(std::stop_token) {
  return error(ErrorCode::kUnsupported, "device {}: a {} takes no photos", info().serial,
               info().model);
}

Result<UsbIdentity> identity_of(std::span<const std::uint8_t> device,
                                std::span<const std::uint8_t> config) {
  if (device.size() < kDeviceDescriptorBytes)
    return error(ErrorCode::kProtocol, "USB device descriptor: {} bytes, expected {}",
                 device.size(), kDeviceDescriptorBytes);
  UsbIdentity identity{.vendor_id = read_le<std::uint16_t>(device, 8),
                       .product_id = read_le<std::uint16_t>(device, 10)};
  if (config.size() < kConfigBytes)
    return error(ErrorCode::kProtocol, "USB configuration descriptor: {} bytes", config.size());
  UsbInterface* current = nullptr;  // class-specific descriptors behind it belong to it
  for (std::size_t at = 0; at < config.size();) {
    const std::size_t size = config[at];
    if (size < 2 || size > config.size() - at)
      return error(ErrorCode::kProtocol,
                   "USB configuration descriptor: {} bytes are claimed at offset {} of {}", size,
                   at, config.size());
    const auto bytes = config.subspan(at, size);
    at += size;
    if (bytes[1] == kInterface) {
      if (size < kInterfaceBytes)
        return error(ErrorCode::kProtocol, "USB interface descriptor: {} bytes, expected {}", size,
                     kInterfaceBytes);
      current = nullptr;
      if (bytes[3] != 0) continue;  // another alternate setting of the one before
      identity.interfaces.push_back(
          {.number = bytes[2], .usb_class = bytes[5], .subclass = bytes[6], .protocol = bytes[7]});
      current = &identity.interfaces.back();
    } else if (bytes[1] == kEndpoint) {
      current = nullptr;
    } else if (current != nullptr) {
      current->extra.insert(current->extra.end(), bytes.begin(), bytes.end());
    }
  }
  return identity;
}

}  // namespace cusp
