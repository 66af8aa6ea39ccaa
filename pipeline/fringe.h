// FringeDecoder: depth from the pictures of a projected phase-shift sequence.
//
// A pixel's brightness under fringe k is A + B cos(theta - phase_k); A, B and theta follow from
// three or more pictures of one pitch by least squares (S. Zuo et al., "Phase shifting algorithms
// for fringe projection profilometry: A review", Optics and Lasers in Engineering 109, 2018,
// doi:10.1016/j.optlaseng.2018.04.019). theta fixes the projector's column up to whole fringes.
// Which fringe it is follows from the working range, when only one fits there (Y. An, J.-S. Hyun,
// S. Zhang, "Pixel-wise absolute phase unwrapping using geometric constraints of structured light
// system", Optics Express 24(16), 2016, doi:10.1364/OE.24.018445), otherwise from the next coarser
// pitch. The column and the camera's ray meet in the point; noise of the phase, from the pictures'
// brightness and modulation, becomes the point's standard deviation. Both lenses' distortion
// (core/calibration.h) is taken out, and where there are two pitches a lamp's flicker and light
// that is not linear (pipeline/fringe_ripple.h): the depth image is a pinhole's with
// Calibration::depth. It is first decoded as if the sensor had stood still, which is enough to tell
// how it moved, and then with that motion taken out (pipeline/fringe_flow.h): the depth image shows
// the moment in the middle of the finest pitch's pictures. Not measured (0): too little modulation,
// a saturated picture, a fringe that can't be told, a column that none of the range is lit by. A
// surface beyond the range whose column differs by whole fringes of the coarsest pitch from one
// within is measured as that one: the coarsest pitch, or the fall of the light, must rule that out.
// Threads: one at a time; it uses the pool. Errors: kInvalidArgument: a calibration that can't be
// used or looked up (pipeline/fringe_tables.h), a picture that does not fit it.
#pragma once

#include <cstdint>
#include <memory>

#include "core/calibration.h"
#include "core/frame.h"
#include "core/pose.h"
#include "core/result.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct FringeLimits {
  double min_depth_mm = 0;
  double max_depth_mm = 0;
  double min_modulation = 6;  // B, in counts of 255
  int saturated_from = 254;   // counts
  // Of the camera, for each pixel's standard deviation: variance = read_noise^2 + shot_noise *
  // brightness, in counts (EMVA 1288, release 4.0, section 2.4). Chosen for a small 8-bit imager of
  // 10,000 electrons a pixel.
  double read_noise = 1;
  double shot_noise = 0.0255;
};

class FringeDecoder {
 public:
  // The calibration's own working range narrows the limits.
  static Result<FringeDecoder> create(const Calibration& calibration, const FringeLimits& limits);
  ~FringeDecoder();
  FringeDecoder(FringeDecoder&&) noexcept;
  FringeDecoder& operator=(FringeDecoder&&) noexcept;

  // The depth frame once a sequence is whole, with the sequence's number and its last picture's
  // time; null before. It may be changed, and stands until the next call, which uses its memory
  // again. A colour picture waits for follow().
  Result<DepthFrame*> add(RawFrame frame, WorkerPool& pool);
  // The frame that add() gave last again, now that the sensor's motion from the frame that it gave
  // before to this one is known, and in the colours of the picture that was taken in between, if
  // one was, registered by that motion (align_colour.h). Null, and the frame is as it was, when
  // there is none before, or the pictures' times make no sense: the device's clock tells them, or
  // else their numbers.
  DepthFrame* follow(const RigidTransform& before_from_now, WorkerPool& pool);
  // Sequences of which a picture did not come.
  [[nodiscard]] std::uint64_t incomplete() const;

 private:
  struct State;
  explicit FringeDecoder(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cusp
