// Expected error of a finished surface, place by place: one standard deviation along the normal.
//
// The keyframes of a scan, once they are adjusted, are measurements of one surface that can be held
// against each other. At places all over it, how far each frame's surface lies from the place is
// taken apart in a one-way analysis of variance with random effects (S. R. Searle, G. Casella, C.
// E. McCulloch, "Variance Components", Wiley 1992, chapter 3): frames of one pass share what the
// passes differ by (pose, warp, what a view does to an edge), and have noise of their own beside
// it. What all passes share can't be seen like that: it is the calibration's.
//
// Model frame, mm. Threads: pure functions, use the pool; same bits with any number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/mesh.h"
#include "core/pose.h"
#include "pipeline/adjust_cells.h"
#include "pipeline/depth_warp.h"
#include "pipeline/worker_pool.h"

namespace cusp {

class ErrorMap {
 public:
  ErrorMap() = default;  // of nothing

  // A number a vertex. Where no frame saw anything near, what few places exceed; of nothing: empty.
  // The mesh has normals (CUSP_CHECK).
  [[nodiscard]] std::vector<float> of(const Mesh& mesh, WorkerPool& pool) const;
  [[nodiscard]] bool empty() const { return variance_mm2_.empty(); }

 private:
  friend class ErrorSearch;

  float place_mm_ = 1;
  float worst_mm_ = 0;
  std::unordered_map<std::uint64_t, float> variance_mm2_;  // of a place and the side that it shows
};

struct AdjustedKeyframes {
  std::span<const KeyframeCells> frames;
  std::span<const RigidTransform> model_from_sensor;
  const CellLayout& layout;
  const DepthWarp& warp;
  double gate_mm = 0;  // what lies farther from a place is another surface
};

// Of nothing when no place was seen twice.
ErrorMap expected_error(const AdjustedKeyframes& scan, WorkerPool& pool);

}  // namespace cusp
