#include "tools/sim/picture_blur.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/check.h"

namespace cusp::sim {
namespace {

constexpr std::array<float, 7> kLevels{0, 0.5F, 1, 2, 3.5F, 5.5F, 8};

}  // namespace

PictureBlur::PictureBlur(int width_px, int height_px)
    : width_(static_cast<std::size_t>(width_px)), height_(static_cast<std::size_t>(height_px)) {}

void PictureBlur::smooth(std::span<const float> picture, float sigma_px,
                         std::vector<float>& result) {
  result.assign(picture.begin(), picture.end());
  if (sigma_px <= 0) return;
  const auto reach = static_cast<std::ptrdiff_t>(std::ceil(3 * sigma_px));
  std::vector<float> kernel;
  float sum = 0;
  for (std::ptrdiff_t i = -reach; i <= reach; ++i) {
    const float x = static_cast<float>(i) / sigma_px;
    kernel.push_back(std::exp(-0.5F * x * x));
    sum += kernel.back();
  }
  for (float& weight : kernel) weight /= sum;

  // Beyond the border: its last pixel.
  const auto reach_size = static_cast<std::size_t>(reach);
  std::vector<float> padded(width_ + 2 * reach_size);
  rows_.resize(picture.size());
  for (std::size_t y = 0; y < height_; ++y) {
    const float* row = picture.data() + y * width_;
    std::fill_n(padded.begin(), reach_size, row[0]);
    std::copy_n(row, width_, padded.begin() + reach);
    std::fill_n(padded.end() - reach, reach_size, row[width_ - 1]);
    float* out = rows_.data() + y * width_;
    std::fill_n(out, width_, 0.0F);
    for (std::size_t i = 0; i < kernel.size(); ++i)
      for (std::size_t x = 0; x < width_; ++x) out[x] += kernel[i] * padded[x + i];
  }
  const auto last = static_cast<std::ptrdiff_t>(height_) - 1;
  for (std::size_t y = 0; y < height_; ++y) {
    float* out = result.data() + y * width_;
    std::fill_n(out, width_, 0.0F);
    for (std::size_t i = 0; i < kernel.size(); ++i) {
      const std::ptrdiff_t from =
          std::clamp<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(y + i) - reach, 0, last);
      const float* row = rows_.data() + static_cast<std::size_t>(from) * width_;
      for (std::size_t x = 0; x < width_; ++x) out[x] += kernel[i] * row[x];
    }
  }
}

void PictureBlur::apply(std::span<const float> sigma_px, std::span<float> picture) {
  CUSP_CHECK(picture.size() == width_ * height_ && sigma_px.size() == picture.size(),
             "a width a pixel");
  const auto [least, most] = std::minmax_element(sigma_px.begin(), sigma_px.end());
  result_.assign(picture.begin(), picture.end());
  bool lower_known = false;
  for (std::size_t level = 0; level + 1 < kLevels.size(); ++level) {
    const float low = kLevels[level], high = kLevels[level + 1];
    const bool is_last = level + 2 == kLevels.size();
    if (*most <= low || (*least >= high && !is_last)) {
      lower_known = false;
      continue;
    }
    if (lower_known)
      lower_.swap(upper_);
    else
      smooth(picture, low, lower_);
    smooth(picture, high, upper_);
    lower_known = true;
    for (std::size_t i = 0; i < picture.size(); ++i) {
      const float sigma = std::min(sigma_px[i], kLevels.back());
      if (sigma <= low || sigma > high) continue;
      const float part = (sigma * sigma - low * low) / (high * high - low * low);
      result_[i] = lower_[i] + part * (upper_[i] - lower_[i]);
    }
  }
  std::copy(result_.begin(), result_.end(), picture.begin());
}

}  // namespace cusp::sim
