#include "tools/bench/live.h"

#include <chrono>
#include <cmath>
#include <deque>
#include <numbers>

#include "pipeline/live_mesh.h"
#include "tools/bench/arch_error.h"
#include "tools/bench/process_usage.h"
#include "tools/bench/statistics.h"
#include "tools/verify/best_fit.h"
#include "tools/verify/surface_error.h"
#include "tools/verify/trajectory_error.h"

namespace cusp::bench {
namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

// Of a point on the camera's axis, at the scene's usual depth, after as many frames as a second
// has: how far the estimated motion takes it from where it truly went.
double motion_error_mm(const std::vector<RigidTransform>& estimated,
                       const std::vector<RigidTransform>& truth, double rate_hz, double depth_mm) {
  const auto step = static_cast<std::size_t>(rate_hz);
  std::vector<double> errors;
  for (std::size_t i = 0; i + step < estimated.size(); ++i) {
    const RigidTransform there = estimated[i].inverse() * estimated[i + step];
    const RigidTransform truly = truth[i].inverse() * truth[i + step];
    const Eigen::Vector3d point(0, 0, depth_mm);
    errors.push_back((there * point - truly * point).norm());
  }
  return errors.empty() ? 0 : median(errors);
}

struct AccuracyBars {
  std::optional<Bar> mean_um{}, p95_um{};
};
AccuracyBars bars_of(const SceneRequest& request) {
  if (request.frames != 0) return {};
  if (request.name == "arch10") return {Bar{5, 3}, Bar{13, 8}};
  if (request.name == "arch30") return {Bar{8, 5}, Bar{20, 14}};
  if (request.name == "face") return {Bar{250, 150}, std::nullopt};
  return {};
}

}  // namespace

Result<LiveRun> run_live(const DepthStream& stream, const LiveOptions& options) {
  ReconstructionOptions reconstruction_options = stream.scene().reconstruction;
  reconstruction_options.threads = options.threads;
  LiveRun run;
  run.fed = options.order.empty() ? to_and_fro(stream.size(), stream.size()) : options.order;
  const std::size_t before = resident_bytes();
  Reconstruction reconstruction(reconstruction_options, stream.scene().calibration);
  for (const std::size_t frame : run.fed) {
    const RawFrame raw = stream.raw(frame, run.outcomes.size());
    const double cpu_before_ms = cpu_ms();
    const auto start = std::chrono::steady_clock::now();
    CUSP_ASSIGN(const FrameOutcome outcome, reconstruction.add(raw));
    run.frame_ms.push_back(Milliseconds(std::chrono::steady_clock::now() - start).count());
    run.cpu_ms += cpu_ms() - cpu_before_ms;
    run.outcomes.push_back(outcome);
  }
  const std::size_t after = resident_bytes();
  run.resident_bytes = after > before ? after - before : 0;
  run.counts = reconstruction.counts();
  run.volume_bytes = reconstruction.volume_bytes();
  run.live_mesh_bytes = reconstruction.live_mesh().bytes();
  run.log = reconstruction.log();
  const auto start = std::chrono::steady_clock::now();
  run.mesh = reconstruction.mesh();
  run.mesh_ms = Milliseconds(std::chrono::steady_clock::now() - start).count();
  return run;
}

std::size_t dropped_at(double rate_hz, const std::vector<double>& frame_ms) {
  constexpr std::size_t kQueue = 2;
  const double period_ms = 1000 / rate_hz;
  std::size_t dropped = 0;
  std::deque<std::size_t> waiting;
  double free_ms = 0;
  const auto work_until = [&](double now_ms) {
    while (!waiting.empty()) {
      const double begin_ms = std::max(free_ms, static_cast<double>(waiting.front()) * period_ms);
      if (begin_ms > now_ms) return;
      free_ms = begin_ms + frame_ms[waiting.front()];
      waiting.pop_front();
    }
  };
  for (std::size_t i = 0; i < frame_ms.size(); ++i) {
    work_until(static_cast<double>(i) * period_ms);
    if (waiting.size() == kQueue) {
      waiting.pop_front();
      ++dropped;
    }
    waiting.push_back(i);
  }
  return dropped;
}

std::vector<std::size_t> to_and_fro(std::size_t stream_frames, std::size_t frames) {
  CUSP_CHECK(stream_frames > 0, "a stream of something");
  std::vector<std::size_t> order;
  const std::size_t turn = stream_frames == 1 ? 1 : 2 * (stream_frames - 1);
  for (std::size_t i = 0; i < frames; ++i) {
    const std::size_t at = i % turn;
    order.push_back(at < stream_frames ? at : turn - at);
  }
  return order;
}

