#include "drivers/emulation/standard_requests.h"

#include <algorithm>
#include <array>
#include <string>

#include "drivers/bytes.h"

namespace cusp {
namespace {

constexpr std::uint8_t kInBit = 0x80, kTypeMask = 0x60, kRecipientMask = 0x1F;
constexpr std::uint8_t kToDevice = 0, kToInterface = 1, kToEndpoint = 2;

constexpr std::uint8_t kGetStatus = 0x00, kClearFeature = 0x01, kSetFeature = 0x03,
                       kGetDescriptor = 0x06, kGetConfiguration = 0x08, kSetConfiguration = 0x09,
                       kSetInterface = 0x0B, kSetSel = 0x30, kSetIsochDelay = 0x31;
constexpr std::uint8_t kDevice = 1, kConfiguration = 2, kString = 3, kInterface = 4, kEndpoint = 5,
                       kBos = 15;
constexpr std::uint16_t kEnglish = 0x0409;
constexpr std::uint16_t kEndpointHalt = 0;
constexpr std::size_t kSelBytes = 6;
constexpr std::size_t kConfigurationValueAt = 5, kAttributesAt = 7;
constexpr std::uint8_t kSelfPowered = 0x40;

constexpr UsbOutcome kStall{UsbOutcome::Kind::kStall, 0};
constexpr UsbOutcome kDone{UsbOutcome::Kind::kData, 0};

UsbOutcome send(std::span<std::uint8_t> data, std::span<const std::uint8_t> from) {
  const std::size_t size = std::min(data.size(), from.size());
  std::copy_n(from.begin(), size, data.begin());
  return {UsbOutcome::Kind::kData, size};
}

// UTF-16, of which a device's own words need the ASCII part alone.
std::vector<std::uint8_t> encode_string(std::string_view text) {
  constexpr std::size_t kMaxCharacters = 126;  // bLength is one byte
  text = text.substr(0, kMaxCharacters);
  std::vector<std::uint8_t> bytes{static_cast<std::uint8_t>(2 + 2 * text.size()), kString};
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    bytes.push_back(byte < 0x80 ? byte : std::uint8_t{'?'});
    bytes.push_back(0);
  }
  return bytes;
}

UsbOutcome send_string(UsbFunction& function, std::uint8_t index, std::span<std::uint8_t> data) {
  if (index == 0)
    return send(data, std::array<std::uint8_t, 4>{4, kString, kEnglish & 0xFF, kEnglish >> 8});
  const std::string text = function.string_descriptor(index);
  return text.empty() ? kStall : send(data, encode_string(text));
}

// The capabilities that a SuperSpeed device must list, USB 3.2 section 9.6.2: USB 2.0 extension
// (link power management) and SuperSpeed (full to SuperSpeed, works from high speed on).
UsbOutcome send_bos(const UsbFunction& function, std::span<std::uint8_t> data) {
  constexpr std::array<std::uint8_t, 22> kCapabilities{
      5,  kBos, 22, 0, 2,                       //
      7,  0x10, 2,  2, 0,    0, 0,              //
      10, 0x10, 3,  0, 0x0E, 0, 2, 10, 0xFF, 7  // exit latencies: 10 us, 2047 us
  };
  return function.speed() >= UsbSpeed::kSuper ? send(data, kCapabilities) : kStall;
}

UsbOutcome get_descriptor(UsbFunction& function, std::uint16_t value,
                          std::span<std::uint8_t> data) {
  const auto index = static_cast<std::uint8_t>(value);
  switch (value >> 8) {
    case kDevice:
      return index == 0 ? send(data, function.device_descriptor()) : kStall;
    case kConfiguration:
      return index == 0 ? send(data, function.config_descriptor()) : kStall;
    case kString:
      return send_string(function, index, data);
    case kBos:
      return send_bos(function, data);
    default:
      return kStall;
  }
}

// Whether the configuration has a descriptor of this type whose bytes from the third on begin so.
bool describes(const UsbFunction& function, std::uint8_t type,
               std::initializer_list<std::uint8_t> beginning) {
  const auto config = function.config_descriptor();
  for (std::size_t at = 0; config.size() - at >= 2 && config[at] >= 2;) {
    const auto bytes = std::span(config).subspan(at);
    const std::size_t size = std::min<std::size_t>(bytes[0], bytes.size());
    if (bytes[1] == type && size >= 2 + beginning.size() &&
        std::equal(beginning.begin(), beginning.end(), bytes.begin() + 2))
      return true;
    at += size;
  }
  return false;
}

std::uint8_t config_byte(const UsbFunction& function, std::size_t at) {
  const auto config = function.config_descriptor();
  return at < config.size() ? config[at] : std::uint8_t{0};
}

bool exists(const UsbFunction& function, std::uint8_t recipient, std::uint16_t index) {
  const auto number = static_cast<std::uint8_t>(index);
  switch (recipient) {
    case kToDevice:
      return true;
    case kToInterface:
      return describes(function, kInterface, {number});
    case kToEndpoint:
      return (number & ~kInBit) == 0 || describes(function, kEndpoint, {number});
    default:
      return false;
  }
}

UsbOutcome standard_in(UsbFunction& function, const ControlSetup& setup,
                       std::span<std::uint8_t> data) {
  const std::uint8_t recipient = setup.request_type & kRecipientMask;
  switch (setup.request) {
    case kGetStatus: {
      if (!exists(function, recipient, setup.index)) return kStall;
      const bool self_powered =
          recipient == kToDevice && (config_byte(function, kAttributesAt) & kSelfPowered) != 0;
      return send(data,
                  std::array<std::uint8_t, 2>{self_powered ? std::uint8_t{1} : std::uint8_t{0}});
    }
    case kGetConfiguration:
      return send(data, std::array{config_byte(function, kConfigurationValueAt)});
    case kGetDescriptor:
      return recipient == kToDevice ? get_descriptor(function, setup.value, data) : kStall;
    default:
      return kStall;
  }
}

UsbOutcome standard_out(UsbFunction& function, const ControlSetup& setup,
                        std::span<const std::uint8_t> data) {
  const std::uint8_t recipient = setup.request_type & kRecipientMask;
  switch (setup.request) {
    case kClearFeature:
      if (!exists(function, recipient, setup.index)) return kStall;
      if (recipient == kToEndpoint && setup.value == kEndpointHalt)
        function.clear_halt(static_cast<std::uint8_t>(setup.index));
      return kDone;
    case kSetFeature:  // of power management; a halt is the function's own to set
      return recipient != kToEndpoint && exists(function, recipient, setup.index) ? kDone : kStall;
    case kSetConfiguration:  // endpoints and alternate settings go back to their beginning
      if (setup.value != 0 && setup.value != config_byte(function, kConfigurationValueAt))
        return kStall;
      function.reset();
      return kDone;
    case kSetInterface:
      if (setup.index > 0xFF || setup.value > 0xFF ||
          !describes(
              function, kInterface,
              {static_cast<std::uint8_t>(setup.index), static_cast<std::uint8_t>(setup.value)}))
        return kStall;
      function.set_alternate(setup.index, setup.value);
      return kDone;
    case kSetSel:
      return data.size() == kSelBytes ? UsbOutcome{UsbOutcome::Kind::kData, kSelBytes} : kStall;
    case kSetIsochDelay:
      return kDone;
    default:
      return kStall;
  }
}

}  // namespace

UsbOutcome answer_request(UsbFunction& function, const ControlSetup& setup,
                          std::span<std::uint8_t> data) {
  if ((setup.request_type & kTypeMask) != 0) return function.control(setup, data);
  return (setup.request_type & kInBit) != 0 ? standard_in(function, setup, data)
                                            : standard_out(function, setup, data);
}

}  // namespace cusp
