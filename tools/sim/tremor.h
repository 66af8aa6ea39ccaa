// Tremor: the unsteadiness of a hand: a sum of sines between 0.7 and 9 Hz of random phase, each
// band of the same speed. In the sensor's own frame: millimetres and radians. Deterministic by
// seed. Threads: value.
#pragma once

#include <array>
#include <cstdint>

#include "core/pose.h"

namespace cusp::sim {

class Tremor {
 public:
  // scale 0: none; 1: a hand that guides a camera in the air.
  Tremor(std::uint64_t seed, double scale);

  [[nodiscard]] RigidTransform at(double seconds) const;

 private:
  static constexpr std::size_t kWaves = 4;
  struct Wave {
    double rate = 0, phase = 0, amplitude = 0;
  };
  std::array<std::array<Wave, kWaves>, 6> axes_{};
};

}  // namespace cusp::sim
