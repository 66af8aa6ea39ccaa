// FringePattern: the light that a projector gives along its columns for one picture of a sequence,
// in [0, 1]: the sinusoid of core/calibration.h, and what a real imager makes of it.
//
// Ideal: the formula. With blur: each projector pixel is constant over its width, which the lens
// then smooths (ProjectorBlur); with gamma: the intensity is raised to it before that. Split into
// its mean and its swing, as everything behind it (defocus, translucency) takes the swing alone.
// Threads: values.
#pragma once

#include <cmath>
#include <vector>

#include "core/calibration.h"
#include "tools/sim/fringe_effects.h"

namespace cusp::sim {

class FringePattern {
 public:
  FringePattern(const FringeOptics::Pattern& pattern, int columns, const FringeEffects& effects);

  [[nodiscard]] double pitch_px() const { return pitch_px_; }
  [[nodiscard]] float mean() const { return mean_; }
  // Intensity at a column is mean() + swing(). Linear between the samples of a table, to 2e-5.
  [[nodiscard]] float swing(float column_px) const {
    const float at = (column_px + kMarginPx) * kSamplesPerPx;
    if (!(at >= 0)) return 0;
    const auto cell = static_cast<std::size_t>(at);
    if (cell + 1 >= table_.size()) return 0;
    const float part = at - static_cast<float>(cell);
    return table_[cell] + part * (table_[cell + 1] - table_[cell]);
  }

 private:
  static constexpr int kSamplesPerPx = 8;
  static constexpr float kMarginPx = 16;  // a fringe that is shifted out of the raster
  double pitch_px_;
  float mean_ = 0;
  std::vector<float> table_;
};

}  // namespace cusp::sim
