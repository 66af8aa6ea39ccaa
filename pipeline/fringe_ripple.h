// FringeRipple: what bends a pitch's waves the same way all over the picture, told from the waves
// of another pitch.
//
// A lamp that flickers between two pictures adds an offset to each; the phase then errs with the
// fringes' own period, by the offset over the modulation. A projector or imager that is not linear
// makes harmonics; of N even steps the phase errs with N times the fringes' frequency (S. Zhang, P.
// Huang, "Phase error compensation for a 3-D shape measurement system based on the phase-shifting
// method", Optical Engineering 46(6), 2007, doi:10.1117/1.2746814; P. Zhou et al., "Phase error
// analysis and compensation considering ambient light for phase measuring profilometry", Optics and
// Lasers in Engineering 55, 2014, doi:10.1016/j.optlaseng.2013.10.027). Both measure a target for
// it beforehand. Here every sequence tells: two pitches see one surface, so the difference of their
// columns is none of the surface's, and each pitch's errors go with its own phase. A few thousand
// pixels give offsets and harmonic by least squares, robustly (weights of S. Geman and D.
// McClure, 1985), with priors so that a picture that tells nothing changes nothing. An offset is
// taken to be one over the picture. One pitch alone has no ruler and stays as it is.
//
// The harmonic is the device's own and is averaged over sequences; offsets are new each time.
// Threads: one at a time; no random, fixed order of sums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "pipeline/fringe_kernel.h"

namespace cusp {

class FringeRipple {
 public:
  // Of a whole sequence.
  struct Pictures {
    const std::uint8_t* first = nullptr;  // picture 0, row 0
    std::size_t row_stride = 0;           // bytes from row to row of a picture
    std::size_t picture_stride = 0;       // from picture to picture of a row
    std::size_t width = 0, height = 0;
  };
  // Sets `bend` of every pitch; they stand from the coarsest to the finest.
  void find(const Pictures& pictures, const std::vector<FringeRays>& rays, const FringeGates& gates,
            std::vector<FringePitch>& pitches);

 private:
  // A pixel under one pitch.
  struct Wave {
    float cosine = 0, sine = 0;  // of the phase
    float per_modulation = 0;    // 1 / B, counts
    float sine_n = 0;            // of the harmonic
    float column_px = 0;
    float sigma_px = 0;
  };
  void look(const Pictures& pictures, const std::vector<FringeRays>& rays, const FringeGates& gates,
            const std::vector<FringePitch>& pitches);

  std::vector<Wave> waves_;        // pitch after pitch of a pixel
  std::vector<double> harmonics_;  // by pitch, rad
  std::uint32_t sequences_ = 0;
};

}  // namespace cusp
