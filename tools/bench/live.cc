#include "tools/bench/live.h"

#include <array>
#include <chrono>
#include <cmath>
#include <numbers>
#include <thread>

#include "core/bounded_queue.h"
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

namespace {

// The n-th of a run, out of the stream and into the reconstruction.
struct Fed {
  std::size_t nth = 0;
  MonoTime came;
  RawFrame raw;
};

// Frames one after another; nothing when there are no more. `dropped` counts those that were lost.
class Camera {
 public:
  Camera(const DepthStream& stream, const std::vector<std::size_t>& order,
         std::optional<double> pace_hz)
      : stream_(stream), order_(order) {
    if (pace_hz) thread_ = std::jthread([this, pace_hz] { send(*pace_hz); });
  }
  ~Camera() { queue_.close(); }
  Camera(const Camera&) = delete;
  Camera& operator=(const Camera&) = delete;

  std::optional<Fed> next() {
    if (thread_.joinable()) return queue_.pop();
    if (next_ == order_.size()) return std::nullopt;
    Fed fed = photograph(next_++);
    fed.came = std::chrono::steady_clock::now();
    return fed;
  }
  [[nodiscard]] std::size_t dropped() const { return queue_.counts().dropped; }

 private:
  static constexpr std::size_t kQueue = 2;  // as the daemon's (config/cuspd.yaml: frame_queue)

  [[nodiscard]] Fed photograph(std::size_t nth) const {
    return {.nth = nth, .came = {}, .raw = stream_.raw(order_[nth], nth)};
  }
  void send(double pace_hz) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < order_.size(); ++i) {
      Fed fed = photograph(i);
      fed.came = start + std::chrono::duration_cast<MonoTime::duration>(
                             std::chrono::duration<double>(static_cast<double>(i + 1) / pace_hz));
      std::this_thread::sleep_until(fed.came);
      if (!queue_.push(std::move(fed))) return;
    }
    queue_.close();
  }

  const DepthStream& stream_;
  const std::vector<std::size_t>& order_;
  std::size_t next_ = 0;
  BoundedQueue<Fed> queue_{kQueue, WhenFull::kDropOldest};
  std::jthread thread_;  // the last member: it ends before what it uses
};

}  // namespace

