// Random numbers that can be asked for anywhere: the same (seed, frame, row, lane) gives the same
// words, so a frame never depends on what came before it.
//
// The output function of SplitMix64: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom
// number generators", OOPSLA 2014, doi:10.1145/2660193.2660195. Threads: values.
#pragma once

#include <array>
#include <cstdint>

namespace cusp::sim {

inline std::uint64_t mix_bits(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9U;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::uint64_t frame, std::uint64_t row, std::uint64_t lane)
      : state_(mix_bits(seed + kStep * mix_bits(frame + kStep * mix_bits(row * 2 + lane + 1)))) {}
  std::uint64_t next() { return mix_bits(state_ += kStep); }
  // In [0, 1).
  float uniform() { return static_cast<float>(next() >> 40) * 0x1p-24F; }
  float between(float low, float high) { return low + (high - low) * uniform(); }

 private:
  static constexpr std::uint64_t kStep = 0x9E3779B97F4A7C15U;
  std::uint64_t state_;
};

inline constexpr int kQuantileBits = 12;
inline constexpr int kQuantiles = 1 << kQuantileBits;

// Midpoint quantiles of the standard normal distribution, scaled to unit variance: an even choice
// among them is a normal variable cut off at 3.7 sigma.
const std::array<float, kQuantiles>& normal_quantiles();

}  // namespace cusp::sim
