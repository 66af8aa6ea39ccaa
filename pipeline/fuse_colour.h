// fuse_colour: gives the voxels at the surface the colour of the pixels that see them.
//
// A running mean as in fuse.h, of three bytes a voxel; its weight ends at kMaxColourWeight, so that
// it settles within a few frames and rounding does not hold it. Black pixels are those that the
// colour camera does not see: they are left out. Colours lie in arrays of their own, which only
// blocks have that hold surface. Model frame, mm. Threads: one call at a time, which uses the
// pool; same bits with any number of threads.
#pragma once

#include <cstdint>
#include <span>

#include "core/pose.h"
#include "pipeline/preprocess.h"
#include "pipeline/volume.h"
#include "pipeline/worker_pool.h"

namespace cusp {

inline constexpr int kMaxColourWeight = 12;

// After fuse(), for the blocks that it changed. Does nothing when the surface has no colour, and
// leaves out blocks for which there is no memory.
void fuse_colour(const MeasuredSurface& surface, const RigidTransform& model_from_sensor,
                 std::span<const std::uint32_t> blocks, Volume& volume, WorkerPool& pool);

}  // namespace cusp
