#include "tools/bench/fringes.h"

#include <chrono>
#include <numbers>

#include "pipeline/finish.h"
#include "pipeline/fringe.h"
#include "pipeline/reconstruction.h"
#include "pipeline/refine.h"
#include "tools/bench/arch_error.h"
#include "tools/bench/statistics.h"
#include "tools/sim/arch_scene.h"
#include "tools/sim/fringe_renderer.h"
#include "tools/sim/operator_sweeps.h"
#include "tools/sim/wand_optics.h"
#include "tools/verify/best_fit.h"
#include "tools/verify/surface_error.h"

namespace cusp::bench {
namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr double kMinDepthMm = 10, kMaxDepthMm = 20;

RawFrame picture_frame(const Calibration& wand, const FringeIndex& index, std::uint64_t sequence) {
  const bool is_colour = index.pattern == index.patterns;
  RawFrame frame{.sequence = sequence,
                 .format = is_colour ? PixelFormat::kYuy2 : PixelFormat::kGrey8,
                 .width_px = wand.depth.width_px,
                 .height_px = wand.depth.height_px};
  frame.fringe = index;
  frame.bytes.resize(static_cast<std::size_t>(wand.depth.width_px) *
                     static_cast<std::size_t>(wand.depth.height_px) * (is_colour ? 2 : 1));
  return frame;
}

struct Jaw {
  sim::ArchSceneOptions options;
  Mesh mesh;
  sim::TissueMap tissues;
};
Jaw make_jaw(double resolution_mm) {
  Jaw jaw;
  jaw.options.resolution_mm = resolution_mm;
  jaw.mesh = sim::make_arch(jaw.options);
  jaw.tissues.of_vertex = sim::arch_tissues(jaw.options, jaw.mesh);
  return jaw;
}

}  // namespace

Result<void> measure_decoding(int threads, int rounds, Figures& figures) {
  constexpr int kSteps = 4;
  constexpr double kMotionMm = 0.3;  // along and across, from a sequence to the next
  const sim::WandOptics optics;
  Calibration wand = sim::wand_calibration(optics);
  wand.fringe->patterns.clear();
  for (const double pitch_px : {optics.fine_pitch_px, optics.coarse_pitch_px})
    for (int step = 0; step < kSteps; ++step)
      wand.fringe->patterns.push_back({pitch_px, 2 * std::numbers::pi * step / kSteps});
  const auto patterns = static_cast<int>(wand.fringe->patterns.size());

  const Jaw jaw = make_jaw(0.2);
  CUSP_ASSIGN(const sim::OperatorPath path,
              sim::sweep_teeth(jaw.mesh, {.lifts = 0, .most_frames = 120}));
  CUSP_ASSIGN(sim::FringeRenderer renderer,
              sim::FringeRenderer::create(jaw.mesh, jaw.tissues, wand, sim::FringeEffects{}, 1));
  std::vector<RawFrame> pictures;
  for (int i = 0; i < patterns; ++i) {
    pictures.push_back(picture_frame(wand, {0, i, patterns}, 0));
    renderer.fringe({.scene_from_sensor = path.scene_from_sensor(path.frames() - 1)}, i,
                    pictures.back().bytes);
  }
  CUSP_ASSIGN(FringeDecoder decoder, FringeDecoder::create(wand, {.min_depth_mm = kMinDepthMm,
                                                                  .max_depth_mm = kMaxDepthMm}));
  WorkerPool pool(threads);
  const RigidTransform motion(Eigen::Translation3d(kMotionMm, kMotionMm, 0));
  std::vector<double> times, follow_times;
  std::size_t measured = 0;
  for (int round = 0; round < rounds; ++round) {
    std::chrono::steady_clock::duration spent{};
    DepthFrame* depth = nullptr;
    for (RawFrame& picture : pictures) {
      picture.fringe->sequence = static_cast<std::uint32_t>(round);
      picture.sequence = static_cast<std::uint64_t>(round * patterns + picture.fringe->pattern);
      RawFrame taken = picture;
      const auto start = std::chrono::steady_clock::now();
      CUSP_ASSIGN(depth, decoder.add(std::move(taken), pool));
      spent += std::chrono::steady_clock::now() - start;
    }
    if (depth == nullptr)
      return error(ErrorCode::kInvalidArgument, "a whole sequence gave no depth");
    times.push_back(Milliseconds(spent).count());
    measured = static_cast<std::size_t>(
        std::ranges::count_if(depth->depth_mm, [](float z) { return z > 0; }));
  }
  for (int round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    if (decoder.follow(motion, pool) == nullptr)
      return error(ErrorCode::kInvalidArgument, "a whole sequence could not be followed");
    follow_times.push_back(Milliseconds(std::chrono::steady_clock::now() - start).count());
  }
  figures.add({"decode of 8 patterns 640x480, p50", quantile(times, 0.5), "ms", Bar{1, 0.4}});
  figures.add({"decode of 8 patterns 640x480, p99", quantile(times, 0.99), "ms"});
  figures.add({"  again, with the motion taken out, p50", quantile(follow_times, 0.5), "ms"});
  figures.add({"  share of the pixels that were measured",
               100 * static_cast<double>(measured) / (640 * 480), "%"});
  return {};
}

