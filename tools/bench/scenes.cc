#include "tools/bench/scenes.h"

#include <memory>

#include "pipeline/noise_model.h"
#include "tools/bench/depth_noise.h"
#include "tools/sim/arch_scene.h"
#include "tools/sim/head_shape.h"
#include "tools/sim/noise_model.h"
#include "tools/sim/operator_path.h"
#include "tools/sim/operator_sweeps.h"

namespace cusp::bench {
namespace {

// Beside each text of parameters: what the code makes of them. It goes up when that changes.
constexpr int kVersion = 1;

constexpr double kMinDepthMm = 7.5, kMaxDepthMm = 30;

Scene arch_scene(const SceneRequest& request, double sigma_mm, double warp_mm) {
  const sim::ArchSceneOptions arch{.jaw = sim::Jaw::kUpper, .resolution_mm = 0.07, .seed = 1};
  const sim::SweepOptions sweeps{.rate_hz = 30,
                                 .speed_mm_s = 10,
                                 .standoff_mm = 15,
                                 .tilt_deg = 55,
                                 .pauses = 0,
                                 .lifts = 0,
                                 .most_frames = request.frames,
                                 .seed = request.seed};
  const DepthNoiseOptions noise{
      .sigma_mm = sigma_mm, .reference_mm = 15, .warp_mm = warp_mm, .seed = request.seed};
  Scene scene;
  scene.calibration.id = "cusp-bench-" + request.name;
  scene.calibration.depth_unit_mm = noise.depth_unit_mm;
  scene.calibration.depth = {.width_px = 640,
                             .height_px = 480,
                             .fx_px = 600,
                             .fy_px = 600,
                             .cx_px = 319.5,
                             .cy_px = 239.5};
  // The baseline with which the pipeline's noise model expects this very sigma.
  scene.calibration.baseline_mm =
      noise.reference_mm * noise.reference_mm * kDisparitySigmaPx / (600 * sigma_mm);
  scene.reconstruction = {
      .voxel_mm = 0.05, .min_depth_mm = kMinDepthMm, .max_depth_mm = kMaxDepthMm};
  scene.rate_hz = sweeps.rate_hz;
  scene.parameters = fmt::format(
      "{} version {}: arch {} mm seed {}, sweeps {} Hz {} mm/s {} mm {} deg seed {}, {}",
      request.name, kVersion, arch.resolution_mm, arch.seed, sweeps.rate_hz, sweeps.speed_mm_s,
      sweeps.standoff_mm, sweeps.tilt_deg, sweeps.seed, to_text(noise));

  std::vector<Eigen::Vector3d> molars;
  for (const sim::PlacedTooth& tooth :
       sim::place_teeth(arch.jaw, sim::arch_curve(arch.jaw), arch.seed))
    if (tooth.position == 6)
      molars.push_back(
          tooth.model_from_local({0, 0, -0.4F * tooth.size.crown_height_mm}).cast<double>());
  scene.molars_mm.emplace(molars.front(), molars.back());

  scene.make_content = [arch, sweeps]() -> Result<SceneContent> {
    SceneContent content{.truth = sim::make_arch(arch), .truth_from_sensor = {}};
    // The way does not depend on how finely the jaw is cut into triangles.
    sim::ArchSceneOptions coarse = arch;
    coarse.resolution_mm = 0.3;
    CUSP_ASSIGN(const sim::OperatorPath path, sim::sweep_teeth(sim::make_arch(coarse), sweeps));
    for (std::uint64_t i = 0; i < path.frames(); ++i)
      content.truth_from_sensor.push_back(path.scene_from_sensor(i));
    return content;
  };
  scene.make_measure = [noise, camera = scene.calibration.depth]() -> Measure {
    return [sensor = std::make_shared<DepthNoise>(noise, camera)](
               const sim::DepthImage& ideal, std::uint64_t frame, std::span<std::uint16_t> z16) {
      sensor->measure(ideal, frame, z16);
    };
  };
  return scene;
}

// A D415 (baseline 55 mm), whose subpixel disparity noise StereoNoise has from Intel's own figures.
Scene face_scene(const SceneRequest& request) {
  sim::HeadOptions head{.resolution_mm = 0.5};
  const bool hairy = request.name == "hair";
  head.hair = head.beard = head.neck = hairy;
  const sim::OperatorPathOptions path{.frames = request.frames > 0 ? request.frames : 300,
                                      .standoff_mm = 350,
                                      .tilt_deg = 30,
                                      .seed = request.seed};
  sim::StereoNoiseOptions noise{.baseline_mm = 55, .seed = request.seed};
  Scene scene;
  if (hairy) scene.first_hairy = noise.first_hairy = sim::make_head(head).first_hairy;
  scene.calibration.id = "cusp-bench-face";
  scene.calibration.depth_unit_mm = noise.depth_unit_mm;
  scene.calibration.baseline_mm = noise.baseline_mm;
  scene.calibration.depth = {.width_px = 640,
                             .height_px = 480,
                             .fx_px = 615,
                             .fy_px = 615,
                             .cx_px = 319.5,
                             .cy_px = 239.5};
  scene.reconstruction = {
      .voxel_mm = 0.5, .min_depth_mm = 270, .max_depth_mm = 600, .hair_at = hairy ? 2.0 : 0.0};
  scene.rate_hz = path.rate_hz;
  scene.parameters = fmt::format(
      "{} version {}: head {} mm, path {} frames {} mm {} deg seed {}, "
      "stereo {} mm {} px seed {}",
      request.name, kVersion, head.resolution_mm, path.frames, path.standoff_mm, path.tilt_deg,
      path.seed, noise.baseline_mm, noise.disparity_sigma_px, noise.seed);
  if (hairy)
    scene.parameters +=
        fmt::format(", hair, beard and neck: {} mm {}", noise.hair_sigma_mm, noise.hair_lost_share);
  const Intrinsics camera = scene.calibration.depth;
  scene.make_content = [path, camera, head]() -> Result<SceneContent> {
    SceneContent content{.truth = sim::make_head(head).mesh, .truth_from_sensor = {}};
    CUSP_ASSIGN(const sim::OperatorPath way,
                sim::OperatorPath::around(content.truth, camera, path));
    for (std::uint64_t i = 0; i < way.frames(); ++i)
      content.truth_from_sensor.push_back(way.scene_from_sensor(i));
    return content;
  };
  scene.make_measure = [noise, camera]() -> Measure {
    return [sensor = std::make_shared<sim::StereoNoise>(noise, camera)](
               const sim::DepthImage& ideal, std::uint64_t frame, std::span<std::uint16_t> z16) {
      sensor->measure(ideal, frame, z16);
    };
  };
  return scene;
}

}  // namespace

Result<Scene> find_scene(const SceneRequest& request) {
  if (request.name == "arch10") return arch_scene(request, 0.010, 0.004);
  if (request.name == "arch30") return arch_scene(request, 0.030, 0.012);
  if (request.name == "face" || request.name == "hair") return face_scene(request);
  return error(ErrorCode::kNotFound, "scene {}: there are arch10, arch30, face and hair",
               request.name);
}

}  // namespace cusp::bench
