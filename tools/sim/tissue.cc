#include "tools/sim/tissue.h"

#include <array>
#include <cmath>

namespace cusp::sim {
namespace {

// CIE 15 and IEC 61966-2-1: L*a*b* under D65 to linear sRGB.
Eigen::Vector3f linear_rgb(float lightness, float a, float b) {
  const auto unfold = [](float f) {
    constexpr float kEdge = 6.0F / 29.0F;
    return f > kEdge ? f * f * f : 3 * kEdge * kEdge * (f - 4.0F / 29.0F);
  };
  const float middle = (lightness + 16) / 116;
  const Eigen::Vector3f xyz(0.95047F * unfold(middle + a / 500), unfold(middle),
                            1.08883F * unfold(middle - b / 200));
  Eigen::Matrix3f rgb_from_xyz;
  rgb_from_xyz << 3.2406F, -1.5372F, -0.4986F,  //
      -0.9689F, 1.8758F, 0.0415F,               //
      0.0557F, -0.2040F, 1.0570F;
  return (rgb_from_xyz * xyz).cwiseMax(0.01F).cwiseMin(1.0F);
}

}  // namespace

std::optional<Tissue> tissue(std::string_view name) {
  constexpr std::array<std::string_view, kTissues> kNames{"stone", "enamel", "dentine", "gingiva",
                                                          "mucosa"};
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Tissue>(i);
  return std::nullopt;
}

const TissueOptics& optics_of(Tissue tissue) {
  static const std::array<TissueOptics, kTissues> kOptics{{
      {linear_rgb(85, 1, 9), false, 0, 0, 1.5F, 1},
      {linear_rgb(80.6F, 0.3F, 25), true, 2.1F, 0.01F, 1.63F, 0.4F},
      {linear_rgb(72, 3, 30), true, 6.0F, 0.05F, 1.54F, 0.5F},
      {linear_rgb(51, 27.7F, 18.3F), true, 1.5F, 0.5F, 1.4F, 0.6F},
      {linear_rgb(46, 31, 16), true, 1.5F, 0.5F, 1.4F, 0.6F},
  }};
  return kOptics[static_cast<std::size_t>(tissue)];
}

}  // namespace cusp::sim
