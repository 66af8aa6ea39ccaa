// NoiseModel: how far a depth value may be off; every gate of the pipeline is a multiple of this or
// of the voxel.
//
// Triangulation: sigma_z = (z^2 / (f * baseline)) * sigma_disparity (Khoshelham and Elberink,
// "Accuracy and resolution of Kinect depth data", Sensors 2012, doi:10.3390/s120201437).
// kDisparitySigmaPx is chosen, not measured on a device: it gives 0.07 mm at 80 mm for f = 471 px
// and a baseline of 18 mm. A device
// without a baseline is taken to be as noisy as a quarter of the voxel at the middle of its range:
// whoever set the voxel knew the device.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/calibration.h"
#include "pipeline/reconstruction.h"

namespace cusp {

inline constexpr double kDisparitySigmaPx = 0.09;

class NoiseModel {
 public:
  NoiseModel(const ReconstructionOptions& options, const Calibration& calibration) {
    const double near_mm = std::max(options.min_depth_mm, 0.1 * options.max_depth_mm);
    const double middle_mm = std::sqrt(near_mm * options.max_depth_mm);
    const double sigma_mm = calibration.baseline_mm > 0
                                ? middle_mm * middle_mm * kDisparitySigmaPx /
                                      (calibration.depth.fx_px * calibration.baseline_mm)
                                : 0.25 * options.voxel_mm;
    middle_mm_ = static_cast<float>(middle_mm);
    sigma_middle_mm_ = static_cast<float>(sigma_mm);
    quantisation_mm_ = static_cast<float>(calibration.depth_unit_mm / std::sqrt(12.0));
  }

  // One standard deviation of a pixel along the optical axis.
  [[nodiscard]] float sigma_mm(float z_mm) const {
    const float ratio = z_mm / middle_mm_;
    const float matching = sigma_middle_mm_ * ratio * ratio;
    return std::sqrt(matching * matching + quantisation_mm_ * quantisation_mm_);
  }

  // Inverse variance relative to the middle of the range, kept within 1/16 .. 4.
  [[nodiscard]] float weight(float z_mm) const {
    const float relative = sigma_mm(middle_mm_) / sigma_mm(z_mm);
    return std::clamp(relative * relative, 1.0F / 16, 4.0F);
  }

 private:
  float middle_mm_ = 0;  // geometric middle of the depth range
  float sigma_middle_mm_ = 0;
  float quantisation_mm_ = 0;
};

}  // namespace cusp
