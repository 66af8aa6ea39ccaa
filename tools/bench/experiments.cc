#include "tools/bench/experiments.h"

#include <chrono>
#include <cmath>

#include "delivery/digest.h"
#include "pipeline/finish.h"
#include "pipeline/refine.h"
#include "tools/bench/arch_error.h"
#include "tools/bench/statistics.h"
#include "tools/verify/best_fit.h"
#include "tools/verify/surface_error.h"

namespace cusp::bench {
namespace {

// Of all bytes of a mesh.
std::string digest_of(const Mesh& mesh) {
  std::vector<std::uint8_t> bytes;
  const auto append = [&](const auto& values) {
    const auto part = std::as_bytes(std::span(values));
    const auto* const begin = reinterpret_cast<const std::uint8_t*>(part.data());
    bytes.insert(bytes.end(), begin, begin + part.size());
  };
  append(mesh.vertices_mm);
  append(mesh.normals);
  append(mesh.triangles);
  return delivery::sha256_hex(bytes);
}

// The model laid on the truth, from where its first fused frame truly was.
Result<Mesh> fitted(const Mesh& model, const LiveRun& run, const DepthStream& stream,
                    const sim::Surface& truth) {
  for (std::size_t i = 0; i < run.outcomes.size(); ++i) {
    if (!run.outcomes[i].fused) continue;
    const RigidTransform guess =
        stream.truth_from_sensor()[run.fed[i]] * run.outcomes[i].pose.model_from_sensor.inverse();
    CUSP_ASSIGN(const verify::Fit fit, verify::fit_to_surface(model, truth, {guess}));
    return verify::moved(model, fit.truth_from_model);
  }
  return error(ErrorCode::kInvalidArgument, "nothing was fused");
}

}  // namespace

Result<void> measure_flatness(const DepthStream& stream, std::size_t frames, int threads,
                              Figures& figures) {
  CUSP_ASSIGN(const LiveRun run,
              run_live(stream, {.threads = threads, .order = to_and_fro(stream.size(), frames)}));
  figures.add({"long scan: frames", static_cast<double>(frames), ""});
  figures.add({"long scan: cost of a frame, last eighth / first",
               last_over_first_eighth(run.frame_ms), "x", Bar{1.2, 1.05}});
  figures.add({"long scan: lost", static_cast<double>(run.counts.lost), "frames"});
  figures.add({"long scan: volume", static_cast<double>(run.volume_bytes) / 1e6, "MB"});
  return {};
}

Result<FinishedScan> measure_finish(const LiveRun& run, const Scene& scene,
                                    const SceneRequest& request, int threads, Figures& figures) {
  using Seconds = std::chrono::duration<double>;
  const auto start = std::chrono::steady_clock::now();
  ReconstructionOptions options = scene.reconstruction;
  options.threads = threads;
  CUSP_ASSIGN(RefinedScan refined, refine(run.log, options, scene.calibration));
  const Seconds refining = std::chrono::steady_clock::now() - start;
  CUSP_ASSIGN(FinishedModel model, finish(std::move(refined.mesh), {}, {.threads = threads}));
  WorkerPool pool(threads);
  std::vector<float> expected_mm = refined.expected_error.of(model.mesh, pool);
  const Seconds finishing = std::chrono::steady_clock::now() - start;
  const bool has_bar = request.name == "arch10" && request.frames == 0;
  const auto add = [&](const std::string& what, double value, const std::string& unit) {
    figures.add({request.name + ": finished, " + what, value, unit});
  };
  add("kept frames", static_cast<double>(run.log.frames()), "");
  add("kept frames, memory", static_cast<double>(run.log.bytes()) / 1e6, "MB");
  if (refined.adjustment) {
    add("surfaces apart before the adjustment, rms", refined.adjustment->rms_before_um, "um");
    add("surfaces apart after it, rms", refined.adjustment->rms_after_um, "um");
    add("drift that it took back, rms", refined.adjustment->drift_um, "um");
    add("depth warp that it found, rms", refined.adjustment->warp_rms_um, "um");
  }
  add("adjust and fuse anew", refining.count(), "s");
  const auto bar = [&](Bar some) { return has_bar ? std::optional(some) : std::nullopt; };
  const Seconds detail = refined.detail.time;
  figures.add({request.name + ": finished, whole time at the live voxel size",
               (finishing - detail).count(), "s", bar({8, 4})});
  figures.add({request.name + ": finished, whole time with what bends at the width of a pixel",
               finishing.count(), "s", bar({15, 8})});
  add("vertices added where it bends", static_cast<double>(refined.detail.added), "");
  add("triangles", static_cast<double>(model.mesh.triangles.size()), "");
  return FinishedScan{std::move(model.mesh), std::move(expected_mm)};
}

Result<void> measure_precision(const SceneRequest& scene, const std::filesystem::path& cache,
                               int seeds, int threads, Figures& figures) {
  std::vector<double> intermolar_um, means_um, apart_um;
  std::optional<sim::Surface> before;
  for (int seed = 1; seed <= seeds; ++seed) {
    SceneRequest request = scene;
    request.seed = static_cast<std::uint64_t>(seed);
    CUSP_ASSIGN(const DepthStream stream, DepthStream::open(request, cache));
    CUSP_ASSIGN(const LiveRun run, run_live(stream, {.threads = threads}));
    CUSP_ASSIGN(const sim::Surface truth, sim::Surface::create(stream.truth()));
    ReconstructionOptions options = stream.scene().reconstruction;
    options.threads = threads;
    CUSP_ASSIGN(RefinedScan refined, refine(run.log, options, stream.scene().calibration));
    CUSP_ASSIGN(const FinishedModel finished,
                finish(std::move(refined.mesh), {}, {.threads = threads}));
    CUSP_ASSIGN(Mesh model, fitted(finished.mesh, run, stream, truth));
    CUSP_ASSIGN(const verify::SurfaceError off, verify::measure_surface_error(model, truth, {}));
    means_um.push_back(off.mean_um);
    if (stream.scene().molars_mm) {
      CUSP_ASSIGN(const ArchError arch,
                  measure_arch_error(model, truth, *stream.scene().molars_mm));
      intermolar_um.push_back(1000 * arch.intermolar_mm);
    }
    if (before) {
      CUSP_ASSIGN(const verify::Fit fit,
                  verify::fit_to_surface(model, *before, {RigidTransform::Identity()}));
      CUSP_ASSIGN(
          const verify::SurfaceError apart,
          verify::measure_surface_error(verify::moved(model, fit.truth_from_model), *before, {}));
      apart_um.push_back(apart.mean_um);
    }
    CUSP_ASSIGN(before, sim::Surface::create(std::move(model)));
  }
  const std::string name = fmt::format("{}, {} seeds: ", scene.name, seeds);
  figures.add({name + "error to truth, mean of the means", mean(means_um), "um"});
  if (!intermolar_um.empty()) {
    std::vector<double> sizes;
    for (const double value : intermolar_um) sizes.push_back(std::abs(value));
    figures.add({name + "intermolar error, mean absolute", mean(sizes), "um", Bar{15, 5}});
    figures.add({name + "intermolar error, mean", mean(intermolar_um), "um"});
    figures.add(
        {name + "intermolar error, standard deviation", standard_deviation(intermolar_um), "um"});
  }
  if (!apart_um.empty())
    figures.add(
        {name + "precision, mean distance between models", mean(apart_um), "um", Bar{4, 2}});
  return {};
}

Result<void> measure_repeatability(const DepthStream& stream, std::size_t frames, int threads,
                                   Figures& figures) {
  const LiveOptions options{.threads = threads, .order = to_and_fro(stream.size(), frames)};
  CUSP_ASSIGN(const LiveRun once, run_live(stream, options));
  CUSP_ASSIGN(const LiveRun again, run_live(stream, options));
  const std::string first = digest_of(once.mesh), second = digest_of(again.mesh);
  fmt::print("SHA-256 of the mesh: {}, {}\n", first, second);
  figures.add(
      {"runs whose mesh differs in any bit", first == second ? 0.0 : 1.0, "of 1", Bar{0, 0}});
  return {};
}

}  // namespace cusp::bench
