#include "drivers/emulation/endpoint_list.h"

#include <algorithm>

#include "drivers/bytes.h"

namespace cusp {
namespace {

constexpr std::uint8_t kConfiguration = 2, kInterface = 4, kEndpoint = 5, kCompanion = 0x30;
constexpr std::size_t kConfigurationBytes = 9, kInterfaceBytes = 9, kEndpointBytes = 7,
                      kCompanionBytes = 6;

}  // namespace

std::chrono::microseconds service_interval(const ListedEndpoint& endpoint, UsbSpeed speed) {
  const auto frame =
      speed >= UsbSpeed::kHigh ? std::chrono::microseconds{125} : std::chrono::microseconds{1000};
  return frame * (1 << (std::clamp<int>(endpoint.interval, 1, 16) - 1));
}

EndpointList list_endpoints(std::span<const std::uint8_t> config_descriptor) {
  EndpointList list;
  std::uint8_t interface_number = 0, alternate = 0;
  for (auto rest = config_descriptor; rest.size() >= 2;) {
    const std::size_t size = rest[0];
    if (size < 2 || size > rest.size()) break;
    if (rest[1] == kConfiguration && size >= kConfigurationBytes) {
      list.configuration = rest[5];
    } else if (rest[1] == kInterface && size >= kInterfaceBytes) {
      interface_number = rest[2];
      alternate = rest[3];
      const bool known = std::any_of(list.interfaces.begin(), list.interfaces.end(),
                                     [&](const auto& one) { return one.number == rest[2]; });
      if (!known) list.interfaces.push_back({rest[2], rest[5], rest[6], rest[7]});
    } else if (rest[1] == kEndpoint && size >= kEndpointBytes) {
      const auto packet = read_le<std::uint16_t>(rest, 4);
      // High speed: bits 11 and 12 count the transactions beyond the first.
      list.endpoints.push_back({.interface_number = interface_number,
                                .alternate = alternate,
                                .address = rest[2],
                                .attributes = rest[3],
                                .max_packet_bytes = packet,
                                .interval = rest[6],
                                .interval_bytes = (packet & 0x7FFU) * (1 + (packet >> 11 & 3U))});
    } else if (rest[1] == kCompanion && size >= kCompanionBytes && !list.endpoints.empty()) {
      const auto bytes = read_le<std::uint16_t>(rest, 4);
      if (bytes > 0) list.endpoints.back().interval_bytes = bytes;
    }
    rest = rest.subspan(size);
  }
  return list;
}

}  // namespace cusp
