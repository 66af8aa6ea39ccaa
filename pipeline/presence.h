// presence: what was there for a moment only, told by the frames that should have shown it.
//
// Tongue and cheek that hold still become a surface like any other. Free space behind what a frame
// measured takes them away where something lies behind (fuse.h); beside the teeth there often is
// nothing within the device's range, and they would stay. Here each vertex asks the kept frames
// that had it in view, facing the device and well within its range: those that measured it there
// speak for it; those that measured beyond it, or nothing all around, against it. A surface in
// front of it says nothing. Model frame, mm. Threads: a pure function, uses the pool; same result
// with any number of threads. Errors: kCancelled.
#pragma once

#include <cstddef>
#include <stop_token>

#include "core/mesh.h"
#include "core/result.h"
#include "pipeline/reconstruction.h"
#include "pipeline/scan_log.h"
#include "pipeline/worker_pool.h"

namespace cusp {

// Takes out the triangles of which every corner was mostly absent, and islands that few frames saw
// and others missed; how many triangles.
Result<std::size_t> drop_absent(Mesh& mesh, const ScanLog& log,
                                const ReconstructionOptions& options, WorkerPool& pool,
                                const std::stop_token& stop);

}  // namespace cusp
