// refine: the surface of a whole scan, made again from its kept frames once all of them are known.
//
// Model frame of the scan, mm. Threads: a pure function with run.threads
// of its own; same log, same mesh, with any number of threads. Errors: kInvalidArgument, when
// nothing was kept; kNoSpace; kCancelled.
#pragma once

#include <functional>
#include <stop_token>

#include "core/calibration.h"
#include "core/mesh.h"
#include "core/result.h"
#include "pipeline/reconstruction.h"
#include "pipeline/scan_log.h"

namespace cusp {

struct RefineRun {
  int threads = 2;
  std::stop_token stop = {};
  std::function<void(double share)> progress = {};  // 0..1, rising, on the calling thread
};

struct RefinedScan {
  Mesh mesh;
  std::size_t damaged_frames = 0;
};

Result<RefinedScan> refine(const ScanLog& log, const ReconstructionOptions& options,
                           const Calibration& calibration, const RefineRun& run = {});

}  // namespace cusp
