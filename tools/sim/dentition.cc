#include "tools/sim/dentition.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "core/check.h"
#include "tools/sim/implicit.h"

namespace cusp::sim {
namespace {

constexpr float kRadiansPerDegree = std::numbers::pi_v<float> / 180.0f;
constexpr int kSegments = 600;
constexpr float kStraightEnd = 12.0f;

// How a tooth stands: degrees of lean of the crown towards the cheek or lip (torque) and towards
// the midline (tip), mm outwards from the arch curve and mm above the occlusal plane (curve of
// Spee, longer canines, shorter lateral incisors). Typical figures of an untreated normal
// occlusion.
struct Stance {
  float torque_deg;
  float tip_deg;
  float outward_mm;
  float raised_mm;
};

constexpr std::array<Stance, kTeethPerSide> kUpperStance{{{20.0f, 2.0f, 0.0f, 0.0f},
                                                          {18.0f, 4.0f, -0.35f, -0.6f},
                                                          {9.0f, 6.0f, 0.35f, 0.35f},
                                                          {3.0f, 3.0f, 0.0f, 0.1f},
                                                          {2.0f, 2.0f, -0.1f, 0.15f},
                                                          {4.0f, 2.0f, -0.2f, 0.1f},
                                                          {8.0f, 0.0f, -0.2f, -0.5f}}};
constexpr std::array<Stance, kTeethPerSide> kLowerStance{{{12.0f, 0.0f, 0.0f, 0.0f},
                                                          {10.0f, 1.0f, 0.05f, 0.05f},
                                                          {4.0f, 4.0f, 0.35f, 0.5f},
                                                          {-3.0f, 3.0f, 0.2f, -0.2f},
                                                          {-7.0f, 3.0f, 0.0f, -0.55f},
                                                          {-11.0f, 4.0f, 0.1f, -0.65f},
                                                          {-14.0f, 6.0f, 0.1f, -0.2f}}};

float beta_function(float x, float width, float depth) {
  const float inside = (0.5f + x / width) * (0.5f - x / width);
  return 3.0314f * depth * std::pow(std::max(inside, 0.0f), 0.8f);
}

// Points of the curve, denser towards its steep ends.
std::vector<Eigen::Vector2f> beta_points(float width, float depth) {
  std::vector<Eigen::Vector2f> points;
  constexpr int kCount = 4000;
  for (int i = 0; i <= kCount; ++i) {
    const float angle = std::numbers::pi_v<float> * static_cast<float>(i) / kCount;
    const float x = -0.5f * width * std::cos(angle);
    points.emplace_back(x, beta_function(x, width, depth));
  }
  return points;
}

float length_of(const std::vector<Eigen::Vector2f>& points) {
  float sum = 0.0f;
  for (std::size_t i = 1; i < points.size(); ++i) sum += (points[i] - points[i - 1]).norm();
  return sum;
}

Eigen::Matrix3f rotation(float angle, const Eigen::Vector3f& from, const Eigen::Vector3f& to) {
  // Turns `from` towards `to`; both are unit vectors at a right angle.
  return Eigen::Matrix3f::Identity() +
         (std::cos(angle) - 1.0f) * (from * from.transpose() + to * to.transpose()) +
         std::sin(angle) * (to * from.transpose() - from * to.transpose());
}

int fdi_number(Jaw jaw, bool positive_x, int position) {
  const int quadrant = jaw == Jaw::kUpper ? (positive_x ? 2 : 1) : (positive_x ? 4 : 3);
  return quadrant * 10 + position;
}

}  // namespace

const std::array<ToothSize, kTeethPerSide>& tooth_sizes(Jaw jaw) {
  static constexpr std::array<ToothSize, kTeethPerSide> kUpper{{{10.5f, 8.5f, 7.0f, 7.0f, 6.0f},
                                                                {9.0f, 6.5f, 5.0f, 6.0f, 5.0f},
                                                                {10.0f, 7.5f, 5.5f, 8.0f, 7.0f},
                                                                {8.5f, 7.0f, 5.0f, 9.0f, 8.0f},
                                                                {8.5f, 7.0f, 5.0f, 9.0f, 8.0f},
                                                                {7.5f, 10.0f, 8.0f, 11.0f, 10.0f},
                                                                {7.0f, 9.0f, 7.0f, 11.0f, 10.0f}}};
  static constexpr std::array<ToothSize, kTeethPerSide> kLower{{{9.0f, 5.0f, 3.5f, 6.0f, 5.3f},
                                                                {9.5f, 5.5f, 4.0f, 6.5f, 5.8f},
                                                                {11.0f, 7.0f, 5.5f, 7.5f, 7.0f},
                                                                {8.5f, 7.0f, 5.0f, 7.5f, 6.5f},
                                                                {8.0f, 7.0f, 5.0f, 8.0f, 7.0f},
                                                                {7.5f, 11.0f, 9.0f, 10.5f, 9.0f},
                                                                {7.0f, 10.5f, 8.0f, 10.0f, 9.0f}}};
  return jaw == Jaw::kUpper ? kUpper : kLower;
}

ArchCurve::ArchCurve(float width_mm, float length_mm) : length_(length_mm) {
  CUSP_CHECK(width_mm > 0.0f && length_mm > 1.5f * width_mm, "an arch is longer than it is wide");
  float low = 0.0f;
  float high = length_mm;
  for (int i = 0; i < 40; ++i) {
    const float middle = 0.5f * (low + high);
    (length_of(beta_points(width_mm, middle)) < length_mm ? low : high) = middle;
  }
  depth_ = 0.5f * (low + high);

  const std::vector<Eigen::Vector2f> fine = beta_points(width_mm, depth_);
  step_ = length_of(fine) / kSegments;
  points_.push_back(fine.front());
  float walked = 0.0f;
  for (std::size_t i = 1; i < fine.size() && points_.size() < kSegments; ++i) {
    const float piece = (fine[i] - fine[i - 1]).norm();
    while (walked + piece >= step_ * static_cast<float>(points_.size()) &&
           points_.size() < kSegments) {
      const float share = (step_ * static_cast<float>(points_.size()) - walked) / piece;
      points_.push_back(fine[i - 1] + share * (fine[i] - fine[i - 1]));
    }
    walked += piece;
  }
  points_.push_back(fine.back());
  for (Eigen::Vector2f& p : points_) p.y() -= 0.5f * depth_;
}

Eigen::Vector2f ArchCurve::at(float along_mm) const {
  const float x = along_mm / step_ + 0.5f * kSegments;
  const int i = std::clamp(static_cast<int>(std::floor(x)), 0, kSegments - 1);
  const auto from = static_cast<std::size_t>(i);
  return points_[from] + (x - static_cast<float>(i)) * (points_[from + 1] - points_[from]);
}

Eigen::Vector2f ArchCurve::project(const Eigen::Vector2f& p_mm) const {
  float best = std::numeric_limits<float>::max();
  Eigen::Vector2f found = Eigen::Vector2f::Zero();
  for (int i = 0; i < kSegments; ++i) {
    const Eigen::Vector2f& from = points_[static_cast<std::size_t>(i)];
    const Eigen::Vector2f piece = points_[static_cast<std::size_t>(i) + 1] - from;
    const float low = i == 0 ? -kStraightEnd / step_ : 0.0f;
    const float high = i == kSegments - 1 ? 1.0f + kStraightEnd / step_ : 1.0f;
    const float share = std::clamp((p_mm - from).dot(piece) / piece.squaredNorm(), low, high);
    const Eigen::Vector2f apart = p_mm - from - share * piece;
    const float distance = apart.norm();
    if (distance >= best) continue;
    best = distance;
    // The curve runs from -x over the incisors to +x: the outside is on its left.
    const bool outside = piece.x() * apart.y() - piece.y() * apart.x() > 0.0f;
    found = {(static_cast<float>(i) + share - 0.5f * kSegments) * step_,
             outside ? distance : -distance};
  }
  return found;
}

ArchCurve arch_curve(Jaw jaw) {
  float length = 0.0f;
  for (const ToothSize& size : tooth_sizes(jaw)) length += 2.0f * size.mesiodistal_mm;
  return {jaw == Jaw::kUpper ? 58.0f : 54.0f, length};
}

std::vector<PlacedTooth> place_teeth(Jaw jaw, const ArchCurve& curve, std::uint32_t seed) {
  std::vector<PlacedTooth> teeth;
  const auto& stances = jaw == Jaw::kUpper ? kUpperStance : kLowerStance;
  float contact = -0.5f * curve.length_mm();
  for (int i = 0; i < kTeethPerJaw; ++i) {
    const bool positive_x = i >= kTeethPerSide;
    const int position = positive_x ? i - kTeethPerSide + 1 : kTeethPerSide - i;
    const auto row = static_cast<std::size_t>(position - 1);
    const Stance& stance = stances[row];
    PlacedTooth tooth{};
    tooth.fdi = fdi_number(jaw, positive_x, position);
    tooth.position = position;
    tooth.size = tooth_sizes(jaw)[row];
    tooth.along_mm = contact + 0.5f * tooth.size.mesiodistal_mm;

    const Eigen::Vector2f from = curve.at(contact);
    contact += tooth.size.mesiodistal_mm;
    const Eigen::Vector2f to = curve.at(contact);
    const Eigen::Vector2f chord = (positive_x ? 1.0f : -1.0f) * (to - from).normalized();
    const Eigen::Vector3f distal(chord.x(), chord.y(), 0.0f);
    const Eigen::Vector3f buccal =
        Eigen::Vector3f(-chord.y(), chord.x(), 0.0f) * (positive_x ? 1.0f : -1.0f);
    const Eigen::Vector3f up = Eigen::Vector3f::UnitZ();

    auto vary = [&, draw = std::uint64_t{0}](float amplitude) mutable {
      const auto key = (static_cast<std::uint64_t>(seed) << 32U) +
                       (static_cast<std::uint64_t>(tooth.fdi) << 8U) + draw++;
      return amplitude * hash_signed(key);
    };
    const float torque = (stance.torque_deg + vary(2.0f)) * kRadiansPerDegree;
    const float tip = (stance.tip_deg + vary(1.5f)) * kRadiansPerDegree;
    const float turn = vary(3.0f) * kRadiansPerDegree;
    Eigen::Matrix3f axes;
    axes << distal, buccal, up;
    tooth.axes = rotation(tip, up, -distal) * rotation(torque, up, buccal) *
                 rotation(turn, distal, buccal) * axes;

    // The lean turns about the height of the contacts, so the teeth keep touching.
    const Eigen::Vector2f middle = 0.5f * (from + to);
    const float outward = stance.outward_mm + vary(0.15f);
    const float contact_depth = 0.3f * tooth.size.crown_height_mm;
    const Eigen::Vector3f pivot =
        Eigen::Vector3f(middle.x(), middle.y(), stance.raised_mm + vary(0.12f) - contact_depth) +
        outward * buccal;
    tooth.origin_mm = pivot + contact_depth * tooth.axes.col(2);
    teeth.push_back(tooth);
  }
  return teeth;
}

}  // namespace cusp::sim
