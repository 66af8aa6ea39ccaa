#include "tools/sim/gingiva.h"

#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <numbers>

#include "tools/sim/implicit.h"

namespace cusp::sim {
namespace {

constexpr float kMapStep = 0.5f;
constexpr float kLevelStep = 0.1f;
constexpr float kBeyondEnds = 10.0f;  // of the arch curve
constexpr float kPadLength = 3.5f;    // tuberosity or retromolar pad behind the last molar
constexpr float kMarginAboveCervix = 0.8f;
constexpr float kMarginRounding = 0.55f;
constexpr float kFreeGumThickness = 0.12f;

float mix(float a, float b, float t) { return a + (b - a) * t; }

}  // namespace

Gingiva::Gingiva(Jaw jaw, const ArchCurve& curve, const std::vector<PlacedTooth>& teeth,
                 std::uint32_t seed)
    : jaw_(jaw),
      seed_(seed),
      half_length_(0.5f * curve.length_mm()),
      half_depth_(0.5f * curve.depth_mm()) {
  const float reach = 45.0f;
  map_origin_ = Eigen::Vector2f::Constant(-reach);
  map_columns_ = static_cast<int>(2.0f * reach / kMapStep) + 1;
  for (int row = 0; row < map_columns_; ++row) {
    for (int column = 0; column < map_columns_; ++column) {
      map_.push_back(curve.project(map_origin_ + kMapStep * Eigen::Vector2f(column, row)));
    }
  }

  // Low point and papilla of each tooth; the papilla between two teeth belongs to both.
  const auto zenith = [&](std::size_t i) {
    const float crown = teeth[i].size.crown_height_mm - kMarginAboveCervix;
    return teeth[i].origin_mm.z() - crown * teeth[i].axes(2, 2);
  };
  Eigen::MatrixX2f rows(teeth.size(), 2);
  Eigen::VectorXf heights(teeth.size());
  for (std::size_t k = 0; k < teeth.size(); ++k) {
    const auto row = static_cast<Eigen::Index>(k);
    rows.row(row) << 1.0f, teeth[k].origin_mm.y();
    heights[row] = zenith(k);
  }
  plane_ = (rows.transpose() * rows).inverse() * (rows.transpose() * heights);

  const auto papilla = [&](std::size_t i) {
    const float share = teeth[i].position <= 3 ? 0.46f : 0.40f;
    return zenith(i) + share * teeth[i].size.crown_height_mm;
  };
  const auto neck = [&](std::size_t i) {
    const Eigen::Vector3f local(0.0f, 0.0f, -teeth[i].size.crown_height_mm);
    return curve.project(teeth[i].model_from_local(local).head<2>()).y();
  };
  const auto count = static_cast<int>(2.0f * (half_length_ + kBeyondEnds) / kLevelStep) + 2;
  std::size_t i = 0;
  for (int k = 0; k < count; ++k) {
    const float along = static_cast<float>(k) * kLevelStep - half_length_ - kBeyondEnds;
    while (i + 1 < teeth.size() &&
           along > teeth[i].along_mm + 0.5f * teeth[i].size.mesiodistal_mm) {
      ++i;
    }
    const float share = (along - teeth[i].along_mm) / (0.5f * teeth[i].size.mesiodistal_mm);
    const bool has_next = share < 0.0f ? i > 0 : i + 1 < teeth.size();
    const std::size_t next = !has_next ? i : (share < 0.0f ? i - 1 : i + 1);
    const float span =
        0.5f * (teeth[i].size.mesiodistal_mm + teeth[next].size.mesiodistal_mm) + 1e-3f;
    const float to_next =
        has_next ? smooth_step(0.0f, 1.0f, std::abs(along - teeth[i].along_mm) / span) : 0.0f;

    Level level{};
    level.zenith = mix(zenith(i), zenith(next), to_next);
    const float own = zenith(i);
    const float high = has_next ? 0.5f * (papilla(i) + papilla(next)) : own + 1.2f;
    const float rise = 0.5f - 0.5f * std::cos(std::numbers::pi_v<float> *
                                              std::pow(std::min(std::abs(share), 1.0f), 1.6f));
    level.margin = mix(own, high, rise);
    level.centre = mix(neck(i), neck(next), to_next);
    level.core = 0.5f * mix(teeth[i].size.buccolingual_cervix_mm,
                            teeth[next].size.buccolingual_cervix_mm, to_next) -
                 1.1f;
    level.margin -= 0.15f * std::max(std::abs(along) - half_length_, 0.0f);
    levels_.push_back(level);
  }
}

Gingiva::Level Gingiva::level(float along_mm) const {
  const float x = std::clamp((along_mm + half_length_ + kBeyondEnds) / kLevelStep, 0.0f,
                             static_cast<float>(levels_.size()) - 1.001f);
  const auto i = static_cast<std::size_t>(x);
  const float t = x - static_cast<float>(i);
  const Level& a = levels_[i];
  const Level& b = levels_[i + 1];
  return {mix(a.margin, b.margin, t), mix(a.zenith, b.zenith, t), mix(a.centre, b.centre, t),
          mix(a.core, b.core, t)};
}

float Gingiva::margin_mm(float along_mm) const { return level(along_mm).margin; }

Eigen::Vector2f Gingiva::arch_place(const Eigen::Vector3f& p_mm) const {
  const Eigen::Vector2f cell = ((p_mm.head<2>() - map_origin_) / kMapStep)
                                   .cwiseMax(0.0f)
                                   .cwiseMin(static_cast<float>(map_columns_) - 1.001f);
  const auto column = static_cast<std::size_t>(cell.x());
  const auto row = static_cast<std::size_t>(cell.y());
  const float tx = cell.x() - static_cast<float>(column);
  const float ty = cell.y() - static_cast<float>(row);
  const std::size_t i = row * static_cast<std::size_t>(map_columns_) + column;
  const std::size_t j = i + static_cast<std::size_t>(map_columns_);
  return (1.0f - ty) * ((1.0f - tx) * map_[i] + tx * map_[i + 1]) +
         ty * ((1.0f - tx) * map_[j] + tx * map_[j + 1]);
}

float Gingiva::palate(const Eigen::Vector3f& p_mm, float outside_mm) const {
  const float x = p_mm.x();
  const float y = p_mm.y();
  // The vault: deepest between the first molars, rising to the incisors.
  const float behind_incisors = half_depth_ - 3.0f - y;
  const float rise = smooth_step(0.0f, 24.0f, behind_incisors);
  const float half_width =
      6.0f + 15.5f * std::sqrt(std::clamp(behind_incisors / 34.0f, 0.0f, 1.0f));
  const float across = std::min(std::abs(x) / half_width, 1.0f);
  float surface = -8.9f + 1.3f * rise - 10.0f * rise * std::pow(1.0f - across * across, 1.4f);

  const float under_ridge = outside_mm + 2.0f;
  constexpr float kFar = 4.5f;
  if (under_ridge > kFar || std::abs(p_mm.z() - surface) > kFar) {
    return smooth_max(0.8f * (p_mm.z() - surface), under_ridge, 1.5f);
  }

  // Median raphe and incisive papilla.
  surface += 0.22f * bell(x / 0.7f) * smooth_step(6.0f, 12.0f, behind_incisors);
  surface += 1.0f * bell(x / 1.5f) * bell((behind_incisors - 4.2f) / 2.2f);

  // Rugae: crests that leave the raphe and sweep sideways and forwards, unlike left and right.
  const bool left = x > 0.0f;
  const float side = std::abs(x);
  for (int i = 0; i < 4; ++i) {
    const auto key = static_cast<std::uint64_t>(seed_) * 64U + static_cast<std::uint64_t>(i) * 2U +
                     (left ? 1U : 0U);
    const float start = 6.6f + 3.0f * static_cast<float>(i) + 0.6f * hash_signed(key);
    const float reach =
        8.5f + 1.2f * static_cast<float>(i) - 0.9f * static_cast<float>(i * i) * 0.5f;
    const float wave = 0.45f * std::sin(0.9f * side + 2.0f * hash_signed(key + 1000U));
    const float crest = start - 0.035f * side * side + 0.28f * side + wave;
    const float fade =
        smooth_step(0.5f, 2.0f, side) * (1.0f - smooth_step(reach - 3.0f, reach, side));
    surface += 0.6f * fade * bell((behind_incisors - crest) / 0.75f);
  }
  return smooth_max(0.8f * (p_mm.z() - surface), under_ridge, 1.5f);
}

float Gingiva::at(const Eigen::Vector3f& p_mm, float walls_mm) const {
  const Eigen::Vector2f place = arch_place(p_mm);
  const float outside = place.y();
  Level here = level(place.x());
  constexpr float kFarAbove = 4.0f;
  if (p_mm.z() > here.margin + kFarAbove) return p_mm.z() - here.margin;
  const float aside = std::abs(outside - here.centre);
  // A papilla is highest between the teeth and falls towards cheek and tongue.
  here.margin -= 0.5f * std::max(here.margin - here.zenith, 0.0f) *
                 smooth_step(here.core - 1.0f, here.core + 2.6f, aside);
  const bool upper = jaw_ == Jaw::kUpper;

  // Between the teeth and behind them the ridge itself; it ends in a rounded pad.
  const float beyond = std::abs(place.x()) - half_length_;
  const float behind = std::max(beyond - kPadLength + here.core, 0.0f);
  const float core = std::hypot(aside, behind) - here.core;
  const float below = std::max(margin_plane_mm(p_mm.y()) - p_mm.z(), 0.0f);
  const float buccal = smooth_step(-2.0f, 2.0f, outside);
  const float flare = mix(1.2f, 1.6f, buccal);
  const float depth = below / kGingivaHeight;
  const float below_margin = std::max(here.margin - p_mm.z(), 0.0f);
  const float thickness =
      kFreeGumThickness + 0.95f * (1.0f - std::exp(-below_margin / 1.8f)) + flare * depth * depth;
  const float collar = smooth_min(walls_mm, core, 1.6f) - thickness;

  constexpr float kSlopeStep = 0.25f;
  const float slope =
      (level(place.x() + kSlopeStep).margin - level(place.x() - kSlopeStep).margin) /
      (2.0f * kSlopeStep);
  const float under_margin = (p_mm.z() - here.margin) / std::sqrt(1.0f + slope * slope);
  const float rounding = kMarginRounding + 0.8f * std::clamp(beyond, 0.0f, 3.0f);
  float gum = smooth_max(collar, under_margin, rounding);
  float floor = margin_plane_mm(p_mm.y()) - kGingivaHeight;
  if (upper) {
    gum = smooth_min(gum, palate(p_mm, outside), 3.0f);
    floor -= 5.0f * smooth_step(2.0f, 12.0f, -outside) *
             smooth_step(8.0f, 24.0f, half_depth_ - p_mm.y());
  }
  const float posterior = -half_depth_ - kPadLength - 0.5f - p_mm.y();
  const float solid = smooth_max(smooth_max(gum, floor - p_mm.z(), 0.6f), posterior, 1.0f);
  if (std::abs(solid) > 0.6f) return solid;
  // Soft unevenness and the stippling of attached gum.
  const float stipple = smooth_step(0.8f, 2.5f, here.margin - p_mm.z());
  return solid + 0.06f * value_noise(p_mm.x() / 2.6f, p_mm.y() / 2.6f, p_mm.z() / 2.6f, seed_) +
         0.025f * stipple *
             value_noise(p_mm.x() / 0.55f, p_mm.y() / 0.55f, p_mm.z() / 0.55f, seed_ + 1U);
}

}  // namespace cusp::sim
