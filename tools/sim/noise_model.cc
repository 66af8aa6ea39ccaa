#include "tools/sim/noise_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "tools/sim/random.h"

namespace cusp::sim {
namespace {

constexpr int kCosineSteps = 1024;

std::uint16_t to_counts(float depth_mm, float counts_per_mm) {
  const float counts = depth_mm * counts_per_mm + 0.5F;
  if (!(counts >= 1.0F)) return 0;
  return static_cast<std::uint16_t>(std::min(counts, 65535.0F));
}

}  // namespace

Intrinsics d405_intrinsics(int width_px, int height_px) {
  constexpr double kHalfFov = 42.0 * std::numbers::pi / 180.0;
  const double focal = 0.5 * width_px / std::tan(kHalfFov);
  return {width_px, height_px, focal, focal, 0.5 * (width_px - 1), 0.5 * (height_px - 1)};
}

StereoNoise::StereoNoise(const StereoNoiseOptions& options, const Intrinsics& intrinsics)
    : options_(options), intrinsics_(intrinsics) {
  CUSP_CHECK(options.window_px > 0 && options.window_px % 2 == 1, "a matching window is odd");
  CUSP_CHECK(options.baseline_mm > 0 && options.depth_unit_mm > 0 && intrinsics.fx_px > 0,
             "a stereo camera has a baseline, a unit and a focal length");
  const double from = options.grazing_from_deg * std::numbers::pi / 180;
  const double to = options.grazing_to_deg * std::numbers::pi / 180;
  for (int i = 0; i <= kCosineSteps; ++i) {
    const double theta = std::acos(static_cast<double>(i) / kCosineSteps);
    const double rest = std::max(std::numbers::pi / 2 - theta, 0.02);
    incidence_factor_.push_back(
        static_cast<float>(1 + options.incidence_gain * theta * theta / (rest * rest)));
    grazing_loss_.push_back(static_cast<float>(std::clamp((theta - from) / (to - from), 0.0, 1.0)));
  }
}

double StereoNoise::sigma_mm(double depth_mm) const {
  return depth_mm * depth_mm * options_.disparity_sigma_px /
         (intrinsics_.fx_px * options_.baseline_mm);
}

double StereoNoise::least_depth_mm() const {
  return intrinsics_.fx_px * options_.baseline_mm / options_.largest_disparity_px;
}

// White noise averaged over the window: rows first, then columns; the sum of n^2 unit normals has
// standard deviation n.
void StereoNoise::draw_correlated(std::uint64_t frame) {
  const auto window = static_cast<std::size_t>(options_.window_px);
  const auto width = static_cast<std::size_t>(intrinsics_.width_px);
  const auto height = static_cast<std::size_t>(intrinsics_.height_px);
  const std::size_t padded = width + window - 1;
  const auto& table = normal_quantiles();
  white_.resize(padded + 4);
  rows_.resize(width * (height + window - 1));
  noise_.resize(width * height);

  for (std::size_t y = 0; y < height + window - 1; ++y) {
    RandomStream random(options_.seed, frame, y, 0);
    for (std::size_t x = 0; x < padded; x += 5) {
      std::uint64_t word = random.next();
      for (std::size_t i = 0; i < 5; ++i, word >>= kQuantileBits)
        if (x + i < padded) white_[x + i] = table[word & (kQuantiles - 1)];
    }
    float* row = rows_.data() + y * width;
    std::copy_n(white_.begin(), width, row);
    for (std::size_t i = 1; i < window; ++i)
      for (std::size_t x = 0; x < width; ++x) row[x] += white_[x + i];
  }
  const float scale = 1.0F / static_cast<float>(window);
  for (std::size_t y = 0; y < height; ++y) {
    float* out = noise_.data() + y * width;
    std::fill_n(out, width, 0.0F);
    for (std::size_t i = 0; i < window; ++i) {
      const float* row = rows_.data() + (y + i) * width;
      for (std::size_t x = 0; x < width; ++x) out[x] += scale * row[x];
    }
  }
}

// The right imager sees the point of column x at x - disparity. Whatever lies further right in the
// left image but further left in the right one is nearer and hides it.
void StereoNoise::mark_unseen_by_right_imager(const float* depth_row) {
  const int width = intrinsics_.width_px;
  const auto focal_baseline = static_cast<float>(intrinsics_.fx_px * options_.baseline_mm);
  float leftmost = std::numeric_limits<float>::infinity();
  for (int x = width - 1; x >= 0; --x) {
    const auto i = static_cast<std::size_t>(x);
    unseen_[i] = 0;
    if (depth_row[i] <= 0) continue;
    const float right_x = static_cast<float>(x) - focal_baseline / depth_row[i];
    unseen_[i] = right_x < 0 || right_x > leftmost ? 1 : 0;
    leftmost = std::min(leftmost, right_x);
  }
}

void StereoNoise::measure(const DepthImage& ideal, std::uint64_t frame,
                          std::span<std::uint16_t> z16) {
  CUSP_CHECK(ideal.intrinsics == intrinsics_ && z16.size() == ideal.depth_mm.size(),
             "noise is made for one camera");
  draw_correlated(frame);
  const int width = intrinsics_.width_px;
  const int height = intrinsics_.height_px;
  const int reach = std::max(1, options_.window_px / 2);
  const auto least_depth = static_cast<float>(least_depth_mm());
  const auto sigma_per_square = static_cast<float>(sigma_mm(1.0));
  const auto gap = static_cast<float>(options_.edge_gap_mm);
  const auto edge_lost = static_cast<float>(options_.edge_lost_share);
  const auto hair_lost = static_cast<float>(options_.hair_lost_share);
  const auto hair_sigma = static_cast<float>(options_.hair_sigma_mm);
  const auto counts_per_mm = static_cast<float>(1.0 / options_.depth_unit_mm);
  unseen_.assign(static_cast<std::size_t>(width), 0);

  for (int y = 0; y < height; ++y) {
    RandomStream random(options_.seed, frame, static_cast<std::uint64_t>(y), 1);
    const std::size_t start = static_cast<std::size_t>(y) * static_cast<std::size_t>(width);
    const float* depth = ideal.depth_mm.data() + start;
    if (options_.stereo_shadow) mark_unseen_by_right_imager(depth);
    // Depth across the widest step within reach; 0 stands for "nothing there".
    const auto beyond_edge = [&](int x) -> float {
      const float here = depth[x];
      float widest = gap, other = here;
      const auto look = [&](float there) {
        const float step = there > 0 ? std::abs(there - here) : std::numeric_limits<float>::max();
        if (step > widest) {
          widest = step;
          other = there;
        }
      };
      if (x >= reach) look(depth[x - reach]);
      if (x + reach < width) look(depth[x + reach]);
      if (y >= reach) look(depth[x - reach * width]);
      if (y + reach < height) look(depth[x + reach * width]);
      return other;
    };
    for (int x = 0; x < width; ++x) {
      const std::size_t pixel = start + static_cast<std::size_t>(x);
      z16[pixel] = 0;
      float z = depth[x];
      if (z < least_depth || unseen_[static_cast<std::size_t>(x)] != 0) continue;
      const auto cosine = static_cast<std::size_t>(ideal.cos_incidence[pixel] * kCosineSteps);
      if (grazing_loss_[cosine] > 0 && random.uniform() < grazing_loss_[cosine]) continue;
      if (const float other = beyond_edge(x); other != z) {
        if (random.uniform() < edge_lost) continue;
        if (other > 0) z += random.uniform() * (other - z);
      }
      float sigma = sigma_per_square * z * z * incidence_factor_[cosine];
      if (ideal.triangle[pixel] != kNoTriangle && ideal.triangle[pixel] >= options_.first_hairy) {
        if (random.uniform() < hair_lost) continue;
        sigma = std::hypot(sigma, hair_sigma);
      }
      z16[pixel] = to_counts(z + sigma * noise_[pixel], counts_per_mm);
    }
  }
}

void quantise(const DepthImage& ideal, double depth_unit_mm, std::span<std::uint16_t> z16) {
  CUSP_CHECK(z16.size() == ideal.depth_mm.size(), "one count a pixel");
  const auto counts_per_mm = static_cast<float>(1.0 / depth_unit_mm);
  for (std::size_t i = 0; i < z16.size(); ++i) z16[i] = to_counts(ideal.depth_mm[i], counts_per_mm);
}

}  // namespace cusp::sim
