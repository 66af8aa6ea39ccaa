// fuse: adds one measured surface to the volume.
//
// B. Curless and M. Levoy, "A volumetric method for building complex models from range images",
// SIGGRAPH 1996, doi:10.1145/237170.237269: a running weighted mean of distances. The distance is
// taken to the pixel's plane, not along its ray: that corrects for incidence and for the nearest
// pixel not being the exact one. Voxels more than the truncation in front of the surface were seen
// to be free: those that already hold something are pulled to "outside" with a small weight, so
// that what was there for a moment goes away. The arithmetic: fuse_kernel.h.
//
// Locked blocks stay as they are. The cost is that of the blocks in view, however many there are
// elsewhere. Pixels that are not numbers or lie farther than a volume can reach are left out.
// Errors: kNoSpace, when the budget is used up, the volume is then as before but for empty blocks;
// kInvalidArgument for a pose that is not a number. Threads: one call at a time; same result with
// any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/pose.h"
#include "core/result.h"
#include "pipeline/fuse_kernel.h"
#include "pipeline/preprocess.h"
#include "pipeline/volume.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct FuseReport {
  // Blocks whose surface is no longer what it was when they were last named here: it moved by
  // 1/4 of a voxel or more in all, it grew, it was seen for the eighth time again, or from 10
  // degrees farther off.
  std::vector<std::uint32_t> changed;
  std::size_t in_view = 0;  // blocks that were considered
};

enum class FuseRhythm : std::uint8_t {
  kEveryFrame,
  // For frames that come faster than they tell something new: blocks that were seen eight times
  // take every second, which then counts twice, and those that are known (all of their surface has
  // the weight of kEnoughFrames) every fourth.
  kInTurns,
};

Result<FuseReport> fuse(const MeasuredSurface& surface, const RigidTransform& model_from_sensor,
                        Volume& volume, WorkerPool& pool,
                        FuseRhythm rhythm = FuseRhythm::kEveryFrame);

}  // namespace cusp
