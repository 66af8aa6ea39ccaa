// Relocalisation: the scanner is taken away and comes back elsewhere, again and again.
//
// A first pass builds a model. Then, many times: a few frames of nothing, and another hand's frames
// (another seed: other noise, another tremor) of a place that was scanned, somewhere along the
// pass. Time runs as at the station: frames come at the camera's rate, and those that come while
// one is being worked on are passed over but for the last. Where a frame truly is follows from the
// truth and from the pose that the nearest frame of the first pass had, so that drift is not taken
// for a wrong pose. Threads: as Reconstruction.
#pragma once

#include "tools/bench/depth_stream.h"
#include "tools/bench/figures.h"

namespace cusp::bench {

struct RelocalisationOptions {
  int threads = 2;
  std::size_t pass_frames = 300;
  int jumps = 50;
};

// Both streams are of the same scene.
Result<void> measure_relocalisation(const DepthStream& first_pass, const DepthStream& other_hand,
                                    const RelocalisationOptions& options, Figures& figures);

}  // namespace cusp::bench
