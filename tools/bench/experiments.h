// Experiments: the figures that need more than one scan, or a scan of another kind.
// Threads: as Reconstruction. Errors: as the streams and the reconstruction say them.
#pragma once

#include <filesystem>

#include "tools/bench/figures.h"
#include "tools/bench/live.h"

namespace cusp::bench {

// Cost of a frame at the end of a scan of that many frames, there and back over the stream, against
// the cost at its beginning.
Result<void> measure_flatness(const DepthStream& stream, std::size_t frames, int threads,
                              Figures& figures);

struct FinishedScan {
  Mesh mesh;
  std::vector<float> expected_mm;  // error of each vertex, one sigma
};
// The way of a finished scan: adjusted, fused anew at the live voxel size, cleaned.
Result<FinishedScan> measure_finish(const LiveRun& run, const Scene& scene,
                                    const SceneRequest& request, int threads, Figures& figures);

// Several scans of the same object by the same device: error of the intermolar distance in each,
// and how far the models lie from one another (mean distance after a best fit, each to the next).
Result<void> measure_precision(const SceneRequest& scene, const std::filesystem::path& cache,
                               int seeds, int threads, Figures& figures);

// Whether two runs give the same mesh, bit for bit.
Result<void> measure_repeatability(const DepthStream& stream, std::size_t frames, int threads,
                                   Figures& figures);

}  // namespace cusp::bench
