#include "drivers/emulation/usbip_protocol.h"

#include <algorithm>
#include <string_view>

namespace cusp::usbip {
namespace {

constexpr std::uint16_t kVersion = 0x0111;
constexpr std::uint16_t kDeviceListReply = 0x0005, kImportReply = 0x0003;
constexpr std::size_t kPathBytes = 256;
constexpr std::uint32_t kSubmit = 1, kUnlink = 2, kSubmitted = 3, kUnlinked = 4;
constexpr std::uint32_t kNoPackets = 0xFFFFFFFF;
constexpr std::uint32_t kLastEndpoint = 15;
constexpr std::size_t kSetupAt = 40;

std::uint32_t read_be32(std::span<const std::uint8_t> bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} << 24 | std::uint32_t{bytes[at + 1]} << 16 |
         std::uint32_t{bytes[at + 2]} << 8 | std::uint32_t{bytes[at + 3]};
}

std::uint16_t read_be16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

void write_be32(std::span<std::uint8_t> bytes, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i)
    bytes[at + i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

class Writer {
 public:
  void byte(std::uint8_t value) { bytes_.push_back(value); }
  void be16(std::uint16_t value) {
    byte(static_cast<std::uint8_t>(value >> 8));
    byte(static_cast<std::uint8_t>(value));
  }
  void be32(std::uint32_t value) {
    be16(static_cast<std::uint16_t>(value >> 16));
    be16(static_cast<std::uint16_t>(value));
  }
  // Ends with at least one NUL.
  void text(std::string_view value, std::size_t room) {
    value = value.substr(0, room - 1);
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    bytes_.resize(bytes_.size() + room - value.size());
  }
  std::vector<std::uint8_t> take() { return std::move(bytes_); }

 private:
  std::vector<std::uint8_t> bytes_;
};

// enum usb_device_speed of Linux.
std::uint32_t speed_code(UsbSpeed speed) {
  switch (speed) {
    case UsbSpeed::kLow:
      return 1;
    case UsbSpeed::kFull:
      return 2;
    case UsbSpeed::kHigh:
      return 3;
    case UsbSpeed::kSuper:
      return 5;
    case UsbSpeed::kSuperPlus:
      return 6;
  }
  return 0;
}

void begin_reply(Writer& writer, std::uint16_t code, std::uint32_t status) {
  writer.be16(kVersion);
  writer.be16(code);
  writer.be32(status);
}

void write_device(Writer& writer, const ExportedDevice& device) {
  writer.text("/sys/devices/platform/cusp/usb1/" + device.bus_id, kPathBytes);
  writer.text(device.bus_id, kBusIdBytes);
  writer.be32(device.bus);
  writer.be32(device.number);
  writer.be32(speed_code(device.speed));
  writer.be16(device.vendor_id);
  writer.be16(device.product_id);
  writer.be16(device.device_bcd);
  writer.byte(device.usb_class);
  writer.byte(device.subclass);
  writer.byte(device.protocol);
  writer.byte(device.configuration);
  writer.byte(device.configuration_count);
  writer.byte(static_cast<std::uint8_t>(device.interfaces.size()));
}

std::array<std::uint8_t, kCommandBytes> begin_answer(std::uint32_t command, std::uint32_t sequence,
                                                     std::int32_t status) {
  std::array<std::uint8_t, kCommandBytes> bytes{};
  write_be32(bytes, 0, command);
  write_be32(bytes, 4, sequence);  // device, direction and endpoint stay 0
  write_be32(bytes, 20, static_cast<std::uint32_t>(status));
  return bytes;
}

Result<Command> parse_submit(std::span<const std::uint8_t> bytes) {
  Submit submit{.sequence = read_be32(bytes, 4),
                .device_id = read_be32(bytes, 8),
                .in = read_be32(bytes, 12) == 1,
                .endpoint = static_cast<std::uint8_t>(read_be32(bytes, 16)),
                .length = read_be32(bytes, 24),
                .packets = read_be32(bytes, 32)};
  std::copy_n(bytes.begin() + kSetupAt, submit.setup.size(), submit.setup.begin());
  if (submit.packets == kNoPackets) submit.packets = 0;
  const std::uint32_t most = submit.endpoint == 0 ? kMaxControlBytes : kMaxTransferBytes;
  if (submit.length > most || submit.packets > kMaxPackets)
    return error(ErrorCode::kProtocol,
                 "USB/IP: a transfer of {} bytes in {} packets is more than is allowed",
                 submit.length, submit.packets);
  return Command(submit);
}

}  // namespace

Result<Request> parse_request(std::span<const std::uint8_t, kRequestBytes> bytes) {
  const std::uint16_t version = read_be16(bytes, 0), code = read_be16(bytes, 2);
  if (version != kVersion)
    return error(ErrorCode::kProtocol, "USB/IP: version {:#06x} is not {:#06x}", version, kVersion);
  if (code != static_cast<std::uint16_t>(Request::kDeviceList) &&
      code != static_cast<std::uint16_t>(Request::kImport))
    return error(ErrorCode::kProtocol, "USB/IP: no request {:#06x} is known", code);
  return static_cast<Request>(code);
}

std::string parse_bus_id(std::span<const std::uint8_t, kBusIdBytes> bytes) {
  return {bytes.begin(), std::find(bytes.begin(), bytes.end(), 0)};
}

std::vector<std::uint8_t> encode_device_list(std::span<const ExportedDevice> devices) {
  Writer writer;
  begin_reply(writer, kDeviceListReply, 0);
  writer.be32(static_cast<std::uint32_t>(devices.size()));
  for (const ExportedDevice& device : devices) {
    write_device(writer, device);
    for (const ListedInterface& interface : device.interfaces) {
      writer.byte(interface.usb_class);
      writer.byte(interface.subclass);
      writer.byte(interface.protocol);
      writer.byte(0);
    }
  }
  return writer.take();
}

std::vector<std::uint8_t> encode_import(const ExportedDevice& device) {
  Writer writer;
  begin_reply(writer, kImportReply, static_cast<std::uint32_t>(ImportStatus::kOk));
  write_device(writer, device);
  return writer.take();
}

std::vector<std::uint8_t> encode_refusal(ImportStatus why) {
  Writer writer;
  begin_reply(writer, kImportReply, static_cast<std::uint32_t>(why));
  return writer.take();
}

Result<Command> parse_command(std::span<const std::uint8_t, kCommandBytes> bytes) {
  const std::uint32_t command = read_be32(bytes, 0), direction = read_be32(bytes, 12),
                      endpoint = read_be32(bytes, 16);
  if (command == kUnlink)
    return Command(Unlink{.sequence = read_be32(bytes, 4),
                          .device_id = read_be32(bytes, 8),
                          .victim = read_be32(bytes, 20)});
  if (command != kSubmit)
    return error(ErrorCode::kProtocol, "USB/IP: no command {} is known", command);
  if (direction > 1 || endpoint > kLastEndpoint)
    return error(ErrorCode::kProtocol, "USB/IP: there is no endpoint {} of direction {}", endpoint,
                 direction);
  return parse_submit(bytes);
}

Result<std::vector<IsoPacket>> parse_packets(std::span<const std::uint8_t> bytes,
                                             std::uint32_t length) {
  std::vector<IsoPacket> packets;
  std::uint64_t end = 0;
  for (; bytes.size() >= kPacketBytes; bytes = bytes.subspan(kPacketBytes)) {
    packets.push_back({.offset = read_be32(bytes, 0), .length = read_be32(bytes, 4)});
    // In order and apart: together they never need more than the transfer has.
    if (packets.back().offset < end)
      return error(ErrorCode::kProtocol, "USB/IP: isochronous packets overlap");
    end = std::uint64_t{packets.back().offset} + packets.back().length;
    if (end > length)
      return error(ErrorCode::kProtocol, "USB/IP: an isochronous packet ends at {} of {} bytes",
                   end, length);
  }
  return packets;
}

std::array<std::uint8_t, kCommandBytes> encode_submitted(std::uint32_t sequence,
                                                         std::int32_t status,
                                                         std::uint32_t actual_length,
                                                         std::uint32_t packets) {
  auto bytes = begin_answer(kSubmitted, sequence, status);
  write_be32(bytes, 24, actual_length);
  write_be32(bytes, 32, packets);
  return bytes;
}

std::vector<std::uint8_t> encode_packets(std::span<const IsoPacket> packets) {
  Writer writer;
  for (const IsoPacket& packet : packets) {
    writer.be32(packet.offset);
    writer.be32(packet.length);
    writer.be32(packet.actual_length);
    writer.be32(static_cast<std::uint32_t>(packet.status));
  }
  return writer.take();
}

std::array<std::uint8_t, kCommandBytes> encode_unlinked(std::uint32_t sequence,
                                                        std::int32_t status) {
  return begin_answer(kUnlinked, sequence, status);
}

}  // namespace cusp::usbip
