// point_features: what the surface around each point is like, as numbers that do not depend on
// where it lies: fast point feature histograms, by Open3D. Threads: pure function.
#pragma once

#include <Eigen/Core>

#include "core/result.h"
#include "pipeline/surface_sample.h"

namespace cusp {

inline constexpr int kFeatureSize = 33;
using PointFeatures = Eigen::Matrix<float, kFeatureSize, Eigen::Dynamic>;  // a column a point

Result<PointFeatures> point_features(const SurfaceSample& sample, double radius_mm);

}  // namespace cusp
