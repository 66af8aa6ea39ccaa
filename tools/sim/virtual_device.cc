#include "tools/sim/virtual_device.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "drivers/realsense_d400/emulator.h"
#include "drivers/uvc_camera/emulator.h"
#include "drivers/wand/emulator.h"
#include "pipeline/export.h"
#include "tools/sim/bite_scene.h"
#include "tools/sim/fringe_scene.h"
#include "tools/sim/head_shape.h"
#include "tools/sim/picture.h"
#include "tools/sim/png_file.h"

namespace cusp::sim {
namespace {

constexpr int kD405Width = 848, kD405Height = 480;
constexpr int kFarWidth = 640, kFarHeight = 480;
constexpr double kDepthRateHz = 30, kWandRateHz = 120;
constexpr const char* kDepthSerial = "000000000001";

struct DepthModel {
  const char* family;
  std::uint16_t product_id;
  double baseline_mm;
  double half_view_rad;  // of its 640 x 480 stream, sideways; Intel's D400 data sheet
};
constexpr double half_view(double whole_deg) { return whole_deg * std::numbers::pi / 360; }
constexpr DepthModel kDepthModels[] = {{"d405", 0x0B5B, 18, half_view(84)},
                                       {"d415", 0x0AD3, 55, half_view(55)},
                                       {"d435", 0x0B07, 50, half_view(75)},
                                       {"d435i", 0x0B3A, 50, half_view(75)},
                                       {"d455", 0x0B5C, 95, half_view(75)}};

const DepthModel* find_depth_model(const std::string& family) {
  for (const DepthModel& model : kDepthModels)
    if (family == model.family) return &model;
  return nullptr;
}

// An option that would do nothing is a mistake of whoever gave it.
Result<void> check_options(const DeviceOptions& options, const std::string& family) {
  const bool depth = find_depth_model(family) != nullptr, wand = family == "wand";
  const bool recorded = options.depth_folder || options.fringes;
  const std::string what = recorded ? "recorded " + family : family;
  struct Check {
    bool given, does_something;
    const char* option;
    const char* instead;
  };
  const Check checks[] = {
      {options.effects != "default", wand && !recorded, "--effects", "they are a rendered wand's"},
      {!options.with_noise, depth && !recorded, "--no-noise",
       "a wand's is switched off with --effects default,-sensor_noise"},
      {options.sweeps, depth && !recorded, "--sweeps", "they are a D405's; a wand always sweeps"},
      {options.soft_tissue, depth && !recorded, "--soft-tissue",
       "a wand has it with --effects default,+soft_tissue"},
      {options.width_px || options.height_px, (depth || wand) && !recorded,
       options.width_px ? "--width" : "--height", "its pictures have a size of their own"},
      {options.rate_hz.has_value(), depth || wand, "--rate", "a camera has rates of its own"},
  };
  for (const Check& check : checks)
    if (check.given && !check.does_something)
      return error(ErrorCode::kInvalidArgument, "{} does nothing for a {}: {}", check.option, what,
                   check.instead);
  return {};
}

// A mesh that is in front of the device by this name.
struct Object {
  std::string name;
  Mesh mesh;
  TissueMap tissues;  // plaster, where nobody says otherwise
  std::uint32_t first_hairy = kNoTriangle;
};

enum class BuiltIn { kJaws, kJawsAndBites, kFaces };

Result<std::vector<Object>> read_objects(const DeviceOptions& options, const RunFolder& folder,
                                         BuiltIn built_in = BuiltIn::kJaws) {
  constexpr double kHeadResolutionMm = 0.5;
  std::vector<Object> objects;
  const auto add_file = [&](const std::string& name,
                            const std::filesystem::path& path) -> Result<void> {
    CUSP_ASSIGN(Mesh mesh, read_mesh(path));
    objects.push_back({name, std::move(mesh), {}});
    return {};
  };
  const auto add_built_in = [&](const std::string& name, Jaw jaw) -> Result<void> {
    ArchSceneOptions arch;
    arch.jaw = jaw;
    arch.resolution_mm = options.resolution_mm;
    CUSP_ASSIGN(Mesh mesh, built_in_jaw(arch, options.cache));
    TissueMap tissues{.everywhere = Tissue::kStone, .of_vertex = arch_tissues(arch, mesh)};
    objects.push_back({name, std::move(mesh), std::move(tissues)});
    return {};
  };
  if (options.scene) {
    CUSP_TRY(add_file("scene", *options.scene));
  } else if (options.upper || options.lower) {
    if (options.upper) CUSP_TRY(add_file("upper", *options.upper));
    if (options.lower) CUSP_TRY(add_file("lower", *options.lower));
  } else if (built_in == BuiltIn::kFaces) {
    for (const Expression expression : {Expression::kNeutral, Expression::kSmile}) {
      const std::string name = expression == Expression::kSmile ? "face-smile" : "face-neutral";
      Head head = make_head({.resolution_mm = kHeadResolutionMm,
                             .expression = expression,
                             .hair = true,
                             .neck = true});
      objects.push_back({name, std::move(head.mesh), {}, head.first_hairy});
    }
  } else {
    CUSP_TRY(add_built_in("upper", Jaw::kUpper));
    CUSP_TRY(add_built_in("lower", Jaw::kLower));
    if (built_in == BuiltIn::kJawsAndBites) {
      const Mesh upper = objects[0].mesh, lower = objects[1].mesh;
      objects.push_back({"bite-left", make_bite(upper, lower, Side::kLeft), {}});
      objects.push_back({"bite-right", make_bite(upper, lower, Side::kRight), {}});
    }
  }
  for (const Object& object : objects)
    CUSP_TRY(write_mesh(object.mesh, folder.scene_mesh(object.name)));
  return objects;
}

Result<void> no_button(ButtonPress) {
  return error(ErrorCode::kUnsupported, "button: this device has none");
}

// --- depth cameras ---

Result<SceneOptions> recorded_options(const DeviceOptions& options) {
  CUSP_ASSIGN(const std::vector<std::filesystem::path> files, list_pngs(*options.depth_folder));
  CUSP_ASSIGN(const GreyImage16 first, read_png16(files.front()));
  const std::vector<double>& optics = options.depth_optics;
  SceneOptions scene;
  scene.camera = {first.width_px, first.height_px, optics[0], optics[1], optics[2], optics[3]};
  scene.noise.depth_unit_mm = 1;
  return scene;
}

// What has a longer baseline than a D405 sees nothing as near as teeth: it goes round a face.
bool sees_faces(const DepthModel& model) { return model.product_id != kDepthModels[0].product_id; }

SceneOptions mesh_options(const DeviceOptions& options, const DepthModel& model) {
  SceneOptions scene;
  if (sees_faces(model)) {
    const int width_px = options.width_px.value_or(kFarWidth);
    const int height_px = options.height_px.value_or(kFarHeight);
    const double focal_px = width_px / 2.0 / std::tan(model.half_view_rad);
    scene.camera = {
        width_px, height_px, focal_px, focal_px, (width_px - 1) / 2.0, (height_px - 1) / 2.0};
    scene.path.standoff_mm = 350;
    scene.path.tilt_deg = 30;
    scene.noise.baseline_mm = model.baseline_mm;
    scene.noise.depth_unit_mm = 1;
  } else {
    scene.camera = d405_intrinsics(options.width_px.value_or(kD405Width),
                                   options.height_px.value_or(kD405Height));
  }
  scene.path.rate_hz = options.rate_hz.value_or(kDepthRateHz);
  scene.path.seed = options.seed;
  scene.path.frames = options.frames.value_or(scene.path.frames);
  scene.noise.seed = options.seed;
  scene.with_noise = options.with_noise;
  if (options.sweeps)
    scene.sweeps = SweepOptions{.rate_hz = scene.path.rate_hz,
                                .standoff_mm = scene.path.standoff_mm,
                                .most_frames = options.frames.value_or(0),
                                .seed = options.seed};
  if (options.soft_tissue) scene.soft_tissue.emplace();
  return scene;
}

Result<VirtualDevice> make_depth_camera(const DeviceOptions& options, const DepthModel& model,
                                        const RunFolder& folder) {
  const bool recorded = options.depth_folder.has_value();
  if (!recorded && sees_faces(model) && (options.sweeps || options.upper || options.lower))
    return error(ErrorCode::kInvalidArgument,
                 "family {}: it sees nothing as near as teeth; take d405, or a face (no --upper, "
                 "--lower or --sweeps)",
                 model.family);
  std::vector<Scene> scenes;
  SceneOptions scene_options;
  if (recorded) {
    CUSP_ASSIGN(scene_options, recorded_options(options));
    CUSP_ASSIGN(
        Scene scene,
        make_recorded_scene("recording", *options.depth_folder, scene_options.camera,
                            options.frames.value_or(std::numeric_limits<std::uint64_t>::max())));
    scenes.push_back(std::move(scene));
  } else {
    scene_options = mesh_options(options, model);
    const BuiltIn built_in = sees_faces(model) ? BuiltIn::kFaces
                             : options.sweeps
                                 ? BuiltIn::kJaws  // of a bite there is no row to sweep
                                 : BuiltIn::kJawsAndBites;
    CUSP_ASSIGN(const std::vector<Object> objects, read_objects(options, folder, built_in));
    for (const Object& object : objects) {
      scene_options.noise.first_hairy = object.first_hairy;
      CUSP_ASSIGN(Scene scene, make_mesh_scene(object.name, object.mesh, scene_options));
      scenes.push_back(std::move(scene));
    }
  }
  TruthOptions truth{.camera = scene_options.camera,
                     .depth_unit_mm = scene_options.noise.depth_unit_mm};
  if (!recorded && options.with_noise) truth.noise = scene_options.noise;
  CUSP_TRY(write_truth(folder, scenes, truth));

  VirtualDevice device;
  CUSP_ASSIGN(device.scanner,
              VirtualScanner::create(std::move(scenes), scene_options.camera, folder.path));
  realsense_d400::Emulator emulator = realsense_d400::make_emulator(
      {.product_id = model.product_id,
       .serial = options.serial.value_or(kDepthSerial),
       .depth = scene_options.camera,
       .baseline_mm = model.baseline_mm,
       .max_rate_hz = options.rate_hz.value_or(kDepthRateHz),
       .real_time = options.real_time},
      [scanner = device.scanner.get()](std::uint64_t index, std::span<std::uint16_t> z16) {
        return scanner->next_frame(index, z16);
      });
  device.function = std::move(emulator.function);
  device.stream = emulator.control;
  device.press = no_button;
  return device;
}

// --- wands ---

struct Fringes {  // what is in front of a wand
  Calibration calibration;
  std::vector<Scene> scenes{};
  TruthOptions truth;
  bool has_colour = true;
  std::chrono::microseconds exposure = wand::EmulatorOptions{}.exposure;  // of its pictures
};

std::chrono::microseconds exposure_of(const FringeEffects& effects) {
  return std::chrono::microseconds(std::llround(effects.exposure_ms * 1000));
}

Result<Fringes> rendered_fringes(const DeviceOptions& options, double rate_hz,
                                 const RunFolder& folder) {
  FringeSceneOptions scene_options;
  WandOptics optics;
  optics.width_px = options.width_px.value_or(optics.width_px);
  optics.height_px = options.height_px.value_or(optics.height_px);
  scene_options.calibration = wand_calibration(optics);
  CUSP_ASSIGN(scene_options.effects, parse_effects(options.effects));
  scene_options.seed = scene_options.motion.seed = options.seed;
  scene_options.motion.rate_hz = rate_hz;
  scene_options.motion.most_frames = options.frames.value_or(0);

  Fringes fringes{.calibration = scene_options.calibration,
                  .truth = {.camera = scene_options.calibration.depth,
                            .effects = options.effects,
                            .seed = options.seed},
                  .exposure = exposure_of(scene_options.effects)};
  CUSP_ASSIGN(const std::vector<Object> objects, read_objects(options, folder));
  for (const Object& object : objects) {
    scene_options.tissues = object.tissues;
    CUSP_ASSIGN(FringeScene scene, make_fringe_scene(object.name, object.mesh, scene_options));
    fringes.scenes.push_back({.name = object.name,
                              .frames = scene.frames,
                              .picture = std::move(scene.picture),
                              .pose = std::move(scene.pose)});
  }
  return fringes;
}

// The same pictures again and again: the object stands still.
Result<Fringes> recorded_fringes(const DeviceOptions& options) {
  CUSP_ASSIGN(StructuredLightScan scan, read_structured_light_scan(*options.fringes));
  Fringes fringes{.calibration = scan.calibration,
                  .truth = {.camera = scan.calibration.depth},
                  .has_colour = false};
  const std::uint64_t frames = options.frames.value_or(scan.pictures.size());
  fringes.scenes.push_back(
      {.name = "recording",
       .frames = frames,
       .picture = [pictures = std::move(scan.pictures)](std::uint64_t, const FringeIndex& index,
                                                        std::span<std::uint8_t> out) {
         const auto pattern = static_cast<std::size_t>(index.pattern);
         if (pattern >= pictures.size() || pictures[pattern].size() != out.size()) return false;
         std::copy(pictures[pattern].begin(), pictures[pattern].end(), out.begin());
         return true;
       }});
  return fringes;
}

Result<VirtualDevice> make_wand(const DeviceOptions& options, const RunFolder& folder) {
  const double rate_hz = options.rate_hz.value_or(kWandRateHz);
  CUSP_ASSIGN(Fringes fringes, options.fringes ? recorded_fringes(options)
                                               : rendered_fringes(options, rate_hz, folder));
  CUSP_TRY(write_truth(folder, fringes.scenes, fringes.truth));

  VirtualDevice device;
  CUSP_ASSIGN(device.scanner, VirtualScanner::create(std::move(fringes.scenes),
                                                     fringes.calibration.depth, folder.path));
  wand::EmulatorOptions wand_options = wand::options_for(fringes.calibration);
  if (!fringes.has_colour) wand_options.capabilities.colour_every = 0;
  wand_options.rates_hz = {rate_hz};
  wand_options.real_time = options.real_time;
  wand_options.exposure = fringes.exposure;
  wand_options.serial = options.serial.value_or(wand_options.serial);
  VirtualScanner* const scanner = device.scanner.get();
  wand::PictureSource pictures = wand::from_scene(
      [scanner](std::uint64_t index, const FringeIndex& fringe, std::span<std::uint8_t> out) {
        return scanner->next_picture(index, fringe, out);
      });
  wand::Emulator emulator = wand::make_emulator(
      std::move(wand_options), [scanner, rate_hz, pictures = std::move(pictures)](
                                   const wand::Shot& shot, wand::Picture& picture) {
        if (!pictures(shot, picture)) return false;
        picture.imu = scanner->imu(shot.index, rate_hz);
        return true;
      });
  device.function = std::move(emulator.function);
  device.stream = emulator.stream;
  device.press = [wand = emulator.wand](ButtonPress press) -> Result<void> {
    wand->press_button(press);
    return {};
  };
  return device;
}

// --- cameras ---

// A drawing takes longer than a host waits for a picture: it is done once, before the camera is
// plugged in.
constexpr PictureOptions kDrawing{.width_px = 640, .height_px = 480, .occlusion_rays = 4};

// The middle of the drawing that has the picture's proportions, enlarged to it.
void enlarge(const std::vector<std::uint8_t>& drawing, int width_px, int height_px,
             std::span<std::uint8_t> rgb) {
  const double step =
      std::min(double{kDrawing.width_px} / width_px, double{kDrawing.height_px} / height_px);
  const double left = (kDrawing.width_px - step * width_px) / 2;
  const double top = (kDrawing.height_px - step * height_px) / 2;
  auto to = rgb.begin();
  for (int y = 0; y < height_px; ++y) {
    const int row = std::min(static_cast<int>(top + step * (y + 0.5)), kDrawing.height_px - 1);
    for (int x = 0; x < width_px; ++x) {
      const int column = std::min(static_cast<int>(left + step * (x + 0.5)), kDrawing.width_px - 1);
      to = std::copy_n(drawing.begin() + 3 * (row * kDrawing.width_px + column), 3, to);
    }
  }
}

Result<Scene> photo_scene(const Object& object, std::uint64_t frames) {
  CUSP_ASSIGN(auto drawing, render_picture(object.mesh, kDrawing));
  return Scene{.name = object.name,
               .frames = frames,
               .photo = [drawing = std::move(drawing)](int width_px, int height_px,
                                                       std::span<std::uint8_t> rgb) {
                 if (width_px < 1 || height_px < 1 ||
                     rgb.size() != std::size_t{3} * static_cast<std::size_t>(width_px) *
                                       static_cast<std::size_t>(height_px))
                   return false;
                 enlarge(drawing, width_px, height_px, rgb);
                 return true;
               }};
}

Result<VirtualDevice> make_camera(const DeviceOptions& options, const RunFolder& folder) {
  CUSP_ASSIGN(const std::vector<Object> objects, read_objects(options, folder));
  std::vector<Scene> scenes;
  for (const Object& object : objects) {
    CUSP_ASSIGN(Scene scene,
                photo_scene(object, options.frames.value_or(OperatorPathOptions{}.frames)));
    scenes.push_back(std::move(scene));
  }
  CUSP_TRY(write_truth(folder, scenes, {}));
  VirtualDevice device;
  CUSP_ASSIGN(device.scanner, VirtualScanner::create(std::move(scenes), {}, folder.path));
  uvc_camera::EmulatorOptions camera_options;
  camera_options.real_time = options.real_time;
  camera_options.serial = options.serial.value_or(camera_options.serial);
  uvc_camera::Emulator emulator = uvc_camera::make_emulator(
      camera_options, [scanner = device.scanner.get()](std::uint64_t index, int width_px,
                                                       int height_px, std::span<std::uint8_t> rgb) {
        return scanner->next_photo(index, width_px, height_px, rgb);
      });
  device.function = std::move(emulator.function);
  device.stream = emulator.stream;
  device.press = [camera = emulator.camera](ButtonPress press) -> Result<void> {
    if (press == ButtonPress::kLong)
      return error(ErrorCode::kUnsupported, "button: a camera's knows no long press");
    camera->press_button();
    return {};
  };
  return device;
}

}  // namespace

Result<VirtualDevice> make_virtual_device(const DeviceOptions& options, const RunFolder& folder) {
  const std::string family = !options.family.empty() ? options.family
                             : options.depth_folder  ? "d435"
                             : options.fringes       ? "wand"
                                                     : "d405";
  const DepthModel* const depth = find_depth_model(family);
  if (depth == nullptr && options.depth_folder)
    return error(ErrorCode::kInvalidArgument, "family {}: it has no depth to replay", family);
  if (family != "wand" && options.fringes)
    return error(ErrorCode::kInvalidArgument, "family {}: it projects no fringes", family);
  CUSP_TRY(check_options(options, family));
  if (depth != nullptr) return make_depth_camera(options, *depth, folder);
  if (family == "wand") return make_wand(options, folder);
  return make_camera(options, folder);
}

}  // namespace cusp::sim
