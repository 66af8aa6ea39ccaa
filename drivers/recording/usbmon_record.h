// A record of usbmon, Linux's USB monitor: what Wireshark and tcpdump capture from an interface
// "usbmonN", and what Cusp records.
//
// A USB transfer makes two: 'S' when it is handed to the host controller and 'C' when it comes
// back, both with the id of the transfer. 'E' stands for 'C' when it was not even taken. Data of an
// IN transfer is in the 'C' record. The numbers are in the byte order of the capturing machine.
// Format: struct mon_bin_hdr, Linux Documentation/usb/usbmon.rst and drivers/usb/mon/mon_bin.c;
// link types LINKTYPE_USB_LINUX (48 bytes) and LINKTYPE_USB_LINUX_MMAPPED (64 bytes, then the
// isochronous descriptors). Threads: values and functions. Errors: kCorrupt, kUnsupported.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "core/result.h"
#include "drivers/driver.h"

namespace cusp::recording {

inline constexpr std::uint16_t kUsbmonLink = 220, kShortUsbmonLink = 189;
inline constexpr std::size_t kUsbmonBytes = 64, kShortUsbmonBytes = 48, kIsoDescriptorBytes = 16;

enum class UsbmonTransfer : std::uint8_t { kIsochronous, kInterrupt, kControl, kBulk };

// Linux's error numbers, as `status` holds them.
inline constexpr std::int32_t kStatusStall = -32, kStatusGone = -108, kStatusNoDevice = -19,
                              kStatusCancelled = -2, kStatusUnlinked = -104, kStatusShort = -121,
                              kStatusOverflow = -75, kStatusBusError = -71, kStatusTimeout = -110,
                              kStatusPending = -115, kStatusPacketErrors = -18;

struct UsbmonRecord {
  std::uint64_t id = 0;
  char type = 'S';
  UsbmonTransfer transfer = UsbmonTransfer::kControl;
  std::uint8_t endpoint = 0;  // 0x80: IN
  int device = 0;
  int bus = 0;
  bool has_setup = false;
  std::chrono::nanoseconds since_1970{};
  std::int32_t status = 0;
  std::uint32_t length = 0;          // asked of 'S', moved of 'C'
  std::uint32_t captured_bytes = 0;  // behind the header: descriptors and data
  std::array<std::uint8_t, 8> setup{};
  std::int32_t iso_packets = 0;
  std::uint32_t iso_descriptors = 0;  // of those packets, behind the header

  [[nodiscard]] bool is_submission() const { return type == 'S'; }
  [[nodiscard]] bool is_in() const { return (endpoint & 0x80) != 0; }
};

struct IsoDescriptor {
  std::int32_t status = 0;
  std::uint32_t offset = 0;  // of its data, behind the descriptors
  std::uint32_t length = 0;
};

// Little-endian. length and captured_bytes are written as they are.
std::array<std::uint8_t, kUsbmonBytes> encode(const UsbmonRecord& record);
std::array<std::uint8_t, kIsoDescriptorBytes> encode(const IsoDescriptor& descriptor);

// The size of the header for a link type; 0: the packets are no usbmon records.
std::size_t usbmon_header_bytes(std::uint16_t link_type);
// `header` has the link type's size.
Result<UsbmonRecord> decode_usbmon(std::span<const std::uint8_t> header, bool big_endian);
IsoDescriptor decode_iso(std::span<const std::uint8_t, kIsoDescriptorBytes> bytes, bool big_endian);

std::array<std::uint8_t, 8> encode_setup(const ControlSetup& setup, std::size_t length);
ControlSetup decode_setup(std::span<const std::uint8_t, 8> bytes);

// What the kernel would have reported for an error of a transport, and what a transport would have
// said about a status. `what` names the object.
std::int32_t status_of(ErrorCode code);
Error error_of(std::int32_t status, const std::string& what);

}  // namespace cusp::recording
