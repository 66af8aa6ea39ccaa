// The arithmetic of FringeDecoder on one row of camera pixels, eight at a time where the processor
// has AVX2. The same bits on every x86-64: no contraction, no order that depends on the width.
//
// Threads: a pure function of its rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/calibration.h"

namespace cusp {

// The pictures of one pitch, and how their brightness adds up to B cos(theta) and B sin(theta).
struct FringePitch {
  float pitch_px = 0;
  std::vector<std::size_t> pictures{};  // of the sequence
  std::vector<float> cosine{}, sine{};  // one weight a picture
  float phase_noise = 0;  // rad of phase noise, times B, for one count of noise in the pictures
};

// What is known of camera pixels before any picture comes, one array a quantity. A ray is (a, b, c)
// at a depth of 1, in the projector's frame but from the camera's centre.
struct FringeRays {
  std::vector<float> a, b, c;
  // Where on the projector the ends of the working range fall; min > max: no such place.
  std::vector<float> column_min, column_max;
};

struct FringeGeometry {
  float tx = 0, ty = 0, tz = 0;  // the camera's centre in the projector's frame, mm
  float fx_px = 0, cx_px = 0;    // of the projector
  bool bends = false;            // the projector's lens does
  LensDistortion lens;
  float min_depth_mm = 0, max_depth_mm = 0;
  float min_modulation = 0;  // counts
  float saturated_from = 0;
  float read_noise = 0;  // counts
  float shot_noise = 0;  // counts squared a count of brightness
};

// A decoder of rows: `pictures` are those of all pictures; `first` is the row's first pixel in
// `rays`. Writes a depth and its standard deviation a pixel, both 0 where nothing is measured.
using FringeRowDecoder = void (*)(const std::vector<FringePitch>& pitches,
                                  const std::uint8_t* const* pictures, const FringeRays& rays,
                                  std::size_t first, std::size_t width,
                                  const FringeGeometry& geometry, float* depth_mm, float* sigma_mm);
// This processor's, and the one that every processor has.
FringeRowDecoder fringe_row_decoder();
FringeRowDecoder baseline_fringe_row_decoder();

}  // namespace cusp
