#include "tools/sim/device_options.h"

namespace cusp::sim {

void add_device_options(CLI::App& command, DeviceOptions& options) {
  command
      .add_option("--family", options.family,
                  "Of the device: d405 (default), wand or camera; d415, d435, ... see faces; with "
                  "recorded depth d435 (default) or another D400; with recorded fringes wand")
      ->check(CLI::IsMember({"d405", "d415", "d435", "d435i", "d455", "wand", "camera"}));
  auto* scene = command.add_option("--scene", options.scene, "One mesh in front of it, mm");
  auto* upper = command.add_option("--upper", options.upper, "Mesh of the scene \"upper\"");
  auto* lower = command.add_option("--lower", options.lower, "Mesh of the scene \"lower\"");
  auto* depth = command.add_option("--depth-folder", options.depth_folder,
                                   "Replay 16-bit PNG depth in mm, as a RealSense D400");
  scene->excludes(upper)->excludes(lower)->excludes(depth);
  depth->excludes(upper)->excludes(lower);
  auto* optics =
      command.add_option("--intrinsics", options.depth_optics, "fx,fy,cx,cy of that depth")
          ->delimiter(',')
          ->expected(4);
  optics->needs(depth);
  depth->needs(optics);
  const auto fringes = [&options]() -> StructuredLightFiles& {
    if (!options.fringes) options.fringes.emplace();
    return *options.fringes;
  };
  auto* pictures =
      command
          .add_option_function<std::filesystem::path>(
              "--fringe-folder", [=](const auto& folder) { fringes().pictures = folder; },
              "Replay 8-bit PNG fringes of an SLStudio scan, as a wand")
          ->excludes(scene)
          ->excludes(upper)
          ->excludes(lower)
          ->excludes(depth);
  auto* calibration =
      command
          .add_option_function<std::filesystem::path>(
              "--fringe-calibration", [=](const auto& file) { fringes().calibration = file; },
              "Its calibration.xml")
          ->needs(pictures);
  auto* pitches = command
                      .add_option_function<std::vector<double>>(
                          "--fringe-pitches",
                          [=](const auto& pitches_px) { fringes().pitches_px = pitches_px; },
                          "Projector columns of each three pictures, as in 114,1824")
                      ->delimiter(',')
                      ->needs(pictures);
  auto* range = command
                    .add_option_function<std::vector<double>>(
                        "--fringe-range",
                        [=](const auto& range_mm) {
                          fringes().min_depth_mm = range_mm[0];
                          fringes().max_depth_mm = range_mm[1];
                        },
                        "Nearest and farthest depth of the object, mm, as in 300,500")
                    ->delimiter(',')
                    ->expected(2)
                    ->needs(pictures);
  pictures->needs(calibration)->needs(pitches)->needs(range);
  command.add_option("--resolution-mm", options.resolution_mm, "Of the built-in jaws")
      ->check(CLI::Range(0.05, 1.0))
      ->capture_default_str();
  command.add_option("--cache", options.cache, "Folder that keeps the built-in jaws for next time");
  command
      .add_option("--frames", options.frames,
                  "Frames of a scene's path (default 400; a wand: as many as its way needs)")
      ->check(CLI::Range(std::uint64_t{2}, std::uint64_t{1'000'000}));
  command.add_option("--rate", options.rate_hz, "Frames a second at most (default 30, a wand 120)")
      ->check(CLI::Range(1.0, 120.0));
  command.add_flag("--real-time,!--no-real-time", options.real_time,
                   "Keep the rate; without, as fast as the host reads");
  command.add_option("--width", options.width_px, "Of the stream (default 848, a wand 640)")
      ->check(CLI::Range(64, 1920));
  command.add_option("--height", options.height_px, "Of the stream (default 480)")
      ->check(CLI::Range(64, 1080));
  command.add_option("--seed", options.seed, "Of noise and motion")->capture_default_str();
  command.add_flag("--noise,!--no-noise", options.with_noise, "Stereo noise of a D405");
  command.add_flag("--sweeps", options.sweeps,
                   "A D405: sweep the row of teeth on three sides, as a wand does");
  command.add_flag("--soft-tissue", options.soft_tissue, "A D405: tongue and cheek push in");
  command
      .add_option("--effects", options.effects,
                  "Of a wand: default, all or none, then changes, as in default,+fog,-speculars")
      ->capture_default_str();
  command.add_option("--serial", options.serial, "12 hexadecimal digits")
      ->check([](const std::string& text) {
        const bool good =
            text.size() == 12 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
        return good ? std::string() : "a serial has 12 digits of 0-9 and a-f";
      });
}

}  // namespace cusp::sim
