// fuse_log: the volume that a scan's log describes, made again: after an undo, after a crash, and
// with better poses at the end.
//
// Every kept frame is unpacked, corrected by the log's warp, and fused at its pose; cuts and locks
// come where they came. read_log only shows the frames, as they were kept unless they are asked for
// corrected. Model frame, mm. Threads: one writer of the volume, which uses
// the pool; same result with any number of threads. Errors: those of fuse(); kCancelled. A frame
// that can't be unpacked, or that the warp doesn't fit, is left out and counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include "core/result.h"
#include "pipeline/noise_model.h"
#include "pipeline/preprocess.h"
#include "pipeline/scan_log.h"
#include "pipeline/volume.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct LogRun {
  std::function<bool(const KeptFrame& frame)> wants = {};  // false: it is passed over
  std::function<void(const KeptFrame& frame, const MeasuredSurface& surface)> on_frame = {};
  // Of read_log: the log's warp is taken out of the depths, as fuse_log does.
  bool corrected = false;
  // Of fuse_log: blocks as fuse.h or a cut names them, after each.
  std::function<void(const std::vector<std::uint32_t>& blocks)> on_changed = {};
  std::function<void(double share)> progress = {};
  std::stop_token stop = {};
  // So many are unpacked and preprocessed together, a thread each: 12 MB a frame of 640x480.
  std::size_t at_once = 8;
};

struct LogReport {
  std::size_t frames = 0;
  std::size_t damaged = 0;
  std::size_t passed_over = 0;
};

// Calls run.on_frame with each kept frame's surface in order; nothing is fused.
Result<LogReport> read_log(const ScanLog& log, const NoiseModel& noise, WorkerPool& pool,
                           const LogRun& run);
Result<LogReport> fuse_log(const ScanLog& log, const NoiseModel& noise, Volume& volume,
                           WorkerPool& pool, const LogRun& run);

}  // namespace cusp
