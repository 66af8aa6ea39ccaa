// Little-endian numbers in byte buffers, as USB sends them.
// The caller has compared the length with what it needs: reading past the end is our own bug.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/check.h"

namespace cusp {

template <std::unsigned_integral T>
T read_le(std::span<const std::uint8_t> bytes, std::size_t at) {
  CUSP_CHECK(at <= bytes.size() && bytes.size() - at >= sizeof(T), "read past the end");
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value = static_cast<T>(value | (static_cast<T>(bytes[at + i]) << (8 * i)));
  return value;
}

template <std::unsigned_integral T>
void write_le(std::span<std::uint8_t> bytes, std::size_t at, T value) {
  CUSP_CHECK(at <= bytes.size() && bytes.size() - at >= sizeof(T), "write past the end");
  for (std::size_t i = 0; i < sizeof(T); ++i)
    bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

inline float read_le_float(std::span<const std::uint8_t> bytes, std::size_t at) {
  return std::bit_cast<float>(read_le<std::uint32_t>(bytes, at));
}

inline void write_le_float(std::span<std::uint8_t> bytes, std::size_t at, float value) {
  write_le(bytes, at, std::bit_cast<std::uint32_t>(value));
}

}  // namespace cusp
