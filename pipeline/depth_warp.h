// DepthWarp: what a device's calibration leaves wrong with its depth: a smooth surface over the
// image.
//
//     true depth = measured depth + w(x, y)
//
// w is a sum of products of Legendre polynomials, P_i(s) P_j(t), 1 <= i + j <= 6, over the image
// s, t in -1..1, each scaled to a mean square of 1 over the image: coefficients are micrometres of
// rms and the warp's rms is their norm. What frames of a scene can't tell from something else:
//   - a term linear in depth is a change of scale: all frames agree with it. It is not in the
//   basis;
//   - nor is the constant, which at one distance is the same change of scale. Only the relief
//   within
//     a view could tell the two apart, so weakly that small errors of another kind (a warp that
//     grows with depth) would turn into scale: 4 um at 17 mm are 12 um from molar to molar. Scale
//     is what a calibration against a plate fixes best, and the warp leaves it as that says;
//   - terms linear in x and y are nearly a turn of the sensor's own frame, which moves nothing in
//     the model. What is more than a turn, a stretch along the surface, can be seen and counts.
// Why it is estimated at all: frames that are all bent the same way close up into an arch that is
// bent, without any pair of neighbours disagreeing. A. Teichman, S. Miller, S. Thrun, "Unsupervised
// intrinsic calibration of depth sensors via SLAM", RSS 2013, doi:10.15607/RSS.2013.IX.027, learn
// such a field from scans alone; Q.-Y. Zhou, V. Koltun, "Simultaneous localization and calibration:
// self-calibration of consumer depth cameras", CVPR 2014, doi:10.1109/CVPR.2014.65, together with
// the poses, as adjust.h does.
//
// Sensor frame, mm; coefficients in um. Threads: value.
#pragma once

#include <array>

#include "core/frame.h"

namespace cusp {

class DepthWarp {
 public:
  static constexpr int kDegree = 6;
  static constexpr int kTerms = (kDegree + 1) * (kDegree + 2) / 2 - 1;
  using Terms = std::array<double, kTerms>;

  DepthWarp() = default;  // none
  DepthWarp(int width_px, int height_px, const Terms& coefficients_um);

  // The terms' values at a pixel, by degree, then by the power of y.
  [[nodiscard]] static Terms terms_at(double x_px, double y_px, int width_px, int height_px);

  // What is to be added to the depth at a pixel, mm.
  [[nodiscard]] double at(double x_px, double y_px) const;
  [[nodiscard]] bool is_none() const { return width_px_ == 0; }
  // Was it estimated for images of this size? None fits all.
  [[nodiscard]] bool fits(const Intrinsics& image) const {
    return is_none() || (image.width_px == width_px_ && image.height_px == height_px_);
  }
  // Corrects every measured depth of a frame that it fits (CUSP_CHECK).
  void apply(DepthFrame& frame) const;

  [[nodiscard]] int width_px() const { return width_px_; }
  [[nodiscard]] int height_px() const { return height_px_; }
  [[nodiscard]] const Terms& coefficients_um() const { return coefficients_um_; }
  // Over the image: how far the device is out of calibration.
  [[nodiscard]] double rms_um() const;
  [[nodiscard]] double max_um() const;

 private:
  int width_px_ = 0;
  int height_px_ = 0;
  Terms coefficients_um_{};
};

}  // namespace cusp
