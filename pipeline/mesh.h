// mesh: the surface of a volume as triangles with shared vertices.
//
// The patches of marching cubes (live_mesh.h), joined where they have the same vertex of the same
// grid edge: a vertex has the same bits in all of them, and no two edges' vertices agree (within
// 2^17 voxels of the origin, 6.5 m at 50 um). A cube counts only when all its corners were seen
// often enough: at the rim of what was seen the field is a guess, and a guess is not delivered.
// Model frame, mm; order of vertices and triangles follows the order of the blocks; no normals.
// Threads: pure functions, use the pool.
#pragma once

#include "core/mesh.h"
#include "pipeline/live_mesh.h"
#include "pipeline/volume.h"
#include "pipeline/worker_pool.h"

namespace cusp {

Mesh weld(const LiveMesh& patches);

// Voxels below this weight were seen too seldom to be delivered (1 is one frame, head-on, at mid
// range).
inline constexpr float kMinMeshWeight = 2.0F;
// The same of a volume made from kept frames: each counts for the two before it as well where they
// agree with it (frame_stack.h), but at the rim of what was seen they often show nothing.
inline constexpr float kMinKeptWeight = kMinMeshWeight / 2;

Mesh extract_mesh(const Volume& volume, float min_weight, WorkerPool& pool);

}  // namespace cusp
