// edit_marks: which kept frames may speak of which points of a model, after what the operator did.
//
// Whoever asks the kept frames about a finished model (detail.h, presence.h, hair.h) must ask those
// alone that the volume took there (edit.h): what is locked takes neither frames nor cuts until it
// is unlocked, and a cut elsewhere forgets the frames before it. As in a volume a lock goes by
// blocks; but it holds blocks that came later too, of which the volume took frames: there fewer
// frames speak than could. Model frame, mm. Threads: const calls from many threads; making them
// uses the pool, same result with any number of threads. Errors: kCancelled.
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include "core/result.h"
#include "pipeline/scan_log.h"
#include "pipeline/worker_pool.h"

namespace cusp {

class EditMarks {
 public:
  // Kept frames, counted from 0, from the first to before the last.
  struct Span {
    std::uint32_t first = 0, last = kOpen;
    bool operator==(const Span&) const = default;
  };
  static constexpr std::uint32_t kOpen = std::numeric_limits<std::uint32_t>::max();
  // The spans of frames that count, in order; all points with the same past share one.
  using History = std::vector<Span>;

  EditMarks() = default;
  EditMarks(std::vector<History> histories, std::vector<std::uint32_t> of_point)
      : histories_(std::move(histories)), of_point_(std::move(of_point)) {}

  [[nodiscard]] bool counts(std::size_t point, std::size_t frame) const {
    for (const Span& span : histories_[of_point_[point]])
      if (frame >= span.first && frame < span.last) return true;
    return false;
  }
  // Now, after all that is in the log.
  [[nodiscard]] bool locked(std::size_t point) const {
    return histories_[of_point_[point]].back().last != kOpen;
  }

 private:
  std::vector<History> histories_;
  std::vector<std::uint32_t> of_point_;
};

// `voxel_mm`: of the volume of which the points are the surface.
Result<EditMarks> edit_marks(std::span<const Eigen::Vector3f> points_mm, double voxel_mm,
                             const ScanLog& log, WorkerPool& pool, const std::stop_token& stop);

}  // namespace cusp
