// StereoNoise: turns ideal depth into what an active or passive stereo camera would report.
//
// Depth noise: sigma_z = z^2 * sigma_disparity / (f * baseline), the first order error of
// triangulation (L. Keselman et al., "Intel RealSense Stereoscopic Depth Cameras", CVPRW 2017,
// doi:10.1109/CVPRW.2017.167). It grows with the incidence angle theta by the factor
// 1 + gain * theta^2 / (pi/2 - theta)^2, the shape that C. Nguyen, S. Izadi, D. Lovell measured
// ("Modeling Kinect Sensor Noise for Improved 3D Reconstruction and Tracking", 3DIMPVT 2012,
// doi:10.1109/3DIMPVT.2012.84, Eq. (4)); gain 0.05 is the ratio of their two terms at 1 m.
// Neighbours within a matching window share most of their evidence, so the noise is white noise
// averaged over the window and scaled back to sigma.
// Lost or wrong pixels: nearer than baseline * f / largest disparity; grazing incidence; the strip
// and the shadows that the right imager can't see; and, within half a window of a depth
// discontinuity (the lateral uncertainty), pixels removed or smeared between both depths
// ("flying"). sigma_disparity: A. Grunnet-Jepsen, J. Sweetser, J. Woodfill ("Tuning depth cameras
// for best performance", Intel) expect below 0.1 px, approaching 0.05, on a textured target; 0.08
// lies between.
// Hair: a window's match lies on one strand or on another, and dark hair gives none. That depth
// cameras see it so is well known (Y. Ma et al., "Hair Segmentation on Time-of-Flight RGBD Images",
// arXiv 1903.02775, 2019; reports of users to makers of such cameras); how much of it is chosen,
// less than they show. Not modelled: bias of bare or translucent enamel, warp of a bad calibration,
// motion blur, exposure.
//
// Millimetres. Deterministic: a frame depends on the seed and its index, never on what came before.
// Threads: one thread at a time an object (it keeps its scratch memory).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/frame.h"
#include "tools/sim/depth_renderer.h"

namespace cusp::sim {

// The value that switches an effect off stands beside it.
struct StereoNoiseOptions {
  double baseline_mm = 18.0;         // D405
  double disparity_sigma_px = 0.08;  // off: 0
  int largest_disparity_px = 126;    // D400 ASIC; gives the least depth of each resolution
  int window_px = 5;                 // odd
  double incidence_gain = 0.05;      // off: 0
  double grazing_from_deg = 70.0;    // from here pixels are lost,
  double grazing_to_deg = 82.0;      // beyond here all of them; off: 90 and 91
  double edge_gap_mm = 2.0;       // a step in depth of this much is a discontinuity; off: infinity
  double edge_lost_share = 0.75;  // of the pixels near one; the rest is smeared
  bool stereo_shadow = true;      // what the right imager does not see is lost
  std::uint32_t first_hairy = kNoTriangle;  // triangles from here on are hair
  double hair_sigma_mm = 1.0;               // of a match among strands
  double hair_lost_share = 0.25;
  double depth_unit_mm = 0.1;  // D405
  std::uint64_t seed = 1;
};

// A D405's rectified depth stream: 84 degrees horizontally (Intel's data sheet), square pixels.
Intrinsics d405_intrinsics(int width_px, int height_px);

class StereoNoise {
 public:
  StereoNoise(const StereoNoiseOptions& options, const Intrinsics& intrinsics);

  // Standard deviation of the depth at normal incidence, before quantisation.
  [[nodiscard]] double sigma_mm(double depth_mm) const;
  // Nearer than this nothing is measured.
  [[nodiscard]] double least_depth_mm() const;

  // The image's intrinsics must be those given above; z16 has one count of depth_unit_mm a pixel.
  void measure(const DepthImage& ideal, std::uint64_t frame, std::span<std::uint16_t> z16);

 private:
  void draw_correlated(std::uint64_t frame);
  void mark_unseen_by_right_imager(const float* depth_row);

  StereoNoiseOptions options_;
  Intrinsics intrinsics_;
  std::vector<float> incidence_factor_;  // by cosine, kCosineSteps + 1 entries
  std::vector<float> grazing_loss_;      // probability, likewise
  std::vector<float> white_, rows_, noise_;
  std::vector<std::uint8_t> unseen_;
};

// Quantises ideal depth and nothing else.
void quantise(const DepthImage& ideal, double depth_unit_mm, std::span<std::uint16_t> z16);

}  // namespace cusp::sim
