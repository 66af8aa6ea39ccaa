#include "pipeline/refine.h"

#include "pipeline/fuse_log.h"
#include "pipeline/mesh.h"

namespace cusp {

Result<RefinedScan> refine(const ScanLog& log, const ReconstructionOptions& options,
                           const Calibration& calibration, const RefineRun& run) {
  if (log.frames() == 0)
    return error(ErrorCode::kInvalidArgument, "model: nothing was scanned, it has no surface");
  const NoiseModel noise(options, calibration);
  WorkerPool pool(run.threads);
  Volume volume(options.voxel_mm, options.voxel_mm * options.truncation_voxels,
                options.max_volume_bytes);
  CUSP_ASSIGN(const LogReport report,
              fuse_log(log, noise, volume, pool, {.progress = run.progress, .stop = run.stop}));
  return RefinedScan{.mesh = extract_mesh(volume, kMinMeshWeight, pool),
                     .damaged_frames = report.damaged};
}

}  // namespace cusp
