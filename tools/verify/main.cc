// cusp-verify: compares what was scanned with what is true. Exit codes: 0 measured, 1 it could not
// be measured (one sentence on stderr), 2 wrong usage.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/file_system.h"
#include "pipeline/export.h"
#include "tools/sim/png_file.h"
#include "tools/sim/trajectory.h"
#include "tools/verify/best_fit.h"
#include "tools/verify/fringes.h"
#include "tools/verify/replay.h"
#include "tools/verify/surface_error.h"
#include "tools/verify/trajectory_error.h"

namespace {

using namespace cusp;
using namespace cusp::verify;
using nlohmann::json;

// --- surface ---

struct SurfaceOptions {
  std::filesystem::path model, truth;
  std::optional<std::filesystem::path> start_pose, truth_poses;
  bool as_json = false;
};

Result<std::vector<RigidTransform>> poses_of(const std::filesystem::path& path) {
  CUSP_ASSIGN(const std::vector<sim::TrajectoryPose> poses, sim::read_trajectory(path, 1.0, true));
  std::vector<RigidTransform> transforms;
  for (const auto& pose : poses) transforms.push_back(pose.world_from_camera);
  if (transforms.empty()) return error(ErrorCode::kCorrupt, "{}: no pose in it", path.string());
  return transforms;
}

Result<void> run_surface(const SurfaceOptions& options) {
  CUSP_ASSIGN(Mesh model, read_mesh(options.model));
  CUSP_ASSIGN(Mesh true_mesh, read_mesh(options.truth));
  CUSP_ASSIGN(const sim::Surface truth, sim::Surface::create(std::move(true_mesh)));
  // A model's frame is the sensor's of the first fused frame: one of the true poses, most likely an
  // early one.
  std::vector<RigidTransform> views, guesses;
  if (options.truth_poses) {
    CUSP_ASSIGN(views, poses_of(*options.truth_poses));
    constexpr std::size_t kGuessStride = 5;
    for (std::size_t i = 0; i < views.size(); i += kGuessStride) guesses.push_back(views[i]);
  }
  if (options.start_pose) {
    CUSP_ASSIGN(const std::vector<RigidTransform> start, poses_of(*options.start_pose));
    guesses = {start.front()};
  }
  CUSP_ASSIGN(const Fit fit, fit_to_surface(model, truth, guesses));
  const std::size_t triangles = model.triangles.size();
  CUSP_ASSIGN(const SurfaceError measured,
              measure_surface_error(moved(std::move(model), fit.truth_from_model), truth, views));
  if (options.as_json) {
    json matrix = json::array();
    for (Eigen::Index row = 0; row < 4; ++row)
      for (Eigen::Index column = 0; column < 4; ++column)
        matrix.push_back(fit.truth_from_model.matrix()(row, column));
    const json answer = {
        {"triangles", triangles},
        {"mean_um", measured.mean_um},
        {"median_um", measured.median_um},
        {"rms_um", measured.rms_um},
        {"p95_um", measured.p95_um},
        {"max_um", measured.max_um},
        {"bias_um", measured.bias_um},
        {"coverage", measured.coverage},
        {"seeable_mm2", measured.seeable_mm2},
        {"fit", {{"inlier_share", fit.inlier_share}, {"rms_um", 1000 * fit.rms_mm}}},
        {"truth_from_model", matrix}};
    fmt::print("{}\n", answer.dump(2));
    return {};
  }
  fmt::print(
      "{}: {} triangles, best fit to {}\n"
      "  to the true surface: median {:.1f} µm, mean {:.1f} µm, 95 % {:.1f} µm, max {:.1f} µm, "
      "bias "
      "{:+.1f} µm\n"
      "  coverage: {:.1f} % of the {:.0f} mm2 that could be seen\n",
      options.model.string(), triangles, options.truth.string(), measured.median_um,
      measured.mean_um, measured.p95_um, measured.max_um, measured.bias_um, 100 * measured.coverage,
      measured.seeable_mm2);
  return {};
}

// --- trajectory ---

struct TrajectoryOptions {
  ReplayOptions replay;
  std::filesystem::path trajectory;
  std::vector<double> intrinsics;
  double mm_per_unit = 1000;
  bool as_json = false;
};

Result<void> run_trajectory(TrajectoryOptions options) {
  CUSP_ASSIGN(const auto files, sim::list_pngs(options.replay.frames));
  CUSP_ASSIGN(const sim::GreyImage16 first, sim::read_png16(files.front()));
  options.replay.intrinsics = {first.width_px,        first.height_px,       options.intrinsics[0],
                               options.intrinsics[1], options.intrinsics[2], options.intrinsics[3]};
  CUSP_ASSIGN(const std::vector<sim::TrajectoryPose> truth,
              sim::read_trajectory(options.trajectory, options.mm_per_unit));
  if (truth.size() < std::min<std::uint64_t>(files.size(), options.replay.most_frames))
    return error(ErrorCode::kInvalidArgument, "{}: {} poses for {} frames",
                 options.trajectory.string(), truth.size(), files.size());
  CUSP_ASSIGN(const Replay replayed, replay(options.replay, [](std::size_t, const Pose&) {}));

  std::vector<Eigen::Vector3d> estimated_mm, true_mm;
  for (std::size_t i = 0; i < replayed.poses.size(); ++i) {
    if (!replayed.poses[i].usable()) continue;
    estimated_mm.push_back(replayed.poses[i].model_from_sensor.translation());
    true_mm.push_back(truth[i].world_from_camera.translation());
  }
  CUSP_ASSIGN(const TrajectoryError off, absolute_trajectory_error(estimated_mm, true_mm));
  const ReconstructionCounts& counts = replayed.counts;
  if (options.as_json) {
    const json answer = {{"frames", counts.frames},           {"tracked", counts.tracked},
                         {"relocalised", counts.relocalised}, {"lost", counts.lost},
                         {"ate_rmse_mm", off.rmse_mm},        {"ate_median_mm", off.median_mm},
                         {"ate_max_mm", off.max_mm},          {"path_mm", off.length_mm}};
    fmt::print("{}\n", answer.dump(2));
    return {};
  }
  fmt::print(
      "{}: {} frames, {} tracked, {} relocalised, {} lost\n"
      "  absolute trajectory error over {:.0f} mm of path: rmse {:.2f} mm, median {:.2f} mm, max "
      "{:.2f} "
      "mm\n",
      options.replay.frames.string(), counts.frames, counts.tracked, counts.relocalised,
      counts.lost, off.length_mm, off.rmse_mm, off.median_mm, off.max_mm);
  return {};
}

// --- fringes ---

struct FringeOptions {
  StructuredLightFiles files;
  ReconstructionOptions reconstruction;
  std::optional<std::filesystem::path> model, picture;
  bool as_json = false;
};

Result<void> run_fringes(const FringeOptions& options) {
  CUSP_ASSIGN(const StructuredLightScan scan, read_structured_light_scan(options.files));
  CUSP_ASSIGN(const StillView view, still_view(scan, options.reconstruction));
  PosixFileSystem files;
  if (options.model) CUSP_TRY(files.write_synced(*options.model, to_ply(view.mesh)));
  if (options.picture) {
    CUSP_ASSIGN(const auto png, render_thumbnail_png(view.mesh, 1024, 1024));
    CUSP_TRY(files.write_synced(*options.picture, png));
  }
  if (options.as_json) {
    const json answer = {{"points", view.points},
                         {"median_sigma_mm", view.median_sigma_mm},
                         {"median_noise_mm", view.median_noise_mm},
                         {"triangles", view.mesh.triangles.size()}};
    fmt::print("{}\n", answer.dump(2));
    return {};
  }
  fmt::print(
      "{}: {} points, {} triangles\n"
      "  noise of a point: {:.3f} mm measured, {:.3f} mm expected (medians)\n",
      options.files.pictures.string(), view.points, view.mesh.triangles.size(),
      view.median_noise_mm, view.median_sigma_mm);
  return {};
}

void add_surface(CLI::App& app, SurfaceOptions& options) {
  auto* command = app.add_subcommand(
      "surface",
      "Distance of a scanned model to the true surface after a best fit, in micrometres");
  command->add_option("--model", options.model, "STL, PLY or OBJ, mm")->required();
  command->add_option("--truth", options.truth, "The true surface, mm")->required();
  auto* start =
      command->add_option("--start-pose", options.start_pose,
                          "File with the one pose (truth_from_model, mm) to begin the fit");
  command
      ->add_option(
          "--truth-poses", options.truth_poses,
          "The scanner's true poses (truth-SCENE.log): where to begin the fit, and what could be "
          "seen")
      ->excludes(start);
  command->add_flag("--json", options.as_json, "As one JSON object");
}

void add_trajectory(CLI::App& app, TrajectoryOptions& options) {
  ReconstructionOptions& reconstruction = options.replay.reconstruction;
  reconstruction = {.voxel_mm = 10, .min_depth_mm = 300, .max_depth_mm = 6000};
  options.replay.most_frames = 1'000'000;
  auto* command = app.add_subcommand(
      "trajectory", "Camera path tracked from recorded depth against the true one (ATE, mm)");
  command->add_option("--frames", options.replay.frames, "Folder of 16-bit PNG depth, mm")
      ->required();
  command->add_option("--trajectory", options.trajectory, "True poses, one a frame (.log)")
      ->required();
  command->add_option("--intrinsics", options.intrinsics, "fx,fy,cx,cy in pixels")
      ->delimiter(',')
      ->expected(4)
      ->required();
  command->add_option("--mm-per-unit", options.mm_per_unit, "Of the true poses: 1000 for metres")
      ->capture_default_str();
  command->add_option("--voxel-mm", reconstruction.voxel_mm, "Of the volume")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--min-depth-mm", reconstruction.min_depth_mm, "Nearer is not used")
      ->capture_default_str();
  command->add_option("--max-depth-mm", reconstruction.max_depth_mm, "Farther is not used")
      ->capture_default_str();
  command->add_option("--threads", reconstruction.threads, "Of the reconstruction")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--most-frames", options.replay.most_frames, "Stop after so many")
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", options.as_json, "As one JSON object");
}

void add_fringes(CLI::App& app, FringeOptions& options) {
  options.reconstruction.voxel_mm = 0.4;
  auto* command = app.add_subcommand(
      "fringes", "A recorded structured-light scan, decoded and reconstructed as one still view");
  command->add_option("--pictures", options.files.pictures, "Folder of 8-bit PNG, as projected")
      ->required();
  command->add_option("--calibration", options.files.calibration, "SLStudio's calibration.xml")
      ->required();
  command
      ->add_option("--pitches", options.files.pitches_px,
                   "Fringe periods in projector columns, three pictures each: 114,1824")
      ->delimiter(',')
      ->required();
  command->add_option("--min-depth-mm", options.reconstruction.min_depth_mm, "Of the object")
      ->required();
  command->add_option("--max-depth-mm", options.reconstruction.max_depth_mm, "Of the object")
      ->required();
  command->add_option("--voxel-mm", options.reconstruction.voxel_mm, "Of the volume")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--model", options.model, "Write the mesh here (PLY)");
  command->add_option("--picture", options.picture, "Write a picture of it here (PNG)");
  command->add_flag("--json", options.as_json, "As one JSON object");
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app("Compares what was scanned with what is true.");
  app.require_subcommand(1);
  SurfaceOptions surface;
  TrajectoryOptions trajectory;
  FringeOptions fringes;
  add_surface(app, surface);
  add_trajectory(app, trajectory);
  add_fringes(app, fringes);
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? 0 : 2;
  }
  fringes.files.min_depth_mm = fringes.reconstruction.min_depth_mm;
  fringes.files.max_depth_mm = fringes.reconstruction.max_depth_mm;
  const Result<void> result = app.got_subcommand("surface") ? run_surface(surface)
                              : app.got_subcommand("fringes")
                                  ? run_fringes(fringes)
                                  : run_trajectory(std::move(trajectory));
  if (!result.ok()) {
    fmt::print(stderr, "cusp-verify: {}\n", result.error().message);
    return 1;
  }
  return 0;
}
