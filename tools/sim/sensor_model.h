// SensorModel: light on an imager's pixels to its 8-bit counts (EMVA Standard 1288, release 3.1).
//
// Of a pixel: mean electrons = light * exposure * full well * its gain; noise of variance
// mean + dark^2, as a normal variable (a Poisson one differs only below a few electrons, where the
// dark noise rules); its own offset; cut off at the full well, so that a saturated pixel has no
// noise; then counts, of which full scale is the full well. So the variance of counts rises with
// their mean by the gain of (255 - black level) / full well. Without noise: light * exposure * 255,
// rounded. Deterministic: pixels by the seed, noise by seed, frame and lane. Threads: const calls
// from any.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tools/sim/fringe_effects.h"

namespace cusp::sim {

class SensorModel {
 public:
  SensorModel(const std::optional<SensorNoise>& noise, double exposure, int width_px, int height_px,
              std::uint64_t seed);

  // Light in whites. Different lanes (a picture's colours) have different noise.
  void expose(std::span<const float> light, std::uint64_t frame, std::uint64_t lane,
              std::span<std::uint8_t> counts) const;

 private:
  std::optional<SensorNoise> noise_;
  float exposure_;
  std::size_t width_;
  std::uint64_t seed_;
  std::vector<float> gain_, offset_e_;  // of each pixel; empty without noise
};

}  // namespace cusp::sim
