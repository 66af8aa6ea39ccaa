#include "drivers/driver.h"

#include <condition_variable>
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

Result<void> Device::standby(std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait(lock, stop, [] { return false; });
  return {};
}

Result<RawFrame> Device::photo() {
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
