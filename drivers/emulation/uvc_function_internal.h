// What the files of UvcFunction share.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <span>

#include "drivers/emulation/usb_function.h"

namespace cusp {

inline constexpr UsbOutcome kRefused{UsbOutcome::Kind::kStall, 0};
inline constexpr UsbOutcome kNothingYet{UsbOutcome::Kind::kNak, 0};
inline constexpr UsbOutcome data_of(std::size_t size) { return {UsbOutcome::Kind::kData, size}; }

// Answers of requests; GET_INFO of a control that can be read and written.
inline constexpr std::uint8_t kCanGet = 0x01, kCanSet = 0x02;
inline constexpr std::uint8_t kGetRes = 0x84;

inline UsbOutcome answer(std::span<std::uint8_t> data, std::span<const std::uint8_t> from) {
  const std::size_t size = std::min(data.size(), from.size());
  std::copy_n(from.begin(), size, data.begin());
  return data_of(size);
}
inline UsbOutcome answer_byte(std::span<std::uint8_t> data, std::uint8_t value) {
  return answer(data, std::span(&value, 1));
}
inline UsbOutcome answer_le16(std::span<std::uint8_t> data, std::size_t value) {
  const std::uint8_t bytes[]{static_cast<std::uint8_t>(value),
                             static_cast<std::uint8_t>(value >> 8)};
  return answer(data, bytes);
}

// USB 2.0 section 9.6.6: bInterval of an isochronous endpoint.
inline std::chrono::nanoseconds service_interval(UsbSpeed speed, std::uint8_t exponent) {
  const std::chrono::microseconds unit{speed >= UsbSpeed::kHigh ? 125 : 1000};
  return unit * (std::int64_t{1} << (exponent - 1));
}

}  // namespace cusp
