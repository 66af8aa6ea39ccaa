// The dentition of the built-in scene: the mean size of every tooth and its place on the arch.
//
// Sizes: M. M. Ash, S. J. Nelson, "Wheeler's Dental Anatomy, Physiology and Occlusion", 8th ed.,
// Saunders 2003, table 1-1. Arch form: S. Braun, W. P. Hnat, D. E. Fender, H. L. Legan, "The form
// of the human dental arch", Angle Orthodontist 68(1), 1998, 29-36: the beta function
//     y = 3.0314 depth (1/2 + x/width)^0.8 (1/2 - x/width)^0.8,
// here of the contact points; its width is given and its depth is the one at which the fourteen
// teeth, each touching the next, just fill the curve.
//
// Frame (mm): z up out of the occlusal plane towards the scanner, for both jaws; y anterior;
// x to the patient's left in the upper jaw and to the patient's right in the lower, as the frame is
// right-handed and the upper jaw is seen from below. Origin: on the midline, midway between the
// incisors and the last molars; the occlusal plane lies near z = 0. Threads: values.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace cusp::sim {

enum class Jaw { kUpper, kLower };

inline constexpr int kTeethPerSide = 7;  // no third molars
inline constexpr int kTeethPerJaw = 2 * kTeethPerSide;

struct ToothSize {
  float crown_height_mm;
  float mesiodistal_mm;
  float mesiodistal_cervix_mm;
  float buccolingual_mm;
  float buccolingual_cervix_mm;
};

// From the central incisor to the second molar.
const std::array<ToothSize, kTeethPerSide>& tooth_sizes(Jaw jaw);

// The beta function by arc length: 0 at the midline, positive towards +x. Beyond its ends it runs
// on straight, so that the gum behind the last molar has a place on it.
class ArchCurve {
 public:
  ArchCurve(float width_mm, float length_mm);

  [[nodiscard]] float length_mm() const { return length_; }
  [[nodiscard]] float depth_mm() const { return depth_; }
  [[nodiscard]] Eigen::Vector2f at(float along_mm) const;

  // {distance along the curve, distance from it: positive outside} of the nearest point.
  [[nodiscard]] Eigen::Vector2f project(const Eigen::Vector2f& p_mm) const;

 private:
  float length_;
  float depth_;
  float step_;
  std::vector<Eigen::Vector2f> points_;
};

ArchCurve arch_curve(Jaw jaw);

// A tooth's own frame: origin at its cusp tips or incisal edge, axes {distal, buccal, occlusal}.
struct PlacedTooth {
  int fdi;
  int position;  // 1 central incisor ... 7 second molar
  ToothSize size;
  float along_mm;  // its centre on the arch curve
  Eigen::Vector3f origin_mm;
  Eigen::Matrix3f axes;  // columns; left-handed on one side of the jaw, as teeth are mirrored

  [[nodiscard]] Eigen::Vector3f local_from_model(const Eigen::Vector3f& p_mm) const {
    return axes.transpose() * (p_mm - origin_mm);
  }
  // The same with the root standing upright below the cervix, however much the crown leans: the
  // bone, and with it the gum, follows the arch.
  [[nodiscard]] Eigen::Vector3f upright_from_model(const Eigen::Vector3f& p_mm) const {
    Eigen::Vector3f local = local_from_model(p_mm);
    const float depth = std::max(-size.crown_height_mm - local.z(), 0.0f);
    const float below = depth * depth / (depth + 2.0f);
    local.head<2>() += below / axes(2, 2) * axes.row(2).head<2>().transpose();
    return local;
  }
  [[nodiscard]] Eigen::Vector3f model_from_local(const Eigen::Vector3f& p_mm) const {
    return origin_mm + axes * p_mm;
  }
};

// From the last molar at -x to the last molar at +x. The seed gives each tooth its small
// rotation, lean and height.
std::vector<PlacedTooth> place_teeth(Jaw jaw, const ArchCurve& curve, std::uint32_t seed);

}  // namespace cusp::sim
