// What Adjustment keeps of a frame: about 160x120 cells, 12 bytes each, and which frames see the
// same surface.
//
// A cell is the mean of its pixels' planes, taken where the ray through its middle meets them: four
// by four pixels of a 640x480 sensor, binned or not, whose white noise it cuts to a quarter. Cells
// that are less than half measured, or whose normals disagree, are empty.
// Sensor frames, mm. Threads: pure functions, which use the pool; same bits with any number of
// threads.
#pragma once

#include <vector>

#include "core/pose.h"
#include "pipeline/adjust_kernel.h"
#include "pipeline/preprocess.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct KeyframeCells {
  std::vector<Cell> cells;
  float middle_mm = 0;  // mean depth; 0: nothing was measured
};

CellLayout cell_layout(const Intrinsics& intrinsics);
KeyframeCells cells_of(const MeasuredSurface& surface, const CellLayout& layout, WorkerPool& pool);

struct FramePair {
  std::size_t a = 0, b = 0;
  float overlap = 0;  // share of a's surface that b sees too, from its front
};

// Pairs that see the same surface, whatever lies between them in time; `search_mm`: how far apart
// it may seem. a < b, ordered by b, then a; thinned out evenly where frames have very many
// partners.
std::vector<FramePair> find_pairs(const std::vector<KeyframeCells>& frames,
                                  const std::vector<RigidTransform>& model_from_sensor,
                                  const CellLayout& layout, double search_mm, WorkerPool& pool);

}  // namespace cusp
