#include "drivers/emulation/endpoint_list.h"

#include <algorithm>

#include "drivers/bytes.h"

namespace cusp {
namespace {

constexpr std::uint8_t kConfiguration = 2, kInterface = 4, kEndpoint = 5;
constexpr std::size_t kConfigurationBytes = 9, kInterfaceBytes = 9, kEndpointBytes = 7;

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
      list.endpoints.push_back({interface_number, alternate, rest[2], rest[3],
                                read_le<std::uint16_t>(rest, 4), rest[6]});
    }
    rest = rest.subspan(size);
  }
  return list;
}

}  // namespace cusp
