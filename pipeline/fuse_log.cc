#include "pipeline/fuse_log.h"

#include "pipeline/edit.h"
#include "pipeline/fuse.h"
#include "pipeline/fuse_colour.h"
#include "pipeline/packed_frame.h"

namespace cusp {
namespace {

// Calls take(frame, surface) or edit(entry) for every entry of the log.
template <typename Take, typename Edit>
Result<LogReport> walk(const ScanLog& log, const NoiseModel& noise, WorkerPool& pool,
                       const LogRun& run, Take take, Edit edit) {
  LogReport report;
  std::size_t done = 0;
  for (const ScanEntry& entry : log.entries()) {
    if (run.stop.stop_requested())
      return error(ErrorCode::kCancelled, "model: its making was cancelled");
    const auto* kept = std::get_if<KeptFrame>(&entry);
    if (kept == nullptr) {
      edit(entry);
    } else if (run.wants && !run.wants(*kept)) {
      ++report.passed_over;
    } else if (auto depth = unpack(*kept->packed); !depth.ok()) {
      ++report.damaged;
    } else {
      if (run.correct) run.correct(*depth);
      const MeasuredSurface surface = preprocess(*depth, noise, pool);
      CUSP_TRY(take(*kept, surface));
      if (run.on_frame) run.on_frame(*kept, surface);
      ++report.frames;
    }
    ++done;
    if (run.progress)
      run.progress(static_cast<double>(done) / static_cast<double>(log.entries().size()));
  }
  return report;
}

}  // namespace

Result<LogReport> read_log(const ScanLog& log, const NoiseModel& noise, WorkerPool& pool,
                           const LogRun& run) {
  return walk(
      log, noise, pool, run,
      [](const KeptFrame&, const MeasuredSurface&) -> Result<void> { return {}; },
      [](const ScanEntry&) {});
}

Result<LogReport> fuse_log(const ScanLog& log, const NoiseModel& noise, Volume& volume,
                           WorkerPool& pool, const LogRun& run) {
  return walk(
      log, noise, pool, run,
      [&](const KeptFrame& frame, const MeasuredSurface& surface) -> Result<void> {
        CUSP_ASSIGN(const FuseReport fused, fuse(surface, frame.model_from_sensor, volume, pool));
        fuse_colour(surface, frame.model_from_sensor, fused.changed, volume, pool);
        return {};
      },
      [&](const ScanEntry& entry) {
        if (const auto* cut = std::get_if<Cut>(&entry))
          cut_away(cut->region, volume, pool);
        else if (const auto* locked = std::get_if<Lock>(&entry))
          lock(locked->region, volume, pool);
        else
          unlock_all(volume);
      });
}

}  // namespace cusp
