// Optics of the simulated wand: a camera and a projector side by side at its tip, their axes
// crossing in the middle of the working range.
//
// A design of ours, near what the literature says of intraoral heads: the camera sees 16 x 12 mm
// at 15 mm (640 x 480, f = 600 px); the projector stands 5.5 mm beside it, 20 degrees of
// triangulation; working range 10 to 20 mm. The three steps and the two-frequency sequence with a
// cue are those of S. Zhang, "Absolute phase retrieval methods for digital fringe projection
// profilometry: a review", Optics and Lasers in Engineering 107 (2018),
// doi:10.1016/j.optlaseng.2018.03.003: the coarse pitch is longer than the way a point's column
// goes over the working range, so depth is never ambiguous inside it. Threads: values.
#pragma once

#include "core/calibration.h"

namespace cusp::sim {

enum class FringeSequence {
  kThreeStep,   // three pictures of the coarse pitch
  kTwoByThree,  // three of a fine pitch, then three of the coarse one
};

struct WandOptics {
  int width_px = 640, height_px = 480;
  double focal_px = 600;  // at 640 pixels' width; it follows the width
  double baseline_mm = 5.5;
  double crossing_mm = 15;  // depth at which both axes meet
  int projector_width_px = 912, projector_height_px = 608;
  double projector_focal_px = 620;
  bool distortion = true;  // of both lenses, a per cent at the corners
  FringeSequence sequence = FringeSequence::kTwoByThree;
  double fine_pitch_px = 24;     // 0.58 mm on a surface at 15 mm
  double coarse_pitch_px = 240;  // ten fine ones
  double min_depth_mm = 10, max_depth_mm = 20;
};

// As the device would answer: id, date, camera, projector, patterns.
Calibration wand_calibration(const WandOptics& optics = {});

}  // namespace cusp::sim
