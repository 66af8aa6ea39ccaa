#include "pipeline/point_features.h"

#include <open3d/geometry/KDTreeSearchParam.h>
#include <open3d/geometry/PointCloud.h>
#include <open3d/pipelines/registration/Feature.h>

#include <exception>

namespace cusp {

Result<PointFeatures> point_features(const SurfaceSample& sample, double radius_mm) {
  constexpr int kMaxNeighbours = 100;
  try {
    open3d::geometry::PointCloud cloud;
    for (const Eigen::Vector3f& point : sample.points_mm)
      cloud.points_.push_back(point.cast<double>());
    for (const Eigen::Vector3f& normal : sample.normals)
      cloud.normals_.push_back(normal.cast<double>());
    const auto features = open3d::pipelines::registration::ComputeFPFHFeature(
        cloud, open3d::geometry::KDTreeSearchParamHybrid(radius_mm, kMaxNeighbours));
    return PointFeatures(features->data_.cast<float>());
  } catch (const std::exception& failure) {
    return error(ErrorCode::kInvalidArgument, "surface of {} points: it has no features: {}",
                 sample.points_mm.size(), failure.what());
  }
}

}  // namespace cusp
