// Lens: a pinhole with the distortion of LensDistortion, both ways. The projector is such a lens
// run backwards.
//
// Camera frame and pixels as in core/frame.h. distort() is the formula of core/calibration.h;
// undistort() inverts it by Newton's method to 1e-12, which needs a distortion that does not fold
// the picture (CUSP_CHECK: one that does is no lens of ours). Threads: pure functions.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "core/calibration.h"

namespace cusp::sim {

// Points at z = 1.
Eigen::Vector2d distort(const LensDistortion& lens, const Eigen::Vector2d& straight);
Eigen::Vector2d undistort(const LensDistortion& lens, const Eigen::Vector2d& distorted);

// Pixel of a point in front of the lens.
Eigen::Vector2d project(const Intrinsics& camera, const LensDistortion& lens,
                        const Eigen::Vector3d& point_mm);

// The ray with z = 1 of each pixel, row by row.
std::vector<Eigen::Vector2f> ray_table(const Intrinsics& camera, const LensDistortion& lens);

}  // namespace cusp::sim
