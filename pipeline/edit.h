// edit: what a person does to a volume by hand.
//
// A cut makes the voxels of a region as if never seen. A lock keeps blocks as they are, whatever is
// fused or cut later; it goes by blocks, which are eight voxels wide: those whose middle lies in
// the region. Model frame, mm. Threads: one writer of the volume; same result with any number of
// threads.
#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/region.h"
#include "pipeline/volume.h"
#include "pipeline/worker_pool.h"

namespace cusp {

// The region is valid. The blocks that changed, in order.
std::vector<std::uint32_t> cut_away(const Region& region, Volume& volume, WorkerPool& pool);
void lock(const Region& region, Volume& volume, WorkerPool& pool);
void unlock_all(Volume& volume);

}  // namespace cusp
