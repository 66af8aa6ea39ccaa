#include "tools/sim/fringe_pattern.h"

#include <algorithm>
#include <numbers>

#include "core/check.h"

namespace cusp::sim {
namespace {

std::vector<double> smoothed(const std::vector<double>& values, double sigma) {
  const int reach = static_cast<int>(std::ceil(4 * sigma));
  std::vector<double> kernel;
  double sum = 0;
  for (int i = -reach; i <= reach; ++i) {
    kernel.push_back(std::exp(-0.5 * i * i / (sigma * sigma)));
    sum += kernel.back();
  }
  std::vector<double> result(values.size());
  const int last = static_cast<int>(values.size()) - 1;
  for (int x = 0; x <= last; ++x) {
    double total = 0;
    for (int i = -reach; i <= reach; ++i)
      total += kernel[static_cast<std::size_t>(i + reach)] *
               values[static_cast<std::size_t>(std::clamp(x + i, 0, last))];
    result[static_cast<std::size_t>(x)] = total / sum;
  }
  return result;
}

}  // namespace

FringePattern::FringePattern(const FringeOptics::Pattern& pattern, int columns,
                             const FringeEffects& effects)
    : pitch_px_(pattern.pitch_px) {
  CUSP_CHECK(pattern.pitch_px >= 2 && columns > 0, "a fringe is wider than two pixels");
  const double gamma = effects.projector_gamma ? effects.projector_gamma->exponent : 1;
  const auto light = [&](double column) {
    const double ideal =
        0.5 * (1 + std::cos(2 * std::numbers::pi * column / pattern.pitch_px - pattern.phase_rad));
    return gamma == 1 ? ideal : std::pow(std::max(ideal, 0.0), gamma);
  };
  std::vector<double> samples;
  const int count = (columns + 2 * static_cast<int>(kMarginPx)) * kSamplesPerPx;
  for (int i = 0; i <= count; ++i) {
    const double column = static_cast<double>(i) / kSamplesPerPx - kMarginPx;
    // On the edge of two pixels: half of each.
    samples.push_back(effects.projector_blur
                          ? 0.5 * (light(std::floor(column + 0.5)) + light(std::ceil(column - 0.5)))
                          : light(column));
  }
  if (effects.projector_blur && effects.projector_blur->sigma_px > 0)
    samples = smoothed(samples, effects.projector_blur->sigma_px * kSamplesPerPx);

  double mean = 0;
  constexpr int kMeanSamples = 4096;
  for (int i = 0; i < kMeanSamples; ++i)
    mean += light(pattern.pitch_px * i / kMeanSamples) / kMeanSamples;
  mean_ = static_cast<float>(mean);
  table_.reserve(samples.size());
  for (const double sample : samples) table_.push_back(static_cast<float>(sample - mean));
}

}  // namespace cusp::sim
