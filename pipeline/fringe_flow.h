// FringeFlow: where what a pixel sees moves to, in the pictures and beneath the projector's
// fringes, while the pictures of one sequence are taken.
//
// The sensor's motion is a rigid one and small from picture to picture, so the way is the product
// of a Jacobian, which belongs to the calibration, and of the motion's six numbers. It is smooth:
// Jacobians are kept at a few hundred pixels and three depths. With it each picture is looked up
// where it shows one and the same surface (pipeline/fringe_kernel.h); the idea is that of T. Weise,
// B. Leibe, L. Van Gool, "Fast 3D scanning with automatic motion compensation", CVPR 2007,
// doi:10.1109/CVPR.2007.383291, who find the motion in the pictures instead. Threads: set() alone,
// row() by any.
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <vector>

#include "core/calibration.h"
#include "core/pose.h"
#include "pipeline/fringe_kernel.h"

namespace cusp {

class FringeFlowField {
 public:
  // The optics must have been found usable.
  FringeFlowField(const Calibration& calibration, double min_depth_mm, double max_depth_mm);

  // before_from_now: of the sensor, over a while of which `share` is a time of 1 (FringeStep).
  void set(const RigidTransform& before_from_now, double share);
  // Writes row y's flows, an eight each.
  FringeFlows row(std::size_t y, std::vector<FringeFlow>& memory) const;

 private:
  static constexpr int kPowers = 7;  // as in FringeFlow: column 2, row 2, fringe 3
  using Way = Eigen::Matrix<float, kPowers, 1>;
  using Jacobian = Eigen::Matrix<float, kPowers, 6>;
  [[nodiscard]] Jacobian jacobian_at(double column, double row) const;

  Calibration calibration_;
  double middle_ = 0, reach_ = 0;       // of the inverse depth
  std::size_t columns_ = 0, rows_ = 0;  // of the raster
  std::vector<Jacobian> jacobians_;     // row by row
  std::vector<Way> ways_;               // of the motion that is set
};

}  // namespace cusp
