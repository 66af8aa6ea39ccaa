// Absolute trajectory error: how far an estimated camera path lies from the true one after the best
// rigid alignment of both (J. Sturm et al., "A Benchmark for the Evaluation of RGB-D SLAM Systems",
// IROS 2012, doi:10.1109/IROS.2012.6385773; alignment: S. Umeyama, "Least-squares estimation of
// transformation parameters between two point patterns", PAMI 13(4), 1991, doi:10.1109/34.88573,
// without scale). Millimetres. Threads: a pure function.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "core/result.h"

namespace cusp::verify {

struct TrajectoryError {
  double rmse_mm = 0, median_mm = 0, max_mm = 0;
  double length_mm = 0;  // of the true path
};

// Camera centres of the same frames. kInvalidArgument with fewer than 3.
Result<TrajectoryError> absolute_trajectory_error(const std::vector<Eigen::Vector3d>& estimated_mm,
                                                  const std::vector<Eigen::Vector3d>& true_mm);

}  // namespace cusp::verify
