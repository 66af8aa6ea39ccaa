// base: a closed solid of an open jaw, to be printed or milled.
//
// Every connected part gets walls from its outer border straight down to a flat base; its holes
// are filled (fill_holes.h). Combinatorially always a closed manifold; where the border overhangs
// itself seen along the axis, the walls meet there. mm, the mesh's own frame. Errors:
// kInvalidArgument: nothing to stand on (a closed mesh, none at all), a hole that cannot be filled.
// Threads: pure function, uses the pool; same mesh, same result.
#pragma once

#include "core/mesh.h"
#include "core/result.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct BaseOptions {
  Eigen::Vector3d down = {0, 0, -1};  // unit; from the occlusal surface into the jaw
  double height_mm = 5;               // of the walls at the border's lowest point
};

// The mesh must be a manifold (clean.h).
Result<Mesh> add_base(Mesh mesh, const BaseOptions& options, WorkerPool& pool);

}  // namespace cusp
