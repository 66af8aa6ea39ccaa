#include "tools/sim/sensor_model.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "tools/sim/random.h"

namespace cusp::sim {
namespace {

constexpr std::uint64_t kPixelsOwn = ~std::uint64_t{0};  // the "frame" of what never changes
constexpr std::size_t kDrawsOfWord = 4;                  // 16 bits each, the upper 12 are used

std::uint8_t to_count(float counts) {
  return static_cast<std::uint8_t>(std::clamp(counts, 0.0F, 255.0F) + 0.5F);
}

}  // namespace

SensorModel::SensorModel(const std::optional<SensorNoise>& noise, double exposure, int width_px,
                         int height_px, std::uint64_t seed)
    : noise_(noise),
      exposure_(static_cast<float>(exposure)),
      width_(static_cast<std::size_t>(width_px)),
      seed_(seed) {
  if (!noise_) return;
  CUSP_CHECK(noise_->full_well_e > 0, "a pixel holds electrons");
  const auto& normal = normal_quantiles();
  for (int y = 0; y < height_px; ++y) {
    RandomStream random(seed_, kPixelsOwn, static_cast<std::uint64_t>(y), 0);
    for (std::size_t x = 0; x < width_; ++x) {
      const std::uint64_t word = random.next();
      gain_.push_back(1 + static_cast<float>(noise_->prnu) * normal[word >> (64 - kQuantileBits)]);
      offset_e_.push_back(static_cast<float>(noise_->dsnu_e) *
                          normal[word & static_cast<std::uint64_t>(kQuantiles - 1)]);
    }
  }
}

void SensorModel::expose(std::span<const float> light, std::uint64_t frame, std::uint64_t lane,
                         std::span<std::uint8_t> counts) const {
  CUSP_CHECK(light.size() == counts.size() && light.size() % width_ == 0, "a count a pixel");
  if (!noise_) {
    for (std::size_t i = 0; i < light.size(); ++i)
      counts[i] = to_count(255.0F * exposure_ * light[i]);
    return;
  }
  const auto& normal = normal_quantiles();
  const auto full_well = static_cast<float>(noise_->full_well_e);
  const auto dark_square = static_cast<float>(noise_->dark_e * noise_->dark_e);
  const auto black = static_cast<float>(noise_->black_level);
  const float counts_per_e = (255.0F - black) / full_well;
  const float e_per_light = exposure_ * full_well;
  for (std::size_t start = 0; start < light.size(); start += width_) {
    RandomStream random(seed_, frame, start / width_, lane + 1);
    std::uint64_t word = 0;
    for (std::size_t x = 0; x < width_; ++x) {
      if (x % kDrawsOfWord == 0) word = random.next();
      const float draw = normal[(word & 0xFFFFU) >> (16 - kQuantileBits)];
      word >>= 16;
      const std::size_t i = start + x;
      const float mean = std::max(light[i] * e_per_light * gain_[i], 0.0F);
      const float electrons =
          std::min(mean + std::sqrt(mean + dark_square) * draw + offset_e_[i], full_well);
      counts[i] = to_count(electrons * counts_per_e + black);
    }
  }
}

}  // namespace cusp::sim
