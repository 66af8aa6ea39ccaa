// The setup packet of a request of the USB Video Class (UVC 1.5 section 4.1): to an interface, or
// to a terminal or unit of one.
//
// Threads: a value.
#pragma once

#include "drivers/driver.h"

namespace cusp::uvc {

constexpr ControlSetup class_request(std::uint8_t type, std::uint8_t request, std::uint8_t selector,
                                     int interface_number, std::uint8_t entity_id = 0) {
  return {.request_type = type,
          .request = request,
          .value = static_cast<std::uint16_t>(selector << 8),
          .index = static_cast<std::uint16_t>(entity_id << 8 | (interface_number & 0xFF))};
}

}  // namespace cusp::uvc
