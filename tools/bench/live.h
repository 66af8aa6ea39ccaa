// Live: a stream through the whole of Reconstruction::add, timed frame by frame, and what came out
// against the truth.
//
// As fast as frames are taken, which says what the line can do; or at a camera's pace through such
// a queue as the daemon has, which says what an operator gets: how long a frame waits and is worked
// on, and which are dropped. A frame is copied out of the stream before its time begins, as a
// driver would have it ready. Threads: as Reconstruction, and one for the camera.
#pragma once

#include <span>
#include <vector>

#include "core/mesh.h"
#include "tools/bench/depth_stream.h"
#include "tools/bench/figures.h"

namespace cusp::bench {

struct LiveOptions {
  int threads = 2;
  std::vector<std::size_t> order{};  // of frames; empty: each once
  std::optional<double> pace_hz{};   // of the camera; none: the next comes when one is done
};

struct LiveRun {
  std::vector<std::size_t> fed;  // which frame of the stream was the n-th
  std::vector<FrameOutcome> outcomes;
  std::vector<double> frame_ms;    // in the reconstruction
  std::vector<double> latency_ms;  // from its arrival, so with the time that it waited
  std::size_t dropped = 0;         // the queue was full
  double cpu_ms = 0;               // of all frames and threads
  ReconstructionCounts counts;
  std::size_t volume_bytes = 0;
  std::size_t live_mesh_bytes = 0;
  std::size_t resident_bytes = 0;  // what the process came to hold while it ran, files apart
  double mesh_ms = 0;              // of the whole mesh, at the end
  Mesh mesh;
  ScanLog log;  // what the model is made of when the scan is finished
};

Result<LiveRun> run_live(const DepthStream& stream, const LiveOptions& options);

// "there and back again" over a stream, until `frames` are named.
std::vector<std::size_t> to_and_fro(std::size_t stream_frames, std::size_t frames);

// Of a run as fast as it can: frames a second, the steps' times. The bars hold for whole scans: a
// shorter one's figures have none.
void add_speed(const LiveRun& run, const SceneRequest& request, Figures& figures);
// Of a run at a camera's pace: drops, frame to mesh update.
void add_pace(const LiveRun& run, double pace_hz, const SceneRequest& request, Figures& figures);
// Surface and cross-arch errors of the live mesh, or of the finished model, and the live poses'
// errors. The bars are the finished model's. `expected_mm`: what a scan says of its own error, one
// sigma of each vertex, is held against what it is.
enum class Which { kLive, kFinished };
Result<void> add_accuracy(Which which, const Mesh& model, const LiveRun& run,
                          const DepthStream& stream, const SceneRequest& request, Figures& figures,
                          std::span<const float> expected_mm = {});

}  // namespace cusp::bench
