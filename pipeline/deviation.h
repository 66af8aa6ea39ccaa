// deviation: how far a surface has moved by what was done to it.
// Every vertex of the mesh as it was against the nearest point of the mesh as it is. mm.
// Threads: pure function, uses the pool.
#pragma once

#include "core/mesh.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct Deviation {
  double max_mm = 0;
  double mean_mm = 0;
  std::size_t beyond_limit = 0;  // vertices with nothing within the limit; max_mm is the limit then
};

// 0 when there are no vertices. limit_mm bounds the search.
Deviation measure_deviation(const Mesh& before, const Mesh& after, double limit_mm,
                            WorkerPool& pool);

}  // namespace cusp
