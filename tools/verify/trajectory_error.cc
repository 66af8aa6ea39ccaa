#include "tools/verify/trajectory_error.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>

namespace cusp::verify {

Result<TrajectoryError> absolute_trajectory_error(const std::vector<Eigen::Vector3d>& estimated_mm,
                                                  const std::vector<Eigen::Vector3d>& true_mm) {
  CUSP_CHECK(estimated_mm.size() == true_mm.size(), "each estimate belongs to a truth");
  if (true_mm.size() < 3)
    return error(ErrorCode::kInvalidArgument,
                 "trajectory: {} tracked frames are too few to compare, 3 are needed",
                 true_mm.size());
  const auto count = static_cast<Eigen::Index>(true_mm.size());
  Eigen::Matrix3Xd estimate(3, count), truth(3, count);
  TrajectoryError result;
  for (Eigen::Index i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    estimate.col(i) = estimated_mm[at];
    truth.col(i) = true_mm[at];
    if (i > 0) result.length_mm += (true_mm[at] - true_mm[at - 1]).norm();
  }
  const Eigen::Matrix4d align = Eigen::umeyama(estimate, truth, false);
  const Eigen::Matrix3Xd rest =
      ((align.topLeftCorner<3, 3>() * estimate).colwise() + align.topRightCorner<3, 1>()) - truth;
  std::vector<double> errors;
  for (Eigen::Index i = 0; i < count; ++i) errors.push_back(rest.col(i).norm());
  std::sort(errors.begin(), errors.end());
  result.rmse_mm = std::sqrt(rest.colwise().squaredNorm().mean());
  result.median_mm = errors[errors.size() / 2];
  result.max_mm = errors.back();
  return result;
}

}  // namespace cusp::verify
