// Implicit surfaces: scalar fields in mm, negative inside, with a gradient near one close to zero.
// Blends after I. Quilez's polynomial smooth minimum: the result differs from min() only where the
// two fields are within `radius` of each other, and by a quarter of it at most.
// Threads: pure functions.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace cusp::sim {

inline float smooth_min(float a, float b, float radius) {
  const float overlap = std::max(radius - std::abs(a - b), 0.0f);
  return std::min(a, b) - overlap * overlap / (4.0f * radius);
}

inline float smooth_max(float a, float b, float radius) { return -smooth_min(-a, -b, radius); }

// 0 below `from`, 1 above `to`, a cubic between.
inline float smooth_step(float from, float to, float x) {
  const float t = std::clamp((x - from) / (to - from), 0.0f, 1.0f);
  return t * t * (3.0f - 2.0f * t);
}

inline float bell(float x) { return std::exp(-x * x); }

// A well mixed 32-bit hash (splitmix64's finaliser): the same on every machine, unlike std
// distributions.
inline std::uint32_t hash_bits(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
  return static_cast<std::uint32_t>((x ^ (x >> 31U)) >> 32U);
}

// In [-1, 1).
inline float hash_signed(std::uint64_t x) {
  return static_cast<float>(hash_bits(x)) * (2.0f / 4294967296.0f) - 1.0f;
}

// Smooth noise in about [-1, 1] with features of size one.
inline float value_noise(float x, float y, float z, std::uint32_t seed) {
  const float fx = std::floor(x);
  const float fy = std::floor(y);
  const float fz = std::floor(z);
  const auto corner = [&](int dx, int dy, int dz) {
    const auto cell = [](float f, int d) {
      return static_cast<std::uint64_t>((static_cast<int>(f) + d) & 0xffff);
    };
    return hash_signed((static_cast<std::uint64_t>(seed) << 48U) ^ (cell(fx, dx) << 32U) ^
                       (cell(fy, dy) << 16U) ^ cell(fz, dz));
  };
  const auto ease = [](float t) { return t * t * (3.0f - 2.0f * t); };
  const auto mix = [](float a, float b, float t) { return a + (b - a) * t; };
  const float tx = ease(x - fx);
  const float ty = ease(y - fy);
  const float tz = ease(z - fz);
  const float near =
      mix(mix(corner(0, 0, 0), corner(1, 0, 0), tx), mix(corner(0, 1, 0), corner(1, 1, 0), tx), ty);
  const float far =
      mix(mix(corner(0, 0, 1), corner(1, 0, 1), tx), mix(corner(0, 1, 1), corner(1, 1, 1), tx), ty);
  return mix(near, far, tz);
}

}  // namespace cusp::sim
