#include "pipeline/refine.h"

#include <algorithm>
#include <cmath>

#include "pipeline/detail.h"
#include "pipeline/fuse_log.h"
#include "pipeline/hair.h"
#include "pipeline/mesh.h"
#include "pipeline/presence.h"

namespace cusp {
namespace {

// Live poses leave one surface this far apart, at most.
constexpr double kSearchVoxels = 10;
// Shares of the time that it takes.
constexpr double kReadTo = 0.15, kAdjustTo = 0.3, kFuseTo = 0.7;

// A surface that was measured well, if seldom, is delivered too: where its sigma is below this
// share of a voxel (gums under fringes, which are dim but still).
constexpr float kSureVoxels = 0.4F;

float min_weight(const ReconstructionOptions& options, const NoiseModel& noise) {
  const float sigmas =
      noise.usual_sigma_mm() / (kSureVoxels * static_cast<float>(options.voxel_mm));
  return std::min(kMinKeptWeight, sigmas * sigmas);
}

using Progress = std::function<void(double share)>;

// Better poses and the warp, or why there are none. What the adjustment keeps of the frames is gone
// when this returns.
Result<void> adjust(RefinedScan& refined, const ReconstructionOptions& options,
                    const NoiseModel& noise, WorkerPool& pool, const std::stop_token& stop,
                    const Progress& reading, const Progress& adjusting) {
  const double middle_mm = std::sqrt(std::max(options.min_depth_mm, 1.0) * options.max_depth_mm);
  Adjustment adjustment({.search_mm = kSearchVoxels * options.voxel_mm,
                         .sigma_mm = noise.sigma_mm(static_cast<float>(middle_mm)),
                         .warp = refined.log.warp()});
  CUSP_ASSIGN(const LogReport read,
              read_log(refined.log, noise, pool,
                       {.on_frame =
                            [&](const KeptFrame& frame, const MeasuredSurface& surface) {
                              adjustment.add(surface, frame.model_from_sensor, pool);
                            },
                        .progress = reading,
                        .stop = stop}));
  if (read.damaged > 0) {
    refined.not_adjusted =
        fmt::format("{} of its {} kept frames are damaged", read.damaged, refined.log.frames());
    return {};
  }
  const auto report = adjustment.run(pool, stop, adjusting);
  if (!report.ok()) {
    if (report.error().code == ErrorCode::kCancelled) return report.error();
    refined.not_adjusted = report.error().message;
  } else if (report->rms_after_um > report->rms_before_um) {
    refined.not_adjusted = "the live poses fit each other better";
  } else {
    refined.adjustment = *report;
    refined.expected_error = adjustment.expected_error(pool);
    refined.log.apply(NewPoses{adjustment.poses(), adjustment.warp()});
  }
  return {};
}

// The mesh and its colours. The volume, by far the most of the memory, is gone when this returns.
Result<void> fuse_again(RefinedScan& refined, const ReconstructionOptions& options,
                        const NoiseModel& noise, WorkerPool& pool, const std::stop_token& stop,
                        const Progress& fusing) {
  Volume volume(options.voxel_mm, options.voxel_mm * options.truncation_voxels,
                options.max_volume_bytes);
  CUSP_TRY(fuse_log(refined.log, noise, volume, pool, {.progress = fusing, .stop = stop}));
  refined.mesh = extract_mesh(volume, min_weight(options, noise), pool);
  refined.colours = ColourMap(volume, pool);
  return {};
}

}  // namespace

Result<RefinedScan> refine(ScanLog log, const ReconstructionOptions& wanted,
                           const Calibration& calibration, const RefineRun& run) {
  const ReconstructionOptions options = within_range_of(wanted, calibration);
  if (log.frames() == 0)
    return error(ErrorCode::kInvalidArgument, "model: nothing was scanned, it has no surface");
  RefinedScan refined{.log = std::move(log)};
  const NoiseModel noise(options, calibration);
  WorkerPool pool(options.threads);
  const auto part = [&](double from, double to) -> Progress {
    return [&run, from, to](double share) {
      if (run.progress) run.progress(from + (to - from) * share);
    };
  };

  CUSP_TRY(
      adjust(refined, options, noise, pool, run.stop, part(0, kReadTo), part(kReadTo, kAdjustTo)));

  CUSP_TRY(fuse_again(refined, options, noise, pool, run.stop, part(kAdjustTo, kFuseTo)));
  CUSP_TRY(drop_absent(refined.mesh, refined.log, options, pool, run.stop));
  if (options.hair_at > 0)
    CUSP_TRY(drop_hair(refined.mesh, refined.log, options, noise, pool, run.stop));
  CUSP_ASSIGN(refined.detail, add_detail(refined.mesh, refined.log, options.voxel_mm, noise, pool,
                                         {.progress = part(kFuseTo, 1), .stop = run.stop}));
  part(kFuseTo, 1)(1);
  return refined;
}

}  // namespace cusp
