// predict: what the sensor should see of the model from a given pose.
//
// Rays are cast through the volume at a part of the resolution; each begins where the nearest block
// can be and ends behind the farthest (V. A. Prisacariu et al., "InfiniTAM v3", arXiv:1708.00783,
// section on raycasting). Frame: points and normals in the view's own frame, which stays where it
// is while a pose is refined. Threads: pure function, uses the pool.
#pragma once

#include <vector>

#include "core/frame.h"
#include "core/pose.h"
#include "pipeline/match_kernel.h"
#include "pipeline/volume.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct ModelView {
  Intrinsics intrinsics;  // of the view, coarser than the sensor's
  RigidTransform model_from_view;
  std::vector<ModelPoint> points;  // row by row
  std::size_t seen = 0;            // pixels that have a point
};

// A view with 1/step of the sensor's resolution.
ModelView predict_view(const Volume& volume, const RigidTransform& model_from_sensor,
                       const Intrinsics& sensor, int step, double max_depth_mm, WorkerPool& pool);

}  // namespace cusp
