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
// Threads: one at a time; it uses the pool. No random, fixed order of sums.
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pipeline/fringe_kernel.h"
#include "pipeline/worker_pool.h"

namespace cusp {

class FringeRipple {
 public:
  // Of a whole sequence.
  struct Pictures {
    std::vector<const std::uint8_t*> of_pattern{};
    std::size_t width = 0, height = 0;
  };
  // Sets `bend` of every pitch; they stand from the coarsest to the finest.
  void find(const Pictures& pictures, const std::vector<FringeRays>& rays, const FringeGates& gates,
            std::vector<FringePitch>& pitches, WorkerPool& pool);

 private:
  // Some waves' difference, as a linear function of what is unknown.
  static constexpr int kUnknowns = 9, kTogether = 64;
  struct Waves {
    Eigen::Matrix<float, kTogether, kUnknowns> rows =
        Eigen::Matrix<float, kTogether, kUnknowns>::Zero();
    Eigen::Array<float, kTogether, 1> apart_px = Eigen::Array<float, kTogether, 1>::Zero();
    Eigen::Array<float, kTogether, 1> per_variance = Eigen::Array<float, kTogether, 1>::Zero();
  };
  using Unknowns = Eigen::Matrix<double, kUnknowns, 1>;

  // How many pixels it found.
  std::size_t look(const Pictures& pictures, const std::vector<FringeRays>& rays,
                   const FringeGates& gates, const std::vector<FringePitch>& pitches,
                   WorkerPool& pool);
  // Of the pitches r - 1 and r.
  void compare(std::size_t r, const std::vector<FringePitch>& pitches);
  [[nodiscard]] Unknowns solve(const Unknowns& prior, float fine_pitch_px, WorkerPool& pool) const;

  const FringeKernel kernel_ = fringe_kernel();
  std::vector<std::vector<FringeWaves>> rows_;  // pitch after pitch of an eight
  std::vector<const FringeWaves*> seen_;        // all of theirs
  std::vector<Waves> waves_;                    // of two pitches
  std::vector<double> harmonics_;               // by pitch, rad
  std::uint32_t sequences_ = 0;
};

}  // namespace cusp
