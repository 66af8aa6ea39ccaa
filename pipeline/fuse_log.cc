#include "pipeline/fuse_log.h"

#include "pipeline/edit.h"
#include "pipeline/fuse.h"
#include "pipeline/fuse_colour.h"
#include "pipeline/packed_frame.h"

namespace cusp {
namespace {

// The frames at hand, and the memory that they leave to the next.
struct FrameAtHand {
  const KeptFrame* kept = nullptr;
  bool damaged = false;
  MeasuredSurface surface{};

  void make(const NoiseModel& noise, const DepthWarp& warp) {
    auto depth = unpack(*kept->packed);
    damaged = !depth.ok() || !warp.fits(depth->intrinsics);
    if (damaged) return;
    warp.apply(*depth);
    WorkerPool alone(1);
    surface = preprocess(*depth, noise, alone, std::move(surface));
  }
};

// Calls take(frame, surface) or edit(entry) for every entry of the log, in order.
template <typename Take, typename Edit>
Result<LogReport> walk(const ScanLog& log, const DepthWarp& warp, const NoiseModel& noise,
                       WorkerPool& pool, const LogRun& run, Take take, Edit edit) {
  LogReport report;
  const std::vector<ScanEntry>& entries = log.entries();
  std::vector<FrameAtHand> at_hand(run.at_once);
  for (std::size_t next = 0; next < entries.size();) {
    std::size_t frames = 0, end = next;
    for (; end < entries.size() && frames < run.at_once; ++end) {
      const auto* kept = std::get_if<KeptFrame>(&entries[end]);
      if (kept == nullptr) continue;
      if (run.wants && !run.wants(*kept))
        ++report.passed_over;
      else
        at_hand[frames++].kept = kept;
    }
    pool.for_chunks(frames, 1, [&](std::size_t i, std::size_t) { at_hand[i].make(noise, warp); });
    for (auto frame = at_hand.begin(); next < end; ++next) {
      if (run.stop.stop_requested())
        return error(ErrorCode::kCancelled, "model: its making was cancelled");
      const auto* kept = std::get_if<KeptFrame>(&entries[next]);
      if (kept == nullptr) {
        edit(entries[next]);
      } else if (frame != at_hand.end() && frame->kept == kept) {
        if (frame->damaged) {
          ++report.damaged;
        } else {
          CUSP_TRY(take(*kept, frame->surface));
          if (run.on_frame) run.on_frame(*kept, frame->surface);
          ++report.frames;
        }
        ++frame;
      }
      if (run.progress)
        run.progress(static_cast<double>(next + 1) / static_cast<double>(entries.size()));
    }
  }
  return report;
}

}  // namespace

Result<LogReport> read_log(const ScanLog& log, const NoiseModel& noise, WorkerPool& pool,
                           const LogRun& run) {
  return walk(
      log, run.corrected ? log.warp() : DepthWarp(), noise, pool, run,
      [](const KeptFrame&, const MeasuredSurface&) -> Result<void> { return {}; },
      [](const ScanEntry&) {});
}

Result<LogReport> fuse_log(const ScanLog& log, const NoiseModel& noise, Volume& volume,
                           WorkerPool& pool, const LogRun& run) {
  const auto tell = [&](const std::vector<std::uint32_t>& blocks) {
    if (run.on_changed) run.on_changed(blocks);
  };
  return walk(
      log, log.warp(), noise, pool, run,
      [&](const KeptFrame& frame, const MeasuredSurface& surface) -> Result<void> {
        CUSP_ASSIGN(const FuseReport fused, fuse(surface, frame.model_from_sensor, volume, pool));
        fuse_colour(surface, frame.model_from_sensor, fused.changed, volume, pool);
        tell(fused.changed);
        return {};
      },
      [&](const ScanEntry& entry) {
        if (const auto* cut = std::get_if<Cut>(&entry))
          tell(cut_away(cut->region, volume, pool));
        else if (const auto* locked = std::get_if<Lock>(&entry))
          lock(locked->region, volume, pool);
        else
          unlock_all(volume);
      });
}

}  // namespace cusp
