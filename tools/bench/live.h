// Live: a stream through the whole of Reconstruction::add, timed frame by frame, and what came out
// against the truth.
//
// A frame is copied out of the stream before its time begins, as a driver would have it ready.
// Threads: as Reconstruction.
#pragma once

#include <vector>

#include "core/mesh.h"
#include "tools/bench/depth_stream.h"
#include "tools/bench/figures.h"

namespace cusp::bench {

struct LiveOptions {
  int threads = 2;
  std::vector<std::size_t> order{};  // of frames; empty: each once
};

struct LiveRun {
  std::vector<std::size_t> fed;  // which frame of the stream was the n-th
  std::vector<FrameOutcome> outcomes;
  std::vector<double> frame_ms;
  double cpu_ms = 0;  // of all frames and threads
  ReconstructionCounts counts;
  std::size_t volume_bytes = 0;
  std::size_t live_mesh_bytes = 0;
  std::size_t resident_bytes = 0;  // what the process came to hold while it ran, files apart
  double mesh_ms = 0;              // of the whole mesh, at the end
  Mesh mesh;
  ScanLog log;  // what the model is made of when the scan is finished
};

Result<LiveRun> run_live(const DepthStream& stream, const LiveOptions& options);

// Frames that a queue of two before the reconstruction would have dropped, oldest first, had they
// come at this rate and each taken so long.
std::size_t dropped_at(double rate_hz, const std::vector<double>& frame_ms);

// "there and back again" over a stream, until `frames` are named.
std::vector<std::size_t> to_and_fro(std::size_t stream_frames, std::size_t frames);

// The bars hold for whole scans: a shorter one's figures have none.
void add_speed(const LiveRun& run, const Scene& scene, const SceneRequest& request,
               Figures& figures);
// Surface and cross-arch errors of the live mesh, or of the finished model, and the live poses'
// errors. The bars are the finished model's.
enum class Which { kLive, kFinished };
Result<void> add_accuracy(Which which, const Mesh& model, const LiveRun& run,
                          const DepthStream& stream, const SceneRequest& request, Figures& figures);

}  // namespace cusp::bench
