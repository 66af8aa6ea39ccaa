// Comparison: Cusp and its peers (peers.h) on the same frames, with the same voxel size, truncation
// and threads.
//
// Each round gives every contestant an empty volume and all the frames, one contestant after the
// other, another one first each time; a contestant's time is the median over the rounds of the
// round's median. So what else the machine does falls on all alike. Fusion is given true poses; the
// images are ready in each library's own type before the time begins: Cusp's is the measured
// surface (pipeline/preprocess.h), binned where voxels are much larger than pixels. Threads: as the
// contestants.
#pragma once

#include "tools/bench/depth_stream.h"
#include "tools/bench/figures.h"

namespace cusp::bench {

struct ComparisonOptions {
  int threads = 2;
  int rounds = 3;
  std::size_t first_frame = 0;
  std::size_t frames = 40;
};

// Allocation of blocks and integration.
Result<void> compare_fusion(const DepthStream& stream, const ComparisonOptions& options,
                            Figures& figures);
// A whole frame: Cusp's decode, preparation, tracking, fusion and live mesh against tracking,
// integration and ray casting.
Result<void> compare_slam(const DepthStream& stream, const ComparisonOptions& options,
                          Figures& figures);

}  // namespace cusp::bench
