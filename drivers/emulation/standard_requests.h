// The standard device requests, answered on behalf of a UsbFunction, as every way of attaching one
// needs: what is common to all firmware is not repeated in each double.
//
// Follows USB 2.0 section 9.4 and USB 3.2 section 9.4 (SET_SEL, SET_ISOCH_DELAY) and 9.6.2 (BOS). A
// function has one configuration; its address is the bus's affair. Threads: as the function's.
#pragma once

#include "drivers/emulation/usb_function.h"

namespace cusp {

// Any request on endpoint zero: standard ones are answered here, class and vendor requests go to
// function.control(). `data` is the data stage, wLength bytes: filled (IN) or read (OUT). kStall:
// the request or what it names does not exist.
UsbOutcome answer_request(UsbFunction& function, const ControlSetup& setup,
                          std::span<std::uint8_t> data);

// Requests that hosts have verbs for.
inline constexpr ControlSetup set_interface_request(int interface_number, int alternate) {
  return {0x01, 0x0B, static_cast<std::uint16_t>(alternate),
          static_cast<std::uint16_t>(interface_number)};
}
inline constexpr ControlSetup clear_halt_request(std::uint8_t endpoint) {
  return {0x02, 0x01, 0, endpoint};
}
inline constexpr ControlSetup get_string_request(std::uint8_t index) {
  return {0x80, 0x06, static_cast<std::uint16_t>(0x0300 | index), 0x0409};
}

}  // namespace cusp
