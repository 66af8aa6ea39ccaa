// predict: what the sensor should see of the model from a given pose.
//
// The vertices of the live mesh are drawn into a z-buffer at a part of the resolution: surface
// splatting with the plainest of kernels (M. Zwicker et al., "Surface splatting", SIGGRAPH 2001,
// doi:10.1145/383259.383300). A pixel shows the nearest vertex whose square covers it; a square is
// a little wider than a voxel, so that a surface near the sensor has no holes, and never less than
// a pixel. What faces away is not drawn. Points are the vertices themselves, on the surface to a
// part of a voxel, wherever in the pixel they lie: the tracker measures along their normals.
//
// Frame: points and normals in the view's own frame, which stays where it is while a pose is
// refined. Threads: pure function, uses the pool; the same bits with any number of threads, for the
// least of (depth, patch, vertex) wins a pixel in whatever order they come.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/frame.h"
#include "core/pose.h"
#include "pipeline/live_mesh.h"
#include "pipeline/match_kernel.h"
#include "pipeline/splat_kernel.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct ModelView {
  Intrinsics intrinsics;  // of the view
  RigidTransform model_from_view;
  std::vector<ModelPoint> points;  // row by row
  std::size_t seen = 0;            // pixels that have a point

  // Working memory of predict_view. Nobody else's.
  std::vector<std::uint64_t> nearest_{};
  std::vector<SplatPatch> visible_{};
};

// A view with 1/step of the resolution of `seen`, the pixels of what is to be matched with it.
// `memory`: a view that is no longer needed, whose memory is used again.
ModelView predict_view(const LiveMesh& mesh, const RigidTransform& model_from_sensor,
                       const Intrinsics& seen, int step, double max_depth_mm, WorkerPool& pool,
                       ModelView memory = {});

// The colours of its points, black where none was seen. Asked for before the mesh changes. Empty:
// the view was not predicted.
std::vector<std::array<std::uint8_t, 3>> colours_of(const ModelView& view);

}  // namespace cusp
