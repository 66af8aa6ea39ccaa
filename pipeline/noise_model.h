// NoiseModel: how far a depth value may be off; every gate of the pipeline is a multiple of this or
// of the voxel.
//
// Triangulation: sigma_z = (z^2 / (f * baseline)) * sigma_disparity (Khoshelham and Elberink,
// "Accuracy and resolution of Kinect depth data", Sensors 2012, doi:10.3390/s120201437).
// kDisparitySigmaPx is chosen, not measured on a device: it gives 0.07 mm at 80 mm for f = 471 px
// and a baseline of 18 mm. Under fringes the disparity is the projector's column, and its sigma is
// the phase's (pipeline/fringe.h) at a modulation and a noise of the pictures as wet enamel has
// them. A device
// without a baseline is taken to be as noisy as a quarter of the voxel at the middle of its range:
// whoever set the voxel knew the device. A depth frame that tells of each pixel how far it may be
// off (DepthFrame::sigma_mm) is believed; the model then only says what is usual at mid range.
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/calibration.h"
#include "pipeline/reconstruction.h"

namespace cusp {

inline constexpr double kDisparitySigmaPx = 0.09;
// Voxels of so many pixels, a side, at mid range and where the range ends, are much larger than
// pixels.
inline constexpr double kBinnedVoxelPx = 1.4, kBinnedFarVoxelPx = 0.9;
inline constexpr double kUsualModulation = 25, kUsualNoise = 1.7;  // counts of 255

class NoiseModel {
 public:
  NoiseModel(const ReconstructionOptions& options, const Calibration& calibration) {
    const double near_mm = std::max(options.min_depth_mm, 0.1 * options.max_depth_mm);
    const double middle_mm = std::sqrt(near_mm * options.max_depth_mm);
    const double sigma_mm =
        calibration.baseline_mm > 0
            ? middle_mm * middle_mm * disparity_sigma(calibration) / calibration.baseline_mm
            : 0.25 * options.voxel_mm;
    const double voxel_at_1mm_px = options.voxel_mm * calibration.depth.fx_px;
    if (voxel_at_1mm_px >= kBinnedVoxelPx * middle_mm &&
        voxel_at_1mm_px >= kBinnedFarVoxelPx * options.max_depth_mm)
      binning_ = 2;
    middle_mm_ = static_cast<float>(middle_mm);
    pixel_mm_ = static_cast<float>(middle_mm / calibration.depth.fx_px);
    sigma_middle_mm_ = static_cast<float>(sigma_mm);
    quantisation_mm_ = static_cast<float>(calibration.depth_unit_mm / std::sqrt(12.0));
  }

  // Of a pixel along the optical axis: one standard deviation.
  [[nodiscard]] float sigma_mm(float z_mm) const {
    const float ratio = z_mm / middle_mm_;
    const float matching = sigma_middle_mm_ * ratio * ratio;
    return std::sqrt(matching * matching + quantisation_mm_ * quantisation_mm_);
  }

  // The two parts of its square: the first grows with z^4.
  [[nodiscard]] float matching_variance_at_1mm() const {
    const float at_1mm = sigma_middle_mm_ / (middle_mm_ * middle_mm_);
    return at_1mm * at_1mm;
  }
  [[nodiscard]] float quantisation_variance_mm2() const {
    return quantisation_mm_ * quantisation_mm_;
  }
  // At mid range: a pixel as sure as this counts 1, a surer one more.
  [[nodiscard]] float usual_sigma_mm() const { return sigma_mm(middle_mm_); }
  // Pixels that are to become one, a side, of a frame of even size (pipeline/preprocess.h).
  [[nodiscard]] int binning() const { return binning_; }
  [[nodiscard]] NoiseModel unbinned() const {
    NoiseModel same = *this;
    same.binning_ = 1;
    return same;
  }
  // Width of a pixel of the sensor at mid range.
  [[nodiscard]] float pixel_mm() const { return pixel_mm_; }

 private:
  // At z = 1.
  static double disparity_sigma(const Calibration& calibration) {
    if (!calibration.fringe || calibration.fringe->patterns.empty())
      return kDisparitySigmaPx / calibration.depth.fx_px;
    const auto& patterns = calibration.fringe->patterns;
    const auto finest = std::ranges::min_element(patterns, {}, &FringeOptics::Pattern::pitch_px);
    const auto steps =
        std::ranges::count(patterns, finest->pitch_px, &FringeOptics::Pattern::pitch_px);
    const double phase_rad =
        std::sqrt(2.0 / static_cast<double>(steps)) * kUsualNoise / kUsualModulation;
    return phase_rad / (2 * std::numbers::pi) * finest->pitch_px /
           calibration.fringe->projector.fx_px;
  }

  int binning_ = 1;
  float pixel_mm_ = 0;
  float middle_mm_ = 0;  // geometric middle of the depth range
  float sigma_middle_mm_ = 0;
  float quantisation_mm_ = 0;
};

}  // namespace cusp
