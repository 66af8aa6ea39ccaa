// mesh: the surface of a volume as triangles, by marching cubes over all its blocks.
// Vertices are shared, also across blocks; a cube counts only when all its corners were seen often
// enough: at the rim of what was seen the field is a guess, and a guess is not delivered. Model
// frame, mm; order of vertices and triangles follows the order of the blocks. Threads: pure
// function, uses the pool.
#pragma once

#include "core/mesh.h"
#include "pipeline/volume.h"
#include "pipeline/worker_pool.h"

namespace cusp {

Mesh extract_mesh(const Volume& volume, float min_weight, WorkerPool& pool);

}  // namespace cusp
