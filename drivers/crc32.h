// CRC-32 of ISO 3309, as in zip and PNG: reflected polynomial 0xEDB88320, all ones before and
// after. Threads: a pure function.
#pragma once

#include <cstdint>
#include <span>

namespace cusp {

inline std::uint32_t crc32(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320 : 0);
  }
  return ~crc;
}

}  // namespace cusp
