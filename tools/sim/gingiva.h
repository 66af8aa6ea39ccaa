// The gum of the built-in scene as an implicit surface: a collar that clings to the teeth and ends
// in a scalloped margin with a papilla between every two teeth, the alveolar ridge below it, and in
// the upper jaw the palate with its rugae. Frame and units: the scene's (dentition.h), mm. Threads:
// immutable once made.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "tools/sim/dentition.h"

namespace cusp::sim {

// From the gum's margin at a tooth's middle down to where the scene ends.
inline constexpr float kGingivaHeight = 8.0f;

class Gingiva {
 public:
  Gingiva(Jaw jaw, const ArchCurve& curve, const std::vector<PlacedTooth>& teeth,
          std::uint32_t seed);

  // walls_mm: the smooth union of the teeth's walls at the same point.
  [[nodiscard]] float at(const Eigen::Vector3f& p_mm, float walls_mm) const;

  // Height of the margin at a place along the arch curve.
  [[nodiscard]] float margin_mm(float along_mm) const;

 private:
  struct Level {
    float margin;  // z of the scalloped margin
    float zenith;  // z of its low points
    float centre;  // of the teeth's necks, outwards from the arch curve
    float core;    // half width of the ridge between the teeth
  };

  [[nodiscard]] Level level(float along_mm) const;
  [[nodiscard]] float margin_plane_mm(float y_mm) const { return plane_.x() + plane_.y() * y_mm; }
  [[nodiscard]] Eigen::Vector2f arch_place(const Eigen::Vector3f& p_mm) const;
  [[nodiscard]] float palate(const Eigen::Vector3f& p_mm, float outside_mm) const;

  Jaw jaw_;
  std::uint32_t seed_;
  float half_length_;
  float half_depth_;
  Eigen::Vector2f
      plane_;  // z of the margin's low points on average: at y = 0, and a mm further forward
  Eigen::Vector2f map_origin_;
  int map_columns_ = 0;
  std::vector<Eigen::Vector2f> map_;  // the arch curve's projection on a raster
  std::vector<Level> levels_;
};

}  // namespace cusp::sim
