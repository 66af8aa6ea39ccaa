// The interfaces and endpoints of a configuration descriptor, for whoever attaches a UsbFunction:
// hosts are told of them, and what a peer asks for is compared with them.
//
// USB 2.0 sections 9.6.5 and 9.6.6, USB 3.2 section 9.6.7 (companions). Threads: values and a
// function. Errors: none: descriptors that break off end the list.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "drivers/driver.h"

namespace cusp {

struct ListedEndpoint {
  std::uint8_t interface_number = 0;
  std::uint8_t alternate = 0;
  std::uint8_t address = 0;            // with its direction bit
  std::uint8_t attributes = 0;         // transfer type in the two lowest bits
  std::uint16_t max_packet_bytes = 0;  // as sent: high speed keeps the extra transactions in it
  std::uint8_t interval = 0;           // bInterval
  std::uint32_t interval_bytes = 0;    // most that one service interval carries

  [[nodiscard]] std::uint8_t type() const { return attributes & 0x03; }
};
inline constexpr std::uint8_t kControlType = 0, kIsochronousType = 1, kBulkType = 2,
                              kInterruptType = 3;

struct ListedInterface {
  std::uint8_t number = 0;
  std::uint8_t usb_class = 0, subclass = 0, protocol = 0;
};

struct EndpointList {
  std::uint8_t configuration = 0;           // bConfigurationValue
  std::vector<ListedInterface> interfaces;  // each once, as its first alternate setting says
  std::vector<ListedEndpoint> endpoints;    // of every alternate setting
};

// Between two packets of an isochronous endpoint, USB 2.0 table 9-13.
std::chrono::microseconds service_interval(const ListedEndpoint& endpoint, UsbSpeed speed);

EndpointList list_endpoints(std::span<const std::uint8_t> config_descriptor);

}  // namespace cusp
