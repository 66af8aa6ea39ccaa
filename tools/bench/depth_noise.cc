#include "tools/bench/depth_noise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/check.h"
#include "tools/sim/random.h"

namespace cusp::bench {
namespace {

// Image coordinates are -1..1 from edge to edge.
double warp_shape(double x, double y) {
  using std::numbers::pi;
  return 0.6 * std::cos(1.13 * pi * x + 0.5) * std::cos(0.83 * pi * y - 0.3) +
         0.4 * std::cos(1.71 * pi * x - 0.8) * std::cos(1.37 * pi * y + 0.9);
}

std::vector<float> make_warp(const Intrinsics& camera, double largest_mm) {
  std::vector<float> warp;
  for (int y = 0; y < camera.height_px; ++y)
    for (int x = 0; x < camera.width_px; ++x)
      warp.push_back(static_cast<float>(
          warp_shape(2.0 * x / (camera.width_px - 1) - 1, 2.0 * y / (camera.height_px - 1) - 1)));
  double sum = 0;
  for (const float value : warp) sum += value;
  const auto mean = static_cast<float>(sum / static_cast<double>(warp.size()));
  float largest = 0;
  for (float& value : warp) largest = std::max(largest, std::abs(value -= mean));
  for (float& value : warp) value *= static_cast<float>(largest_mm) / largest;
  return warp;
}

// Fills `values` with normal variables of unit variance, five a random word.
void draw_normals(sim::RandomStream random, std::span<float> values) {
  const auto& table = sim::normal_quantiles();
  for (std::size_t i = 0; i < values.size(); i += 5) {
    std::uint64_t word = random.next();
    for (std::size_t k = i; k < std::min(i + 5, values.size()); ++k, word >>= sim::kQuantileBits)
      values[k] = table[word & (sim::kQuantiles - 1)];
  }
}

}  // namespace

std::string to_text(const DepthNoiseOptions& o) {
  return fmt::format(
      "sigma {} at {} shared {} over {} warp {} edge {} lost {} holes {} outliers {} of {} grazing "
      "{} unit {} seed {}",
      o.sigma_mm, o.reference_mm, o.shared_share, o.shared_px, o.warp_mm, o.edge_gap_mm,
      o.edge_lost_share, o.lost_share, o.outlier_share, o.outlier_mm, o.grazing_deg,
      o.depth_unit_mm, o.seed);
}

DepthNoise::DepthNoise(const DepthNoiseOptions& options, const Intrinsics& intrinsics)
    : options_(options), intrinsics_(intrinsics), warp_mm_(make_warp(intrinsics, options.warp_mm)) {
  CUSP_CHECK(options.shared_px % 2 == 1 && options.shared_px > 0, "a window has a middle pixel");
}

void DepthNoise::draw(std::uint64_t frame) {
  const auto width = static_cast<std::size_t>(intrinsics_.width_px);
  const auto height = static_cast<std::size_t>(intrinsics_.height_px);
  const auto window = static_cast<std::size_t>(options_.shared_px);
  padded_.resize(width + window - 1);
  rows_.assign(width * (height + window - 1), 0.0F);
  noise_.resize(width * height);
  for (std::size_t y = 0; y < height + window - 1; ++y) {
    draw_normals({options_.seed, frame, y, 2}, padded_);
    float* row = rows_.data() + y * width;
    for (std::size_t i = 0; i < window; ++i)
      for (std::size_t x = 0; x < width; ++x) row[x] += padded_[x + i];
  }
  const auto own = static_cast<float>(std::sqrt(1 - options_.shared_share));
  const float shared =
      static_cast<float>(std::sqrt(options_.shared_share)) / static_cast<float>(window);
  for (std::size_t y = 0; y < height; ++y) {
    const std::span<float> out(noise_.data() + y * width, width);
    draw_normals({options_.seed, frame, y, 3}, out);
    for (float& value : out) value *= own;
    for (std::size_t i = 0; i < window; ++i) {
      const float* row = rows_.data() + (y + i) * width;
      for (std::size_t x = 0; x < width; ++x) out[x] += shared * row[x];
    }
  }
}

void DepthNoise::measure(const sim::DepthImage& ideal, std::uint64_t frame,
                         std::span<std::uint16_t> z16) {
  CUSP_CHECK(ideal.intrinsics == intrinsics_ && z16.size() == ideal.depth_mm.size(),
             "noise is made for one camera");
  draw(frame);
  const int width = intrinsics_.width_px, height = intrinsics_.height_px;
  const auto least_cosine =
      static_cast<float>(std::cos(options_.grazing_deg * std::numbers::pi / 180));
  const auto sigma = static_cast<float>(options_.sigma_mm);
  const auto reference = static_cast<float>(options_.reference_mm);
  const auto gap = static_cast<float>(options_.edge_gap_mm);
  const auto edge_lost = static_cast<float>(options_.edge_lost_share);
  const auto lost = static_cast<float>(options_.lost_share);
  const auto outliers = static_cast<float>(options_.outlier_share);
  const auto outlier = static_cast<float>(options_.outlier_mm);
  const auto counts_per_mm = static_cast<float>(1 / options_.depth_unit_mm);

  for (int y = 0; y < height; ++y) {
    sim::RandomStream random(options_.seed, frame, static_cast<std::uint64_t>(y), 4);
    for (int x = 0; x < width; ++x) {
      const auto at = static_cast<std::size_t>(y * width + x);
      z16[at] = 0;
      float z = ideal.depth_mm[at];
      const float cosine = ideal.cos_incidence[at];
      if (z <= 0 || cosine < least_cosine) continue;
      // The neighbour beyond the widest jump; one that shows nothing is no depth to smear into.
      float beyond = z, widest = gap;
      bool at_jump = false;
      const auto look = [&](bool inside, std::ptrdiff_t step) {
        if (!inside) return;
        const float there = ideal.depth_mm[at + static_cast<std::size_t>(step)];
        if (there > 0 && std::abs(there - z) <= widest) return;
        at_jump = true;
        if (there <= 0) return;
        widest = std::abs(there - z);
        beyond = there;
      };
      look(x > 0, -1);
      look(x + 1 < width, 1);
      look(y > 0, -width);
      look(y + 1 < height, width);
      if (at_jump) {
        if (random.uniform() < edge_lost) continue;
        z += random.uniform() * (beyond - z);
      }
      const float luck = random.uniform();
      if (luck < lost) continue;
      if (luck < lost + outliers) z += random.uniform() < 0.5F ? -outlier : outlier;
      const float scale = z / reference;
      z += warp_mm_[at] + sigma * scale * scale / cosine * noise_[at];
      z16[at] = static_cast<std::uint16_t>(std::clamp(z * counts_per_mm + 0.5F, 0.0F, 65535.0F));
    }
  }
}

}  // namespace cusp::bench