Result<LiveRun> run_live(const DepthStream& stream, const LiveOptions& options) {
  ReconstructionOptions reconstruction_options = stream.scene().reconstruction;
  reconstruction_options.threads = options.threads;
  const std::vector<std::size_t> order =
      options.order.empty() ? to_and_fro(stream.size(), stream.size()) : options.order;
  LiveRun run;
  const std::size_t before = resident_bytes();
  Reconstruction reconstruction(reconstruction_options, stream.scene().calibration);
  Camera camera(stream, order, options.pace_hz);
  while (std::optional<Fed> fed = camera.next()) {
    const double cpu_before_ms = cpu_ms();
    const auto start = std::chrono::steady_clock::now();
    CUSP_ASSIGN(FrameOutcome outcome, reconstruction.add(std::move(fed->raw)));
    const auto end = std::chrono::steady_clock::now();
    run.frame_ms.push_back(Milliseconds(end - start).count());
    run.latency_ms.push_back(Milliseconds(end - fed->came).count());
    run.cpu_ms += cpu_ms() - cpu_before_ms;
    run.fed.push_back(order[fed->nth]);
    run.outcomes.push_back(std::move(outcome));
  }
  run.dropped = camera.dropped();
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

namespace {

// Figures of a scene; the bars hold for a whole scan of the arch.
class SceneFigures {
 public:
  SceneFigures(const SceneRequest& request, const std::string& how, Figures& figures)
      : before_(request.name + how + ": "),
        has_bars_(request.name == "arch10" && request.frames == 0),
        figures_(figures) {}

  void add(const std::string& what, double value, const std::string& unit,
           std::optional<Bar> bar = std::nullopt) {
    figures_.add({before_ + what, value, unit, has_bars_ ? bar : std::nullopt});
  }
  void add_times(const std::string& what, const std::vector<double>& times_ms,
                 std::optional<Bar> p50 = std::nullopt, std::optional<Bar> p99 = std::nullopt) {
    add(what + ", p50", quantile(times_ms, 0.5), "ms", p50);
    add(what + ", p90", quantile(times_ms, 0.9), "ms");
    add(what + ", p99", quantile(times_ms, 0.99), "ms", p99);
    add(what + ", max", quantile(times_ms, 1), "ms");
  }
  void add_step(const std::string& name, const LiveRun& run,
                std::chrono::nanoseconds StepTimes::*step) {
    std::vector<double> spent;
    for (const FrameOutcome& outcome : run.outcomes)
      spent.push_back(Milliseconds(outcome.times.*step).count());
    add("  " + name + ", p50", quantile(spent, 0.5), "ms");
    add("  " + name + ", p99", quantile(spent, 0.99), "ms");
  }
  void add_course(const LiveRun& run) {
    add("lost frames", static_cast<double>(run.counts.lost), "frames");
    add("relocalised frames", static_cast<double>(run.counts.relocalised), "frames");
    add("closures while scanning", static_cast<double>(run.counts.closures), "");
    add("  largest correction", 1000 * run.counts.largest_closure_mm, "um");
  }
  void add_processor_time(const LiveRun& run) {
    add("processor time of a frame, all threads",
        run.cpu_ms / static_cast<double>(run.frame_ms.size()), "ms");
  }

 private:
  std::string before_;
  bool has_bars_;
  Figures& figures_;
};

}  // namespace

void add_speed(const LiveRun& run, const SceneRequest& request, Figures& figures) {
  SceneFigures out(request, "", figures);
  out.add("frames", static_cast<double>(run.frame_ms.size()), "");
  out.add("sustained, track + fuse + live mesh", 1000 / mean(run.frame_ms), "frames/s",
          Bar{60, 100, Better::kMore});
  out.add_processor_time(run);
  out.add_times("time of a frame, one upon the other", run.frame_ms);
  out.add_step("decode", run, &StepTimes::decode);
  out.add_step("preprocess", run, &StepTimes::preprocess);
  out.add_step("track", run, &StepTimes::track);
  out.add_step("fuse", run, &StepTimes::fuse);
  out.add_step("live mesh", run, &StepTimes::mesh);
  out.add_step("keep", run, &StepTimes::keep);
  out.add_course(run);
  out.add("volume", static_cast<double>(run.volume_bytes) / 1e6, "MB");
  out.add("live mesh", static_cast<double>(run.live_mesh_bytes) / 1e6, "MB");
  out.add("memory of the whole reconstruction", static_cast<double>(run.resident_bytes) / 1e6, "MB",
          Bar{400, 250});
  out.add("whole mesh from the volume", run.mesh_ms, "ms");
  out.add("triangles", static_cast<double>(run.mesh.triangles.size()), "");
}

void add_pace(const LiveRun& run, double pace_hz, const SceneRequest& request, Figures& figures) {
  SceneFigures out(request, fmt::format(", {:g} frames/s", pace_hz), figures);
  out.add("dropped", static_cast<double>(run.dropped), "frames", Bar{0, 0});
  out.add_times("frame to mesh update", run.latency_ms, Bar{20, 12}, Bar{40, 25});
  out.add_processor_time(run);
  out.add_course(run);
}

namespace {

// What was expected of a surface, and what came.
template <typename Add>
void add_honesty(const Mesh& fitted, const sim::Surface& truth, std::span<const float> expected_mm,
                 const Add& add) {
  constexpr double kTenth = 0.1;
  const double mean_of_normal = std::sqrt(2 / std::numbers::pi);
  struct Vertex {
    double expected_um, off_um;
  };
  std::vector<Vertex> vertices;
  for (std::size_t i = 0; i < expected_mm.size(); ++i)
    if (const auto nearest = truth.closest(fitted.vertices_mm[i], 1))
      vertices.push_back({1000 * mean_of_normal * static_cast<double>(expected_mm[i]),
                          1000 * static_cast<double>(nearest->distance_mm)});
  std::ranges::sort(vertices, {}, &Vertex::expected_um);
  const auto part = [&](const std::string& what, double from, double to) {
    const auto count = static_cast<double>(vertices.size());
    const auto begin = static_cast<std::size_t>(from * count),
               end = static_cast<std::size_t>(to * count);
    double expected = 0, off = 0;
    for (std::size_t i = begin; i < end; ++i) {
      expected += vertices[i].expected_um / static_cast<double>(end - begin);
      off += vertices[i].off_um / static_cast<double>(end - begin);
    }
    add("expected error" + what + ", mean", expected, "um");
    add("  came true as", off, "um");
  };
  part("", 0, 1);
  for (int k = 0; k < 10; ++k) part(fmt::format(", tenth {}", k + 1), k * kTenth, (k + 1) * kTenth);
  const auto within = std::ranges::count_if(
      vertices, [&](const Vertex& v) { return v.off_um <= 2 / mean_of_normal * v.expected_um; });
  add("  within twice what was expected",
      100.0 * static_cast<double>(within) / static_cast<double>(vertices.size()), "%");
}

// What of the skin, the beard and the hair that were scanned is in the finished model: of the
// truth's vertices that the live mesh shows.
Result<void> add_kept(const Mesh& live, const Mesh& finished, const Mesh& truth,
                      std::uint32_t first_hairy, const std::string& scene, Figures& figures) {
  constexpr float kShownMm = 1.5F;
  CUSP_ASSIGN(const sim::Surface before, sim::Surface::create(live));
  CUSP_ASSIGN(const sim::Surface after, sim::Surface::create(finished));
  std::vector<std::uint8_t> hairy(truth.vertices_mm.size());
  for (std::size_t t = first_hairy; t < truth.triangles.size(); ++t)
    for (const std::uint32_t v : truth.triangles[t]) hairy[v] = 1;
  enum { kSkin, kBeard, kHair };
  std::array<double, 3> scanned{}, kept{};
  for (std::size_t v = 0; v < hairy.size(); ++v) {
    const Eigen::Vector3f& p = truth.vertices_mm[v];
    const std::size_t kind = hairy[v] == 0 ? kSkin : p.y() < 0 ? kBeard : kHair;
    if (!before.closest(p, kShownMm)) continue;
    ++scanned[kind];
    if (after.closest(p, kShownMm)) ++kept[kind];
  }
  for (const auto& [kind, what] : {std::pair{kSkin, "skin"}, {kBeard, "beard"}, {kHair, "hair"}})
    if (scanned.at(kind) > 0)
      figures.add({fmt::format("{}: finished, {} that is left", scene, what),
                   100 * kept.at(kind) / scanned.at(kind), "%"});
  return {};
}

}  // namespace

Result<void> add_accuracy(Which which, const Mesh& model, const LiveRun& run,
                          const DepthStream& stream, const SceneRequest& request, Figures& figures,
                          std::span<const float> expected_mm) {
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
  CUSP_ASSIGN(const verify::EdgeError edges, verify::measure_edge_error(fitted, stream.truth()));
  if (edges.vertices > 0) {
    add("error at edges of 20 degrees and more, mean", edges.mean_um, "um");
    add("error at edges of 20 degrees and more, 95 %", edges.p95_um, "um");
  }
  if (edges.vertices > 0 || edges.left_out > 0)
    add("edges left out of that, farther than 0.1 mm", 100 * edges.left_out, "%");
  if (const auto first = stream.scene().first_hairy; first && !live)
    CUSP_TRY(add_kept(verify::moved(run.mesh, fit.truth_from_model), fitted, stream.truth(), *first,
                      request.name, figures));
  if (!expected_mm.empty()) add_honesty(fitted, truth, expected_mm, add);
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
