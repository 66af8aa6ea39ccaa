// DepthNoise: what a close-range depth scanner adds to ideal depth; the noise of the arch scenes.
//
//  - white noise and noise shared by neighbours, sigma (z / reference)^2 / cos(incidence) together;
//  - a warp: a smooth error of depth that is fixed to the camera, as of a calibration that has
//  aged.
//    Its shape is a sum of products of cosines of incommensurate frequencies, so that no polynomial
//    or spline of low order holds it, with its mean taken out; the option is its largest value;
//  - beside a depth jump pixels are lost or smeared between both depths;
//  - single pixels lost, single pixels far off, nothing at grazing incidence.
// Not modelled: translucency, saliva, motion within a frame (the fringe scenes have those). mm.
// Deterministic: a frame depends on the seed and its index alone.
// Threads: one thread at a time an object (it keeps its scratch memory).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tools/sim/depth_renderer.h"

namespace cusp::bench {

struct DepthNoiseOptions {
  double sigma_mm = 0.010;  // at the reference depth, head-on
  double reference_mm = 15;
  double shared_share = 0.5;  // of the variance
  int shared_px = 5;          // width of the window that shares it, odd
  double warp_mm = 0.004;
  double edge_gap_mm = 0.3;  // a step of this much between neighbours is a jump
  double edge_lost_share = 0.5;
  double lost_share = 0.003;
  double outlier_share = 0.0005;
  double outlier_mm = 0.4;
  double grazing_deg = 77;
  double depth_unit_mm = 0.001;
  std::uint64_t seed = 1;
};

// Every option and its value, for the name of what was made with them.
std::string to_text(const DepthNoiseOptions& options);

class DepthNoise {
 public:
  DepthNoise(const DepthNoiseOptions& options, const Intrinsics& intrinsics);

  // Of a pixel, row by row.
  [[nodiscard]] const std::vector<float>& warp_mm() const { return warp_mm_; }
  // The image must be of the intrinsics given above; one count of depth_unit_mm a pixel.
  void measure(const sim::DepthImage& ideal, std::uint64_t frame, std::span<std::uint16_t> z16);

 private:
  void draw(std::uint64_t frame);

  DepthNoiseOptions options_;
  Intrinsics intrinsics_;
  std::vector<float> warp_mm_;
  std::vector<float> padded_, rows_, noise_;  // noise_: of unit variance
};

}  // namespace cusp::bench
