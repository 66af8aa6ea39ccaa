// hair: what is no firm surface goes from a face: hair and loose cloth around it.
//
// Frames agree upon skin to within the device's noise. Among strands a depth is matched on one or
// on another, and often on none, so frames contradict each other there, whatever its colour (Y. Ma
// et al., "Hair Segmentation on Time-of-Flight RGBD Images", arXiv 1903.02775, 2019, tell hair by
// its noise too). Each vertex asks the kept frames that had it in view, facing the device: how far
// off each measured it, in sigmas, and what it did not measure. Cells of a few millimetres gather
// the answers; a place is loose when these are options.hair_at times what is usual on this face.
//
// The face itself is what is firm, small patches apart. What is loose within its outline, seen from
// in front, stays: eyes, brows, the mouth with its teeth, a beard above a neck. So do places too
// small to be hair (an ear's folds), what is locked, and everything, when not even a quarter of the
// model is firm. Limits: a full beard is taken for hair when no neck was scanned below it;
// hair between forehead and ear lies within the outline and stays; smooth hair that a device
// measures as well as skin is not told from it. Model frame, mm. Threads: a pure function, uses the
// pool; same result with any number of threads. Errors: kCancelled.
#pragma once

#include <cstddef>
#include <stop_token>

#include "core/mesh.h"
#include "core/result.h"
#include "pipeline/noise_model.h"
#include "pipeline/reconstruction.h"
#include "pipeline/scan_log.h"
#include "pipeline/worker_pool.h"

namespace cusp {

// How many triangles were taken out.
Result<std::size_t> drop_hair(Mesh& mesh, const ScanLog& log, const ReconstructionOptions& options,
                              const NoiseModel& noise, WorkerPool& pool,
                              const std::stop_token& stop);

}  // namespace cusp
