// Shading: from what a camera sees (FringeView) to the light that comes back from it, in whites
// (fringe_effects.h), before the camera's own lens and imager.
//
// FringeShading holds what belongs to one view and is the same for all its pictures; fringe() and
// colour() then make one. Threads: one thread at a time an object.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "tools/sim/fringe_effects.h"
#include "tools/sim/fringe_pattern.h"
#include "tools/sim/fringe_view.h"

namespace cusp::sim {

class FringeShading {
 public:
  // Of the camera's light, its effects: speculars, translucency, vignetting, the projector's depth
  // of field.
  FringeShading(const FringeCamera& camera, const FringeEffects& effects);

  // Called for each new view, before its pictures.
  void prepare(const FringeView& view);
  void fringe(const FringeView& view, const FringePattern& pattern, std::span<float> light);
  // Red, green, blue, under the wand's two white LEDs, which cast no shadows here.
  void colour(const FringeView& view, std::array<std::span<float>, 3> light) const;

 private:
  // How fast a fringe passes over a translucent surface: columns a mm along the surface, columns a
  // mm of the refracted beam, and that beam's cosine to the normal.
  struct Slope {
    float surface_px_mm = 0, beam_px_mm = 0, cosine = 1;
  };
  [[nodiscard]] Slope slope_at(const FringeView& view, std::size_t pixel) const;
  [[nodiscard]] float gloss_at(const FringeView& view, std::size_t pixel,
                               const Eigen::Vector3f& light_mm) const;

  const FringeCamera& camera_;
  const FringeEffects& effects_;
  Eigen::Matrix3f projector_rotation_;
  Eigen::Vector3f projector_translation_;
  float projector_focal_px_;
  std::vector<float> fall_off_;  // of the camera; empty: none
  // Of the view's pixels; empty: the effect is off.
  std::vector<float> lit_;         // irradiance with the projector's vignetting
  std::vector<float> gloss_;       // mirror light, for each unit of irradiance
  std::vector<float> defocus_px_;  // sigma of the projector's circle of confusion
  std::vector<Slope> slope_;
};

}  // namespace cusp::sim
