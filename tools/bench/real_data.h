// Real data: recorded frames of things whose shape or path is known.
//
//  truedepth-charuco/  five depth frames (16-bit PNG, 0.1 mm) of a flat board at about 200 mm from
//  a
//                      phone's structured light, intrinsics in DepthMetadata.json (S. Urban et al.,
//                      arXiv:2201.10865)
//  rgbd-livingroom/    depth/ (16-bit PNG, mm) along trajectory.log (A. Handa et al., "A benchmark
//                      for RGB-D visual odometry, 3D reconstruction and SLAM", ICRA 2014,
//                      doi:10.1109/ICRA.2014.6907054)
// A set that is not in the folder is named and passed over. Threads: as Reconstruction. Errors:
// those of the files.
#pragma once

#include <Eigen/Core>
#include <filesystem>
#include <vector>

#include "core/result.h"
#include "tools/bench/figures.h"

namespace cusp::bench {

Result<void> measure_real_data(const std::filesystem::path& folder, int threads, Figures& figures);

struct PlaneFit {
  double rms_mm = 0;  // of the points that lie on it, along its normal
  double inlier_share = 0;
};
// The plane that most of the points lie on: least squares, then again without what is farther than
// three times the median distance. kInvalidArgument with fewer than 3 points.
Result<PlaneFit> fit_plane(const std::vector<Eigen::Vector3d>& points_mm);

}  // namespace cusp::bench
