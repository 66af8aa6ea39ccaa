// ScanLog: what a scan was made of, in order: the frames that were kept and what the operator did
// to the model. The volume follows from it, so that whatever was done can be undone, made again
// with better poses, or taken up after a crash.
//
// Which fused frames are kept, KeepRule says; times are of scanning, without pauses.
// Records (to_bytes) are what a journal on disk holds: each is whole or told to be damaged, by
// Zstandard's checksum. Threads: a value, cheap to copy: frames are shared, and never change.
// Errors: kCorrupt.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "core/pose.h"
#include "core/result.h"
#include "pipeline/depth_warp.h"
#include "pipeline/region.h"

namespace cusp {

struct KeptFrame {
  RigidTransform model_from_sensor = RigidTransform::Identity();
  std::chrono::nanoseconds scan_time{};                     // since the first frame
  std::shared_ptr<const std::vector<std::uint8_t>> packed;  // packed_frame.h
};
// What is in the region goes; later frames may fill it again.
struct Cut {
  Region region;
};
// What is in the region stays as it is, whatever later frames show.
struct Lock {
  Region region;
};
struct UnlockAll {};

using ScanEntry = std::variant<KeptFrame, Cut, Lock, UnlockAll>;

// The log is as it was when it had this many entries.
struct Rewind {
  std::uint64_t entries = 0;
};
// Better poses of the kept frames, in their order, and the warp of the device that was found with
// them: from here on all depths of the scan are corrected by it, those of earlier frames too.
struct NewPoses {
  std::vector<RigidTransform> model_from_sensor;
  DepthWarp warp{};
};
using ScanRecord = std::variant<ScanEntry, Rewind, NewPoses>;

class ScanLog {
 public:
  // False when the record does not fit: more poses than frames, a rewind to what never was.
  bool apply(ScanRecord record);

  [[nodiscard]] const std::vector<ScanEntry>& entries() const { return entries_; }
  [[nodiscard]] std::size_t frames() const { return frames_; }
  // What the kept frames' depths lack; they are packed without it.
  [[nodiscard]] const DepthWarp& warp() const { return warp_; }
  // How many entries there were before the frames of the last `span` of scanning; a rewind to that
  // undoes them, and what was edited since.
  [[nodiscard]] std::uint64_t entries_before(std::chrono::nanoseconds span) const;
  // Time of the last frame; zero without one.
  [[nodiscard]] std::chrono::nanoseconds scan_time() const;
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::vector<ScanEntry> entries_;
  DepthWarp warp_;
  std::size_t frames_ = 0;
  std::size_t bytes_ = 0;
};

std::vector<std::uint8_t> to_bytes(const ScanRecord& record);
Result<ScanRecord> scan_record(std::span<const std::uint8_t> bytes);

// Whether a fused frame is kept: the first ones are, so that a short scan loses nothing; then every
// third, and one in which the sensor has moved by a share of its distance, or turned, since the
// last one that was; and where few frames have colours, those that do.
struct KeepRule {
  std::uint64_t first = 12;
  int every = 3;
  double moved_share = 0.05;
  double turned_rad = 0.06;

  // `fused`, and `fused_since` the last kept one, count this frame.
  [[nodiscard]] bool keeps(const RigidTransform& last_model_from_sensor,
                           const RigidTransform& model_from_sensor, double mean_depth_mm,
                           std::uint64_t fused, int fused_since) const;
};

}  // namespace cusp
