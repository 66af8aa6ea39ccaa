// coarse_align: candidate places of one sample on another by features; align.h says how.
// mm. Same samples, same candidates. Threads: pure function, uses the pool.
#pragma once

#include <vector>

#include "core/pose.h"
#include "pipeline/point_features.h"

namespace cusp {

// Best first; they differ from each other. Empty when nothing fits at all.
std::vector<RigidTransform> coarse_candidates(const SurfaceSample& source,
                                              const PointFeatures& source_features,
                                              const SurfaceSample& target,
                                              const PointFeatures& target_features,
                                              double spacing_mm, WorkerPool& pool);

// Whether two transforms move the samples to the same place, to within a few spacings.
bool same_place(const RigidTransform& a, const RigidTransform& b, const SurfaceSample& sample,
                double tolerance_mm);

}  // namespace cusp
