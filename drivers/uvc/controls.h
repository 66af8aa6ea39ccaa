// Requests to a terminal or unit of a video function: GET_CUR and its kin, SET_CUR (UVC 1.5 section
// 4.2).
//
// Numbers are little-endian. Threads: as UsbTransport. Errors: a request that the device refuses
// (it stalls) is kUnsupported when the unit lacks the control, kInvalidArgument when the value is
// not allowed, kUnavailable or kConflict when it can't be now; kProtocol when it answers with
// another size. Trouble with the cable keeps its own code. All name the unit and selector.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "drivers/driver.h"
#include "drivers/uvc/descriptors.h"

namespace cusp::uvc {

// Selectors of the camera terminal and the processing unit that Cusp uses (UVC 1.5 tables A-12 and
//
inline constexpr std::uint8_t kAutoExposureMode = 0x02;
inline constexpr std::uint8_t kExposureTimeAbsolute = 0x04;  // of 100 us
inline constexpr std::uint8_t kGain = 0x04;

// A terminal or unit of a control interface.
struct Entity {
  int control_interface = 0;
  std::uint8_t id = 0;
};

inline constexpr std::chrono::milliseconds kControlTimeout{5000};  // USB 2.0 section 9.2.6.4

// `request` is GET_CUR, GET_MIN, GET_MAX, GET_RES, GET_LEN, GET_INFO or GET_DEF; exactly size_bytes
// must come.
Result<std::vector<std::uint8_t>> get_control(UsbTransport& transport, Entity entity,
                                              std::uint8_t selector, std::uint8_t request,
                                              std::size_t size_bytes,
                                              std::chrono::milliseconds timeout = kControlTimeout);
Result<void> set_control(UsbTransport& transport, Entity entity, std::uint8_t selector,
                         std::span<const std::uint8_t> value);

// Controls that are a number without a sign, of up to four bytes.
Result<std::uint32_t> get_number(UsbTransport& transport, Entity entity, std::uint8_t selector,
                                 std::uint8_t request, std::size_t size_bytes);
Result<void> set_number(UsbTransport& transport, Entity entity, std::uint8_t selector,
                        std::uint32_t number, std::size_t size_bytes);

}  // namespace cusp::uvc
