#include "tools/bench/comparison.h"

#include <chrono>

#include "pipeline/decode.h"
#include "pipeline/fuse.h"
#include "pipeline/noise_model.h"
#include "pipeline/preprocess.h"
#include "tools/bench/peers.h"
#include "tools/bench/process_usage.h"
#include "tools/bench/statistics.h"

namespace cusp::bench {
namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;
using std::chrono::steady_clock;

// Of a frame: time that passed, and of the processor (all threads).
struct Spent {
  double passed_ms = 0;
  double cpu_ms = 0;
};

class Stopwatch {
 public:
  [[nodiscard]] Spent read() const {
    return {Milliseconds(steady_clock::now() - start_).count(), cpu_ms() - cpu_ms_};
  }

 private:
  const double cpu_ms_ = cpu_ms();
  const steady_clock::time_point start_ = steady_clock::now();
};

Spent medians_of(const std::vector<Spent>& all) {
  std::vector<double> passed, cpu;
  for (const Spent& spent : all) {
    passed.push_back(spent.passed_ms);
    cpu.push_back(spent.cpu_ms);
  }
  return {median(passed), median(cpu)};
}

struct Contestant {
  std::string name;
  // All the frames, from nothing.
  std::function<Result<std::vector<Spent>>()> run;
};

// Medians of the rounds' medians, in the contestants' order.
Result<std::vector<Spent>> contest(const std::vector<Contestant>& contestants, int rounds) {
  std::vector<std::vector<Spent>> medians(contestants.size());
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < contestants.size(); ++i) {
      const std::size_t who = (i + static_cast<std::size_t>(round)) % contestants.size();
      CUSP_ASSIGN(const std::vector<Spent> frames, contestants[who].run());
      medians[who].push_back(medians_of(frames));
    }
  std::vector<Spent> result;
  for (const auto& of_rounds : medians) result.push_back(medians_of(of_rounds));
  return result;
}

PeerOptions peer_options(const Scene& scene) {
  return {.camera = scene.calibration.depth,
          .voxel_mm = scene.reconstruction.voxel_mm,
          .truncation_voxels = scene.reconstruction.truncation_voxels,
          .min_depth_mm = scene.reconstruction.min_depth_mm,
          .max_depth_mm = scene.reconstruction.max_depth_mm};
}

Fuser make_cusp_fuser(const Scene& scene, int threads) {
  struct State {
    State(const Scene& of, int threads)
        : noise(of.reconstruction, of.calibration),
          volume(of.reconstruction.voxel_mm,
                 of.reconstruction.voxel_mm * of.reconstruction.truncation_voxels,
                 of.reconstruction.max_volume_bytes),
          pool(threads) {}
    NoiseModel noise;
    Volume volume;
    WorkerPool pool;
    MeasuredSurface surface{};
  };
  const auto state = std::make_shared<State>(scene, threads);
  return {
      .name = "Cusp",
      .prepare = [state](const DepthFrame& frame) -> Result<void> {
        state->surface = preprocess(frame, state->noise, state->pool);
        return {};
      },
      .integrate = [state](const RigidTransform& model_from_sensor) -> Result<void> {
        if (const auto fused = fuse(state->surface, model_from_sensor, state->volume, state->pool);
            !fused.ok())
          return fused.error();
        return {};
      }};
}

// The frames decoded, and where each truly stood, seen from the first.
struct Frames {
  std::vector<DepthFrame> depth;
  std::vector<RigidTransform> first_from_sensor;
};
Result<Frames> decoded(const DepthStream& stream, const ComparisonOptions& options) {
  const Scene& scene = stream.scene();
  if (options.first_frame + options.frames > stream.size())
    return error(ErrorCode::kInvalidArgument, "the scene has {} frames, not {}", stream.size(),
                 options.first_frame + options.frames);
  Frames frames;
  for (std::size_t i = 0; i < options.frames; ++i) {
    const std::size_t at = options.first_frame + i;
    CUSP_ASSIGN(DepthFrame depth,
                decode(stream.raw(at, i), scene.calibration, scene.reconstruction.min_depth_mm,
                       scene.reconstruction.max_depth_mm));
    frames.depth.push_back(std::move(depth));
    frames.first_from_sensor.push_back(stream.truth_from_sensor()[options.first_frame].inverse() *
                                       stream.truth_from_sensor()[at]);
  }
  return frames;
}

}  // namespace