Result<void> measure_wand_scan(const WandRequest& request, int threads,
                               const std::filesystem::path& cache_folder, Figures& figures) {
  CUSP_ASSIGN(const WandStream stream, WandStream::open(request, cache_folder));
  const std::uint64_t patterns = stream.patterns();
  const ReconstructionOptions reconstruction_options{.voxel_mm = 0.05,
                                                     .min_depth_mm = kMinDepthMm,
                                                     .max_depth_mm = kMaxDepthMm,
                                                     .threads = threads};
  Reconstruction reconstruction(reconstruction_options, stream.calibration());
  std::vector<RigidTransform> views;
  std::optional<RigidTransform> truth_from_model;
  std::vector<double> frame_ms;
  for (std::uint64_t sequence = 0; sequence < stream.sequences(); ++sequence) {
    double spent_ms = 0;
    FrameOutcome outcome;
    for (std::uint64_t i = 0; i < patterns; ++i) {
      RawFrame picture = stream.picture(sequence * patterns + i);
      const auto start = std::chrono::steady_clock::now();
      CUSP_ASSIGN(outcome, reconstruction.add(std::move(picture)));
      spent_ms += Milliseconds(std::chrono::steady_clock::now() - start).count();
    }
    frame_ms.push_back(spent_ms);
    const RigidTransform middle = stream.truth_from_sensor(sequence * patterns + patterns / 2);
    if (sequence % 10 == 0) views.push_back(middle);
    if (outcome.fused && !truth_from_model)
      truth_from_model = middle * outcome.pose.model_from_sensor.inverse();
  }
  if (!truth_from_model)
    return error(ErrorCode::kInvalidArgument, "wand simulator: nothing was fused");
  const ReconstructionCounts counts = reconstruction.counts();
  const std::string name = "wand simulator";
  figures.add({name + ": sequences", static_cast<double>(stream.sequences()), ""});
  figures.add({name + ": pictures to mesh update, p50", quantile(frame_ms, 0.5), "ms"});
  figures.add({name + ": fused", static_cast<double>(counts.tracked), "frames"});
  figures.add({name + ": lost", static_cast<double>(counts.lost), "frames"});
  figures.add({name + ": obscured", static_cast<double>(counts.obscured), "frames"});

  CUSP_ASSIGN(const sim::Surface truth, sim::Surface::create(stream.truth()));
  const auto measure = [&](const std::string& which, Mesh model,
                           std::optional<Bar> bar) -> Result<void> {
    CUSP_ASSIGN(const verify::Fit fit, verify::fit_to_surface(model, truth, {*truth_from_model}));
    CUSP_ASSIGN(const verify::SurfaceError surface,
                verify::measure_surface_error(verify::moved(std::move(model), fit.truth_from_model),
                                              truth, views));
    const std::string error = name + ": " + which + ", error to truth, ";
    figures.add({error + "mean", surface.mean_um, "um", bar});
    figures.add({error + "median", surface.median_um, "um"});
    figures.add({error + "95 %", surface.p95_um, "um"});
    figures.add({error + "bias", surface.bias_um, "um"});
    figures.add({name + ": " + which + ", coverage", 100 * surface.coverage, "%"});
    return {};
  };
  CUSP_TRY(measure("live", reconstruction.mesh(), std::nullopt));
  CUSP_ASSIGN(RefinedScan refined,
              refine(reconstruction.log(), reconstruction_options, stream.calibration()));
  CUSP_ASSIGN(FinishedModel model, finish(std::move(refined.mesh), {}, {.threads = threads}));
  CUSP_TRY(measure("finished", std::move(model.mesh), Bar{15, 8}));
  return {};
}

}  // namespace cusp::bench
