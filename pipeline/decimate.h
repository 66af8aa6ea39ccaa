// decimate: fewer triangles for the same surface.
//
// A large mesh is first cut into tiles that are made coarser side by side (collapse.h), each to the
// same share, with the vertices that tiles share locked; the rest, with the seams, is one patch.
// The tiles depend on the mesh alone: same mesh, same result, with any number of threads.
// mm, the mesh's own frame. Threads: pure function, uses the pool.
#pragma once

#include <cstdint>
#include <limits>
#include <stop_token>
#include <vector>

#include "core/mesh.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct DecimateLimits {
  std::uint64_t target_triangles = 0;  // stops there
  // Stops before a collapse that would put a vertex further than about this from the surface as it
  // was. An estimate; deviation.h measures.
  double max_error_mm = std::numeric_limits<double>::infinity();
};

// The mesh must be a manifold (clean.h) and stays one; border and outline are kept within the same
// error. marks: empty, or one a triangle, follows it. Normals are dropped. A stop leaves a valid
// mesh that is not yet as coarse as asked.
void decimate(Mesh& mesh, std::vector<std::uint8_t>& marks, const DecimateLimits& limits,
              WorkerPool& pool, const std::stop_token& stop = {});

}  // namespace cusp