Result<void> compare_fusion(const DepthStream& stream, const ComparisonOptions& options,
                            Figures& figures) {
  CUSP_ASSIGN(const Frames frames, decoded(stream, options));
  const Scene& scene = stream.scene();
  const std::vector<std::function<Fuser()>> makers = {
      [&] { return make_cusp_fuser(scene, options.threads); },
      [&] { return make_scalable_tsdf(peer_options(scene)); },
      [&] { return make_voxel_block_grid(peer_options(scene)); }};
  std::vector<Contestant> contestants;
  for (const auto& make : makers)
    contestants.push_back({make().name, [&]() -> Result<std::vector<Spent>> {
                             const Fuser fuser = make();
                             std::vector<Spent> times;
                             for (std::size_t i = 0; i < frames.depth.size(); ++i) {
                               CUSP_TRY(fuser.prepare(frames.depth[i]));
                               const Stopwatch watch;
                               CUSP_TRY(fuser.integrate(frames.first_from_sensor[i]));
                               times.push_back(watch.read());
                             }
                             return times;
                           }});
  CUSP_ASSIGN(const std::vector<Spent> times, contest(contestants, options.rounds));
  for (std::size_t i = 0; i < times.size(); ++i) {
    figures.add(
        {"allocate and integrate a frame, " + contestants[i].name, times[i].passed_ms, "ms"});
    figures.add({"  its processor time", times[i].cpu_ms, "ms"});
  }
  figures.add({"allocate and integrate, better peer / Cusp",
               std::min(times[1].passed_ms, times[2].passed_ms) / times[0].passed_ms, "x",
               Bar{9, 20, Better::kMore}});
  figures.add({"  of the processor time",
               std::min(times[1].cpu_ms, times[2].cpu_ms) / times[0].cpu_ms, "x"});
  return {};
}

Result<void> compare_slam(const DepthStream& stream, const ComparisonOptions& options,
                          Figures& figures) {
  CUSP_ASSIGN(const Frames frames, decoded(stream, options));
  const Scene& scene = stream.scene();
  ReconstructionOptions reconstruction_options = scene.reconstruction;
  reconstruction_options.threads = options.threads;
  const PeerOptions peer = peer_options(scene);
  // Where the last frame came to lie, against where it truly is.
  std::vector<double> drift_mm(2);
  const auto drift = [&](const RigidTransform& model_from_sensor) {
    return (model_from_sensor.translation() - frames.first_from_sensor.back().translation()).norm();
  };
  const std::vector<Contestant> contestants = {
      {"Cusp",
       [&]() -> Result<std::vector<Spent>> {
         Reconstruction reconstruction(reconstruction_options, scene.calibration);
         std::vector<Spent> times;
         for (std::size_t i = 0; i < options.frames; ++i) {
           RawFrame raw = stream.raw(options.first_frame + i, i);
           const Stopwatch watch;
           CUSP_ASSIGN(const FrameOutcome outcome, reconstruction.add(std::move(raw)));
           times.push_back(watch.read());
           drift_mm[0] = drift(outcome.pose.model_from_sensor);
         }
         return times;
       }},
      {make_slam(peer).name, [&]() -> Result<std::vector<Spent>> {
         const Slam slam = make_slam(peer);
         std::vector<Spent> times;
         for (const DepthFrame& depth : frames.depth) {
           const Stopwatch watch;
           CUSP_ASSIGN(const RigidTransform model_from_sensor, slam.add(depth));
           times.push_back(watch.read());
           drift_mm[1] = drift(model_from_sensor);
         }
         return times;
       }}};
  CUSP_ASSIGN(const std::vector<Spent> times, contest(contestants, options.rounds));
  for (std::size_t i = 0; i < times.size(); ++i) {
    figures.add({"a whole frame, " + contestants[i].name, times[i].passed_ms, "ms"});
    figures.add({"  its processor time", times[i].cpu_ms, "ms"});
    figures.add({"drift after these frames, " + contestants[i].name, 1000 * drift_mm[i], "um"});
  }
  figures.add({"a whole frame, peer / Cusp", times[1].passed_ms / times[0].passed_ms, "x",
               Bar{12, 20, Better::kMore}});
  figures.add({"  of the processor time", times[1].cpu_ms / times[0].cpu_ms, "x"});
  return {};
}

}  // namespace cusp::bench
