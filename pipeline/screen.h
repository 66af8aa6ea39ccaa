// Screen: takes out of a frame what must not become part of the model: tongue, cheek, glove, a
// tool.
//
// A frame whose pose is known is compared with the view of the model. Samples that agree with it
// are sound. From these soundness spreads to neighbours without a jump in depth: to surface that
// the model does not have yet, and to what stands in front of a part of the model only where the
// model itself has an edge (a tooth before a palate that was seen earlier), never where the frame
// lifts off a surface that goes on (a tongue that lies on teeth). What soundness does not reach is
// cut out, until it has been in the same place for so many frames in a row that it is no soft
// tissue. What lies behind the model stays: it carves away what was fused wrongly (fuse.h).
// A frame with a large share in front of the model is unsound as a whole.
//
// Limits come in mm from voxels and noise. Threads: one call at a time, which uses the pool; the
// same result with any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/pose.h"
#include "pipeline/predict.h"
#include "pipeline/preprocess.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct ScreenLimits {
  double in_front_mm = 0;  // nearer to the sensor than the model by this: in front of it
  double cell_mm = 0;      // what moves less than this stays in its place
};

struct Screened {
  double in_front = 0;  // share of the samples that contradict the model and were cut out
  double unsound = 0;   // share of the samples that were cut out
  bool fusable = false;
  std::vector<std::size_t> samples{};  // of the coarse grid, that were cut out
};

class Screen {
 public:
  // Cuts out of the surface's planes and weights. The grids of samples stay as they are.
  Screened cut(const ModelView& view, const RigidTransform& model_from_sensor,
               const ScreenLimits& limits, MeasuredSurface& surface, WorkerPool& pool);
  void clear() { waiting_.clear(); }

 private:
  using Place = std::uint64_t;

  // Places of what was not sound in the last frame, sorted, and for how many frames in a row.
  std::vector<std::pair<Place, int>> waiting_;
};

// Takes the same pixels out of the depth from which the surface was made.
void cut_out(const Screened& screened, const MeasuredSurface& surface, DepthFrame& depth);

}  // namespace cusp