void add_speed(const LiveRun& run, const Scene& scene, const SceneRequest& request,
               Figures& figures) {
  const auto& times = run.frame_ms;
  const bool has_bars = request.name == "arch10" && request.frames == 0;
  const auto add = [&](const std::string& what, double value, const std::string& unit,
                       std::optional<Bar> bar = std::nullopt) {
    figures.add({request.name + ": " + what, value, unit, has_bars ? bar : std::nullopt});
  };
  add("frames", static_cast<double>(times.size()), "");
  add("sustained, track + fuse + live mesh", 1000 / mean(times), "frames/s",
      Bar{60, 100, Better::kMore});
  add("processor time of a frame, all threads", run.cpu_ms / static_cast<double>(times.size()),
      "ms");
  add("dropped at the camera's rate", static_cast<double>(dropped_at(scene.rate_hz, times)),
      "frames", Bar{0, 0});
  add("frame to mesh update, p50", quantile(times, 0.5), "ms", Bar{20, 12});
  add("frame to mesh update, p90", quantile(times, 0.9), "ms");
  add("frame to mesh update, p99", quantile(times, 0.99), "ms", Bar{40, 25});
  add("frame to mesh update, max", quantile(times, 1), "ms");
  const auto step = [&](const std::string& name, auto member) {
    std::vector<double> spent;
    for (const FrameOutcome& outcome : run.outcomes)
      spent.push_back(Milliseconds(outcome.times.*member).count());
    add("  " + name + ", p50", quantile(spent, 0.5), "ms");
    add("  " + name + ", p99", quantile(spent, 0.99), "ms");
  };
  step("decode", &StepTimes::decode);
  step("preprocess", &StepTimes::preprocess);
  step("track", &StepTimes::track);
  step("fuse", &StepTimes::fuse);
  step("live mesh", &StepTimes::mesh);
  add("lost frames", static_cast<double>(run.counts.lost), "frames");
  add("relocalised frames", static_cast<double>(run.counts.relocalised), "frames");
  add("volume", static_cast<double>(run.volume_bytes) / 1e6, "MB");
  add("live mesh", static_cast<double>(run.live_mesh_bytes) / 1e6, "MB");
  add("memory of the whole reconstruction", static_cast<double>(run.resident_bytes) / 1e6, "MB",
      Bar{400, 250});
  add("whole mesh from the volume", run.mesh_ms, "ms");
  add("triangles", static_cast<double>(run.mesh.triangles.size()), "");
}

Result<void> add_accuracy(Which which, const Mesh& model, const LiveRun& run,
                          const DepthStream& stream, const SceneRequest& request,
                          Figures& figures) {
  const bool live = which == Which::kLive;
  const auto bars = live ? AccuracyBars{} : bars_of(request);
  const auto add = [&](const std::string& what, double value, const std::string& unit,
                       std::optional<Bar> bar = std::nullopt) {
    figures.add({request.name + (live ? ": live, " : ": finished, ") + what, value, unit, bar});
  };
  std::vector<RigidTransform> estimated, truly, views;
  std::vector<Eigen::Vector3d> estimated_mm, true_mm;
  for (std::size_t i = 0; i < run.fed.size(); ++i) {
    const RigidTransform& truth_from_sensor = stream.truth_from_sensor()[run.fed[i]];
    if (i % 10 == 0) views.push_back(truth_from_sensor);
    if (!run.outcomes[i].fused) continue;
    estimated.push_back(run.outcomes[i].pose.model_from_sensor);
    truly.push_back(truth_from_sensor);
    estimated_mm.emplace_back(estimated.back().translation());
    true_mm.emplace_back(truly.back().translation());
  }
  if (estimated.empty())
    return error(ErrorCode::kInvalidArgument, "{}: nothing was fused", request.name);
  CUSP_ASSIGN(const sim::Surface truth, sim::Surface::create(stream.truth()));
  CUSP_ASSIGN(const verify::Fit fit,
              verify::fit_to_surface(model, truth, {truly.front() * estimated.front().inverse()}));
  const Mesh fitted = verify::moved(model, fit.truth_from_model);
  CUSP_ASSIGN(const verify::SurfaceError surface,
              verify::measure_surface_error(fitted, truth, views));
  add("error to truth, mean", surface.mean_um, "um", bars.mean_um);
  add("error to truth, rms", surface.rms_um, "um");
  add("error to truth, 95 %", surface.p95_um, "um", bars.p95_um);
  add("error to truth, max", surface.max_um, "um");
  add("error to truth, bias", surface.bias_um, "um");
  add("coverage of what could be seen", 100 * surface.coverage, "%");
  if (stream.scene().molars_mm && run.fed.size() >= stream.size()) {
    if (const auto arch = measure_arch_error(fitted, truth, *stream.scene().molars_mm); arch.ok()) {
      add("intermolar distance, error", 1000 * arch->intermolar_mm, "um");
      add("arch twist", arch->twist_deg, "deg");
    }
  }
  if (live && estimated.size() >= 3) {
    CUSP_ASSIGN(const verify::TrajectoryError path,
                verify::absolute_trajectory_error(estimated_mm, true_mm));
    add("pose, absolute error of the path, rmse", 1000 * path.rmse_mm, "um");
    add("pose, error of the motion in a second, median",
        1000 * motion_error_mm(estimated, truly, stream.scene().rate_hz,
                               std::sqrt(stream.scene().reconstruction.min_depth_mm *
                                         stream.scene().reconstruction.max_depth_mm)),
        "um");
  }
  return {};
}

}  // namespace cusp::bench
