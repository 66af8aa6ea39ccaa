// The words of USB/IP, protocol version 1.1.1: how a host lists and imports devices over TCP, and
// how its transfers (URBs) travel afterwards.
//
// Follows the Linux kernel's Documentation/usb/usbip_protocol.rst. Every number is big-endian but
// the eight setup bytes of a control transfer, which are USB's own. Statuses are negative Linux
// errno values. Threads: values and functions. Errors: kProtocol when a peer breaks the rules; what
// it may ask for is bounded here, before any memory is taken for it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/result.h"
#include "drivers/driver.h"
#include "drivers/emulation/endpoint_list.h"

namespace cusp::usbip {

inline constexpr std::uint16_t kPort = 3240;
inline constexpr std::size_t kRequestBytes = 8;
inline constexpr std::size_t kBusIdBytes = 32;
inline constexpr std::size_t kCommandBytes = 48;
inline constexpr std::size_t kPacketBytes = 16;
// Linux lets all programs together have 16 MiB in flight, and takes 1024 packets a transfer.
inline constexpr std::uint32_t kMaxTransferBytes = 16 << 20;
inline constexpr std::uint32_t kMaxControlBytes = 0xFFFF;
inline constexpr std::uint32_t kMaxPackets = 1024;

// --- before a device is imported ---

enum class Request : std::uint16_t { kDeviceList = 0x8005, kImport = 0x8003 };
enum class ImportStatus : std::uint32_t { kOk = 0, kBusy = 2, kNoSuchDevice = 4 };

struct ExportedDevice {
  std::string bus_id;  // "1-1"
  std::uint32_t bus = 0;
  std::uint32_t number = 0;
  UsbSpeed speed = UsbSpeed::kSuper;
  std::uint16_t vendor_id = 0, product_id = 0, device_bcd = 0;
  std::uint8_t usb_class = 0, subclass = 0, protocol = 0;
  std::uint8_t configuration = 0, configuration_count = 0;
  std::vector<ListedInterface> interfaces;

  // How the host names it in every transfer.
  [[nodiscard]] std::uint32_t id() const { return bus << 16 | number; }
};

Result<Request> parse_request(std::span<const std::uint8_t, kRequestBytes> bytes);
// Up to the first NUL.
std::string parse_bus_id(std::span<const std::uint8_t, kBusIdBytes> bytes);
std::vector<std::uint8_t> encode_device_list(std::span<const ExportedDevice> devices);
std::vector<std::uint8_t> encode_import(const ExportedDevice& device);
std::vector<std::uint8_t> encode_refusal(ImportStatus why);

// --- afterwards ---

struct Submit {
  std::uint32_t sequence = 0;
  std::uint32_t device_id = 0;
  bool in = false;
  std::uint8_t endpoint = 0;  // 0 .. 15, without direction
  std::uint32_t length = 0;   // of the data stage or buffer
  std::uint32_t packets = 0;  // isochronous; their descriptors follow the data
  std::array<std::uint8_t, 8> setup{};
};
struct Unlink {
  std::uint32_t sequence = 0;
  std::uint32_t device_id = 0;
  std::uint32_t victim = 0;  // sequence of the transfer to take back
};
using Command = std::variant<Submit, Unlink>;
Result<Command> parse_command(std::span<const std::uint8_t, kCommandBytes> bytes);

struct IsoPacket {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  std::uint32_t actual_length = 0;
  std::int32_t status = 0;
};
// kProtocol: a packet lies outside of the transfer's `length`.
Result<std::vector<IsoPacket>> parse_packets(std::span<const std::uint8_t> bytes,
                                             std::uint32_t length);

// The answer to a Submit, without its data. `packets` follow the data.
std::array<std::uint8_t, kCommandBytes> encode_submitted(std::uint32_t sequence,
                                                         std::int32_t status,
                                                         std::uint32_t actual_length,
                                                         std::uint32_t packets);
std::vector<std::uint8_t> encode_packets(std::span<const IsoPacket> packets);
std::array<std::uint8_t, kCommandBytes> encode_unlinked(std::uint32_t sequence,
                                                        std::int32_t status);

}  // namespace cusp::usbip
