#include "drivers/recording/usbmon_record.h"

#include <algorithm>
#include <bit>

#include "drivers/bytes.h"

namespace cusp::recording {
namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

template <std::unsigned_integral T>
T get(std::span<const std::uint8_t> bytes, std::size_t at, bool big_endian) {
  const T value = read_le<T>(bytes, at);
  if (!big_endian) return value;
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
}

std::int32_t get_signed(std::span<const std::uint8_t> bytes, std::size_t at, bool big_endian) {
  return std::bit_cast<std::int32_t>(get<std::uint32_t>(bytes, at, big_endian));
}

}  // namespace

std::array<std::uint8_t, kUsbmonBytes> encode(const UsbmonRecord& record) {
  std::array<std::uint8_t, kUsbmonBytes> bytes{};
  const std::span<std::uint8_t> out(bytes);
  const bool is_iso = record.transfer == UsbmonTransfer::kIsochronous;
  const auto ns = static_cast<std::uint64_t>(record.since_1970.count());
  write_le(out, 0, record.id);
  bytes[8] = static_cast<std::uint8_t>(record.type);
  bytes[9] = static_cast<std::uint8_t>(record.transfer);
  bytes[10] = record.endpoint;
  bytes[11] = static_cast<std::uint8_t>(record.device);
  write_le(out, 12, static_cast<std::uint16_t>(record.bus));
  bytes[14] = record.has_setup ? 0 : '-';
  // Why there is no data: it has not come yet, or was shown when it was handed over.
  if (record.captured_bytes == 0) bytes[15] = record.is_in() ? '<' : '>';
  write_le(out, 16, ns / kNanosecondsPerSecond);
  write_le(out, 24, static_cast<std::uint32_t>(ns % kNanosecondsPerSecond / 1000));
  write_le(out, 28, std::bit_cast<std::uint32_t>(record.status));
  write_le(out, 32, record.length);
  write_le(out, 36, record.captured_bytes);
  if (is_iso)
    write_le(out, 44, std::bit_cast<std::uint32_t>(record.iso_packets));
  else
    std::copy(record.setup.begin(), record.setup.end(), bytes.begin() + 40);
  write_le(out, 60, record.iso_descriptors);
  return bytes;
}

std::array<std::uint8_t, kIsoDescriptorBytes> encode(const IsoDescriptor& descriptor) {
  std::array<std::uint8_t, kIsoDescriptorBytes> bytes{};
  write_le(std::span<std::uint8_t>(bytes), 0, std::bit_cast<std::uint32_t>(descriptor.status));
  write_le(std::span<std::uint8_t>(bytes), 4, descriptor.offset);
  write_le(std::span<std::uint8_t>(bytes), 8, descriptor.length);
  return bytes;
}

std::size_t usbmon_header_bytes(std::uint16_t link_type) {
  if (link_type == kUsbmonLink) return kUsbmonBytes;
  return link_type == kShortUsbmonLink ? kShortUsbmonBytes : 0;
}

Result<UsbmonRecord> decode_usbmon(std::span<const std::uint8_t> header, bool big_endian) {
  CUSP_CHECK(header.size() == kUsbmonBytes || header.size() == kShortUsbmonBytes,
             "a usbmon header has 48 or 64 bytes");
  UsbmonRecord record;
  record.id = get<std::uint64_t>(header, 0, big_endian);
  record.type = static_cast<char>(header[8]);
  if (header[9] > static_cast<std::uint8_t>(UsbmonTransfer::kBulk))
    return error(ErrorCode::kCorrupt, "{} is no type of a USB transfer", header[9]);
  record.transfer = static_cast<UsbmonTransfer>(header[9]);
  record.endpoint = header[10];
  record.device = header[11];
  record.bus = get<std::uint16_t>(header, 12, big_endian);
  record.has_setup = header[14] == 0;
  // Any number may be claimed; what is no time of day counts as 0.
  const auto seconds = get<std::uint64_t>(header, 16, big_endian);
  const auto microseconds = get<std::uint32_t>(header, 24, big_endian);
  if (seconds < 4'000'000'000 && microseconds < 1'000'000)
    record.since_1970 = std::chrono::seconds(seconds) + std::chrono::microseconds(microseconds);
  record.status = get_signed(header, 28, big_endian);
  record.length = get<std::uint32_t>(header, 32, big_endian);
  record.captured_bytes = get<std::uint32_t>(header, 36, big_endian);
  if (record.transfer == UsbmonTransfer::kIsochronous)
    record.iso_packets = get_signed(header, 44, big_endian);
  else
    std::copy_n(header.begin() + 40, record.setup.size(), record.setup.begin());
  if (header.size() == kUsbmonBytes)
    record.iso_descriptors = get<std::uint32_t>(header, 60, big_endian);
  return record;
}

IsoDescriptor decode_iso(std::span<const std::uint8_t, kIsoDescriptorBytes> bytes,
                         bool big_endian) {
  return {.status = get_signed(bytes, 0, big_endian),
          .offset = get<std::uint32_t>(bytes, 4, big_endian),
          .length = get<std::uint32_t>(bytes, 8, big_endian)};
}

std::array<std::uint8_t, 8> encode_setup(const ControlSetup& setup, std::size_t length) {
  std::array<std::uint8_t, 8> bytes{setup.request_type, setup.request};
  write_le(std::span<std::uint8_t>(bytes), 2, setup.value);
  write_le(std::span<std::uint8_t>(bytes), 4, setup.index);
  write_le(std::span<std::uint8_t>(bytes), 6, static_cast<std::uint16_t>(length));
  return bytes;
}

ControlSetup decode_setup(std::span<const std::uint8_t, 8> bytes) {
  return {.request_type = bytes[0],
          .request = bytes[1],
          .value = read_le<std::uint16_t>(bytes, 2),
          .index = read_le<std::uint16_t>(bytes, 4)};
}

std::int32_t status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kProtocol:
      return kStatusStall;
    case ErrorCode::kDisconnected:
      return kStatusGone;
    case ErrorCode::kTimeout:
      return kStatusCancelled;  // the host gives such a transfer up
    default:
      return kStatusBusError;
  }
}

Error error_of(std::int32_t status, const std::string& what) {
  switch (status) {
    case kStatusStall:
      return error(ErrorCode::kProtocol, "{}: it stalled", what);
    case kStatusGone:
    case kStatusNoDevice:
      return error(ErrorCode::kDisconnected, "{}: the device was unplugged", what);
    case kStatusOverflow:
      return error(ErrorCode::kProtocol, "{}: it sent more than was asked", what);
    case kStatusCancelled:
    case kStatusUnlinked:
    case kStatusTimeout:
      return error(ErrorCode::kTimeout, "{}: it did not answer", what);
    default:
      return error(ErrorCode::kIo, "{}: the bus reported error {}", what, status);
  }
}

}  // namespace cusp::recording
