#include "tools/sim/tooth_shape.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "tools/sim/implicit.h"

namespace cusp::sim {
namespace {

constexpr float kRootLength = 5.0f;
constexpr float kCuspRounding = 0.35f;
constexpr float kRidgeRounding = 0.6f;
constexpr float kOcclusalBlend =
    0.22f;  // where cusps and ridges meet: small, so that fissures stay
constexpr float kRidgeBlend = 0.45f;
constexpr float kShoulderBlend = 1.1f;  // where the top meets the wall
constexpr float kEdgeBlend = 0.5f;

// Catmull-Rom through the five values.
float along(const Profile& profile, float height) {
  const float x = std::clamp(height, 0.0f, 1.0f) * 4.0f;
  const int i = std::min(static_cast<int>(x), 3);
  const float t = x - static_cast<float>(i);
  const auto value = [&](int k) { return profile[static_cast<std::size_t>(std::clamp(k, 0, 4))]; };
  const float p0 = value(i - 1);
  const float p1 = value(i);
  const float p2 = value(i + 1);
  const float p3 = value(i + 2);
  return p1 + 0.5f * t *
                  (p2 - p0 +
                   t * (2.0f * p0 - 5.0f * p1 + 4.0f * p2 - p3 + t * (3.0f * (p1 - p2) + p3 - p0)));
}

struct OnSegment {
  float share;
  float distance_mm;
};

OnSegment on_segment(const Eigen::Vector2f& p, const Eigen::Vector2f& from,
                     const Eigen::Vector2f& to) {
  const Eigen::Vector2f line = to - from;
  const float share = std::clamp((p - from).dot(line) / line.squaredNorm(), 0.0f, 1.0f);
  return {share, (p - from - share * line).norm()};
}

}  // namespace

ToothShape::ToothShape(const ToothForm& form, const ToothSize& size)
    : form_(form), size_(size), half_(0.5f * size.mesiodistal_mm, 0.5f * size.buccolingual_mm) {
  // The neck is as wide as the table says.
  form_.mesial[0] = form_.distal[0] = size.mesiodistal_cervix_mm / size.mesiodistal_mm;
  form_.buccal[0] = form_.lingual[0] = size.buccolingual_cervix_mm / size.buccolingual_mm;
  const auto to_mm = [this](Eigen::Vector2f& place) { place.array() *= half_; };
  for (Cusp& cusp : form_.cusps) to_mm(cusp.at);
  for (Ridge& ridge : form_.ridges) {
    to_mm(ridge.from);
    to_mm(ridge.to);
  }
  for (Groove& groove : form_.grooves) {
    to_mm(groove.from);
    to_mm(groove.to);
  }
}

float ToothShape::wall(const Eigen::Vector3f& p_mm) const {
  const float height = p_mm.z() / size_.crown_height_mm + 1.0f;
  const float root_mm = std::max(0.0f, -height * size_.crown_height_mm);
  const float narrowing = std::max(0.65f, 1.0f - 0.02f * root_mm);
  const float upper = smooth_step(0.1f, 0.7f, height);

  const float y = p_mm.y();
  const float x = p_mm.x() + form_.shear * upper * y;
  const float side_y = std::clamp(y / half_.y(), -1.2f, 1.2f);
  const float side_x = std::clamp(x / half_.x(), -1.2f, 1.2f);
  const float a = narrowing * (1.0f + form_.lingual_taper * std::min(side_y, 0.0f)) * half_.x() *
                  along(x < 0.0f ? form_.mesial : form_.distal, height);
  const float b = narrowing * (1.0f - form_.distal_taper * side_x) * half_.y() *
                  along(y < 0.0f ? form_.lingual : form_.buccal, height);
  const float n = 2.15f + (form_.squareness - 2.15f) * upper;

  // First-order distance: the superellipse's value over its slope.
  const float ax = std::abs(x) + 1e-3f;
  const float ay = std::abs(y) + 1e-3f;
  const float xn = std::pow(ax / a, n);
  const float yn = std::pow(ay / b, n);
  const float sum = xn + yn;
  const float q = std::pow(sum, 1.0f / n);
  const float slope = q / sum * std::hypot(xn / ax, yn / ay);
  const float distance = std::max((q - 1.0f) / slope, -3.0f);
  return distance + (root_mm > 0.0f ? 0.0f : hollows(x, y, height));
}

float ToothShape::hollows(float x_mm, float y_mm, float height) const {
  float sum = 0.0f;
  for (const Hollow& hollow : form_.hollows) {
    const float side = smooth_step(0.0f, 0.3f, (hollow.buccal ? y_mm : -y_mm) / half_.y());
    if (side == 0.0f) continue;
    sum += side * hollow.depth_mm * bell((x_mm - hollow.x * half_.x()) / hollow.width_mm) *
           bell((height - hollow.height) / hollow.tall);
  }
  return sum;
}

float ToothShape::edge_top(float x_mm, float y_mm) const {
  const IncisalEdge& edge = form_.edge;
  const float dx = x_mm - edge.tip_x * half_.x();
  const bool mesial = dx < 0.0f;
  const float share = dx / half_.x();
  constexpr float kTipRounding = 0.45f;
  const float incline = (mesial ? edge.mesial_slope : edge.distal_slope) *
                        (std::sqrt(dx * dx + kTipRounding * kTipRounding) - kTipRounding);
  const float corner =
      (mesial ? edge.mesial_corner_mm : edge.distal_corner_mm) * std::pow(std::abs(share), 6.0f);
  // Faint mamelons: three lobes of the growing edge.
  const float mamelons = 0.04f * (std::cos(share * 8.0f) - 1.0f);
  return -incline - corner + mamelons + edge.bevel * std::min(y_mm - 0.3f, 0.0f);
}

float ToothShape::cusp_top(float x_mm, float y_mm) const {
  const Eigen::Vector2f p(x_mm, y_mm);
  float top = -form_.floor_drop_mm;
  for (const Cusp& cusp : form_.cusps) {
    const Eigen::Vector2f d = p - cusp.at;
    const float r2 = d.squaredNorm() + 1e-6f;
    // Four ridges run down from a cusp, along and across the arch: there it falls less steeply.
    const float c2 = (d.x() * d.x() - d.y() * d.y()) / r2;
    const float cos_four = 2.0f * c2 * c2 - 1.0f;
    const float slope = cusp.slope * (1.0f - 0.22f * cos_four * r2 / (r2 + 0.5f));
    const float cone = slope * (std::sqrt(r2 + kCuspRounding * kCuspRounding) - kCuspRounding);
    top = smooth_max(top, -cusp.drop_mm - cone, kOcclusalBlend);
  }
  for (const Ridge& ridge : form_.ridges) {
    const OnSegment on = on_segment(p, ridge.from, ridge.to);
    const float crest = -ridge.drop_from_mm + (ridge.drop_from_mm - ridge.drop_to_mm) * on.share -
                        4.0f * ridge.sag_mm * on.share * (1.0f - on.share);
    const float fall = ridge.slope * (std::hypot(on.distance_mm, kRidgeRounding) - kRidgeRounding);
    top = smooth_max(top, crest - fall, kRidgeBlend);
  }
  float carved = 0.0f;
  for (const Groove& groove : form_.grooves) {
    const OnSegment on = on_segment(p, groove.from, groove.to);
    const float fade = 1.0f - 0.6f * std::pow(2.0f * on.share - 1.0f, 4.0f);
    carved = std::max(carved, fade * groove.depth_mm * bell(on.distance_mm / groove.width_mm));
  }
  // No cusp is as even as a formula.
  const float uneven = 0.07f * value_noise(1.1f * x_mm, 1.1f * y_mm, 7.3f * half_.x(), 11U);
  return top - carved + uneven;
}

float ToothShape::top_mm(float x_mm, float y_mm) const {
  return form_.cusps.empty() ? edge_top(x_mm, y_mm) : cusp_top(x_mm, y_mm);
}

float ToothShape::crown(const Eigen::Vector3f& p_mm, float wall_mm) const {
  constexpr float kFar = 2.5f;
  if (wall_mm > kFar) return wall_mm;
  const float bottom = -p_mm.z() - size_.crown_height_mm - kRootLength;
  const float side = std::max(wall_mm, bottom);
  if (p_mm.z() < -0.5f * size_.crown_height_mm - kFar) return side;
  const float top = 0.8f * (p_mm.z() - top_mm(p_mm.x(), p_mm.y()));
  return smooth_max(side, top, form_.cusps.empty() ? kEdgeBlend : kShoulderBlend);
}

}  // namespace cusp::sim
