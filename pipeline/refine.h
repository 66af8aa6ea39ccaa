// refine: the surface of a whole scan, made again from its kept frames once all of them are known:
// every pose adjusted together with the device's depth warp (adjust.h), then fused anew; what was
// there for a moment goes (presence.h), as does hair around a face (hair.h), and what bends is made
// finer than the voxels (detail.h).
//
// Where the frames can't be adjusted (one frame alone, nothing that overlaps) the live poses stay,
// and the report says why. Model frame of the scan, mm. Threads: a pure function with
// options.threads of its own; same log, same mesh, with any number of threads. Errors:
// kInvalidArgument, when nothing was kept; kNoSpace; kCancelled.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "core/calibration.h"
#include "core/mesh.h"
#include "core/result.h"
#include "pipeline/adjust.h"
#include "pipeline/detail.h"
#include "pipeline/reconstruction.h"
#include "pipeline/scan_log.h"
#include "pipeline/surface_colour.h"

namespace cusp {

struct RefineRun {
  std::stop_token stop = {};
  std::function<void(double share)> progress = {};  // 0..1, rising, on the calling thread
};

struct RefinedScan {
  Mesh mesh{};
  ScanLog log{};  // with the poses and the warp that were used
  std::optional<AdjustReport> adjustment{};
  std::string not_adjusted{};  // why; empty: it was
  DetailReport detail{};
  ErrorMap expected_error{};  // of nothing, where it was not adjusted
  ColourMap colours{};        // of nothing, where no frame had any
};

Result<RefinedScan> refine(ScanLog log, const ReconstructionOptions& options,
                           const Calibration& calibration, const RefineRun& run = {});

}  // namespace cusp
