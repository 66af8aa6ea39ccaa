#include "tools/sim/picture_command.h"

#include <algorithm>
#include <cmath>

#include "pipeline/export.h"
#include "tools/sim/fringe_scene.h"
#include "tools/sim/png_file.h"

namespace cusp::sim {
namespace {

// ITU-R BT.601, black at 16: two pixels of four bytes to six.
std::vector<std::uint8_t> rgb_of_yuy2(std::span<const std::uint8_t> yuy2) {
  std::vector<std::uint8_t> rgb;
  const auto add = [&](float value) {
    rgb.push_back(static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0F, 255.0F))));
  };
  for (std::size_t i = 0; i + 3 < yuy2.size(); i += 4)
    for (const std::size_t k : {std::size_t{0}, std::size_t{2}}) {
      const float y = 255.0F / 219 * (static_cast<float>(yuy2[i + k]) - 16);
      const float blue = 255.0F / 224 * (static_cast<float>(yuy2[i + 1]) - 128);
      const float red = 255.0F / 224 * (static_cast<float>(yuy2[i + 3]) - 128);
      add(y + 1.402F * red);
      add(y - 0.344F * blue - 0.714F * red);
      add(y + 1.772F * blue);
    }
  return rgb;
}

}  // namespace

void add_fringe_picture(CLI::App& app, FringePictureOptions& options) {
  auto* command =
      app.add_subcommand("picture", "Write one picture of a virtual fringe scanner as a PNG");
  command->add_option("--family", options.family, "Of the device")
      ->check(CLI::IsMember({"wand"}))
      ->capture_default_str();
  auto* mesh = command->add_option("--mesh", options.mesh, "STL, PLY or OBJ, mm");
  command->add_option("--jaw", options.jaw, "Without a mesh: the built-in jaw, upper or lower")
      ->check(CLI::IsMember({"upper", "lower"}))
      ->excludes(mesh)
      ->capture_default_str();
  command->add_option("--resolution-mm", options.arch.resolution_mm, "Of the built-in jaw")
      ->check(CLI::Range(0.05, 0.5))
      ->capture_default_str();
  command->add_option("--tissue", options.tissue, "What the mesh is made of")
      ->check(CLI::IsMember({"stone", "enamel", "dentine", "gingiva", "mucosa"}))
      ->needs(mesh)
      ->capture_default_str();
  command
      ->add_option("--effects", options.effects,
                   "default, all or none, then changes, as in default,+fog,-speculars")
      ->capture_default_str();
  command->add_option("--frame", options.frame, "Number of the picture on the operator's way")
      ->capture_default_str();
  command
      ->add_option("--pattern", options.pattern,
                   "Of the sequence; one past the last is the colour picture")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--seed", options.seed, "Of noise, tremor and events")->capture_default_str();
  command->add_option("-o,--output", options.output, "PNG file to write")->required();
}

Result<void> run_fringe_picture(const FringePictureOptions& options) {
  FringeSceneOptions scene_options;
  CUSP_ASSIGN(scene_options.effects, parse_effects(options.effects));
  scene_options.seed = scene_options.motion.seed = options.seed;
  Mesh mesh;
  if (options.mesh) {
    CUSP_ASSIGN(mesh, read_mesh(*options.mesh));
    scene_options.tissues.everywhere = *tissue(options.tissue);
  } else {
    ArchSceneOptions arch = options.arch;
    arch.jaw = options.jaw == "upper" ? Jaw::kUpper : Jaw::kLower;
    mesh = make_arch(arch);
    scene_options.tissues.of_vertex = arch_tissues(arch, mesh);
  }
  CUSP_ASSIGN(const FringeScene scene, make_fringe_scene("picture", mesh, scene_options));

  const auto patterns = static_cast<int>(scene_options.calibration.fringe->patterns.size());
  const bool is_colour = options.pattern == patterns;
  std::vector<std::uint8_t> bytes(is_colour ? scene.colour_bytes : scene.fringe_bytes);
  if (!scene.picture(options.frame, {0, options.pattern, patterns}, bytes))
    return error(ErrorCode::kInvalidArgument, "--pattern {}: there are 0 to {}", options.pattern,
                 patterns);

  std::vector<std::uint8_t> rgb;
  if (is_colour)
    rgb = rgb_of_yuy2(bytes);
  else
    for (const std::uint8_t grey : bytes) rgb.insert(rgb.end(), 3, grey);
  const Intrinsics& camera = scene_options.calibration.depth;
  CUSP_TRY(write_png_rgb(options.output, camera.width_px, camera.height_px, rgb));
  fmt::print("{}: picture {} of {}, {}\n", options.output.string(), options.frame, scene.frames,
             is_colour ? "colour" : fmt::format("pattern {}", options.pattern));
  return {};
}

}  // namespace cusp::sim
