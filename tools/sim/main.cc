// cusp-sim: a virtual scanner, and what belongs to it. Exit codes: 0 done, 1 it failed (one
// sentence on stderr), 2 wrong usage.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "pipeline/export.h"
#include "tools/sim/control_socket.h"
#include "tools/sim/picture.h"
#include "tools/sim/picture_command.h"
#include "tools/sim/png_file.h"
#include "tools/sim/run_folder.h"
#include "tools/sim/usb_command.h"

namespace {

using namespace cusp;
using namespace cusp::sim;
using nlohmann::json;

constexpr std::chrono::seconds kAnswerPatience{10};
constexpr std::chrono::milliseconds kPollPeriod{100};

// --- make, render ---

struct MakeOptions {
  std::string jaw;
  std::filesystem::path output;
  ArchSceneOptions arch;
};

Result<void> run_make(MakeOptions options) {
  options.arch.jaw = options.jaw == "upper" ? Jaw::kUpper : Jaw::kLower;
  const Mesh mesh = make_arch(options.arch);
  CUSP_TRY(write_mesh(mesh, options.output));
  fmt::print("{}: {} triangles, {} vertices, mm\n", options.output.string(), mesh.triangles.size(),
             mesh.vertices_mm.size());
  return {};
}

struct RenderOptions {
  std::filesystem::path mesh, output;
  std::string view = "occlusal";
  std::string size = "1280x960";
};

Result<void> run_render(const RenderOptions& options) {
  PictureOptions picture;
  picture.view = *picture_view(options.view);
  if (std::sscanf(options.size.c_str(), "%dx%d", &picture.width_px, &picture.height_px) != 2)
    return error(ErrorCode::kInvalidArgument, "--size {}: WIDTHxHEIGHT is expected, as in 1280x960",
                 options.size);
  CUSP_ASSIGN(const Mesh mesh, read_mesh(options.mesh));
  CUSP_ASSIGN(const std::vector<std::uint8_t> rgb, render_picture(mesh, picture));
  return write_png_rgb(options.output, picture.width_px, picture.height_px, rgb);
}

// --- usb ---

Result<Intrinsics> recorded_intrinsics(const std::filesystem::path& folder,
                                       const std::vector<double>& numbers) {
  CUSP_ASSIGN(const std::vector<std::filesystem::path> files, list_pngs(folder));
  CUSP_ASSIGN(const GreyImage16 first, read_png16(files.front()));
  return Intrinsics{first.width_px, first.height_px, numbers[0],
                    numbers[1],     numbers[2],      numbers[3]};
}

Result<void> run_usb_command(UsbOptions options, const std::vector<double>& intrinsics,
                             char** arguments) {
  CUSP_TRY(preload_umockdev(arguments));
  if (options.depth_folder) {
    CUSP_ASSIGN(options.depth_intrinsics, recorded_intrinsics(*options.depth_folder, intrinsics));
  }
  return run_usb(options, [&](const std::string& umockdev_dir) {
    fmt::print(
        "The scanner is plugged in. Clients see it with\n"
        "  UMOCKDEV_DIR={} LD_PRELOAD=libumockdev-preload.so.0\n"
        "Ctrl-C pulls it out and ends.\n",
        umockdev_dir);
    std::fflush(stdout);
  });
}

// --- verbs to a running scanner ---

Result<json> request(const std::filesystem::path& run_folder, const json& verb) {
  const auto socket = RunFolder{run_folder}.control_socket();
  CUSP_ASSIGN(const std::string line, ask(socket, verb.dump(), kAnswerPatience));
  json answer = json::parse(line, nullptr, false);
  if (!answer.is_object() || !answer.value("ok", false))
    return error(ErrorCode::kConflict, "{}",
                 answer.is_object() ? answer.value("error", "no reason was given")
                                    : socket.string() + ": not a virtual scanner");
  return answer;
}

std::string describe(const json& progress) {
  std::string text = fmt::format(
      "{}: {} of {} frames{}, {}", progress.value("scene", ""),
      std::min(progress.value("frames_sent", 0U), progress.value("path_frames", 0U)),
      progress.value("path_frames", 0U), progress.value("done", false) ? ", path done" : "",
      !progress.value("plugged", false)    ? "unplugged"
      : progress.value("streaming", false) ? "streaming"
                                           : "not streaming");
  if (progress.contains("fault")) text += ", " + progress.value("fault", "");
  return text;
}

Result<void> run_progress(const std::filesystem::path& run_folder, bool as_json) {
  CUSP_ASSIGN(json progress, request(run_folder, {{"verb", "progress"}}));
  progress.erase("ok");
  fmt::print("{}\n", as_json ? progress.dump() : describe(progress));
  return {};
}

Result<void> run_wait(const std::filesystem::path& run_folder, double timeout_s) {
  const auto start = std::chrono::steady_clock::now();
  while (true) {
    CUSP_ASSIGN(const json progress, request(run_folder, {{"verb", "progress"}}));
    if (progress.value("done", false)) return {};
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
    if (timeout_s > 0 && waited.count() > timeout_s)
      return error(ErrorCode::kTimeout, "the path is not done after {} s ({})", timeout_s,
                   describe(progress));
    std::this_thread::sleep_for(kPollPeriod);
  }
}

Result<void> run_verb(const std::filesystem::path& run_folder, const json& verb) {
  CUSP_ASSIGN(const json answer, request(run_folder, verb));
  return {};
}

// --- command line ---

void add_make(CLI::App& app, MakeOptions& options) {
  auto* command = app.add_subcommand("make", "Write the built-in jaw as a mesh (mm)");
  command->add_option("--jaw", options.jaw, "upper or lower")
      ->required()
      ->check(CLI::IsMember({"upper", "lower"}));
  command->add_option("-o,--output", options.output, "File to write, .ply or .stl")->required();
  command->add_option("--resolution-mm", options.arch.resolution_mm, "Length of a triangle's edge")
      ->check(CLI::Range(0.05, 1.0))
      ->capture_default_str();
  command->add_option("--seed", options.arch.seed, "Small differences between teeth")
      ->capture_default_str();
}

void add_render(CLI::App& app, RenderOptions& options) {
  auto* command = app.add_subcommand("render", "Draw a mesh as a shaded PNG");
  command->add_option("--mesh", options.mesh, "STL, PLY or OBJ, mm")->required();
  command->add_option("-o,--output", options.output, "PNG file to write")->required();
  command->add_option("--view", options.view, "occlusal, front or left")
      ->check(CLI::IsMember({"occlusal", "front", "left"}))
      ->capture_default_str();
  command->add_option("--size", options.size, "WIDTHxHEIGHT in pixels")->capture_default_str();
}

void add_usb(CLI::App& app, UsbOptions& options, std::vector<double>& intrinsics) {
  auto* command = app.add_subcommand(
      "usb", "Plug a virtual scanner into a virtual USB port, until Ctrl-C or SIGTERM");
  command
      ->add_option("--run-folder", options.run_folder,
                   "Where its address, its truth and its control socket go")
      ->required();
  auto* scene = command->add_option("--scene", options.scene, "One mesh in front of it, mm");
  auto* upper = command->add_option("--upper", options.upper, "Mesh of the scene \"upper\"");
  auto* lower = command->add_option("--lower", options.lower, "Mesh of the scene \"lower\"");
  auto* depth = command->add_option("--depth-folder", options.depth_folder,
                                    "Replay 16-bit PNG depth in mm, as a RealSense D435");
  scene->excludes(upper)->excludes(lower)->excludes(depth);
  depth->excludes(upper)->excludes(lower);
  auto* optics = command->add_option("--intrinsics", intrinsics, "fx,fy,cx,cy of that depth")
                     ->delimiter(',')
                     ->expected(4);
  optics->needs(depth);
  depth->needs(optics);
  command->add_option("--resolution-mm", options.resolution_mm, "Of the built-in jaws")
      ->check(CLI::Range(0.05, 1.0))
      ->capture_default_str();
  command->add_option("--cache", options.cache,
                      "Folder that keeps the built-in jaws for next time");
  command->add_option("--frames", options.frames, "Frames of a scene's path (default 400)")
      ->check(CLI::Range(std::uint64_t{2}, std::uint64_t{1'000'000}));
  command->add_option("--rate", options.rate_hz, "Frames a second at most")
      ->check(CLI::Range(1.0, 90.0))
      ->capture_default_str();
  command->add_flag("--real-time,!--no-real-time", options.real_time,
                    "Keep the rate; without, as fast as the host reads");
  command->add_option("--width", options.width_px, "Of the stream")
      ->check(CLI::Range(64, 1920))
      ->capture_default_str();
  command->add_option("--height", options.height_px, "Of the stream")
      ->check(CLI::Range(64, 1080))
      ->capture_default_str();
  command->add_option("--seed", options.seed, "Of noise and tremor")->capture_default_str();
  command->add_flag("--noise,!--no-noise", options.with_noise, "Stereo noise of a D405");
  command->add_option("--serial", options.serial, "12 hexadecimal digits")
      ->check([](const std::string& text) {
        const bool good =
            text.size() == 12 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
        return good ? std::string() : "a serial has 12 digits of 0-9 and a-f";
      })
      ->capture_default_str();
}

CLI::App* add_steering(CLI::App& app, const std::string& name, const std::string& help,
                       std::filesystem::path& run_folder) {
  auto* command = app.add_subcommand(name, help);
  command->add_option("--run-folder", run_folder, "That of the running scanner")->required();
  return command;
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app(
      "A virtual dental scanner: renders what a depth camera sees of a mesh along an operator's "
      "path, and "
      "plugs itself into a virtual USB port, so that unmodified USB code scans it.");
  app.require_subcommand(1);
  MakeOptions make;
  RenderOptions render;
  UsbOptions usb;
  std::vector<double> intrinsics;
  std::filesystem::path run_folder;
  std::string scene;
  bool as_json = false;
  double timeout_s = 0;

  add_make(app, make);
  add_render(app, render);
  FringePictureOptions fringe_picture;
  add_fringe_picture(app, fringe_picture);
  add_usb(app, usb, intrinsics);
  add_steering(app, "show", "Put a scene in front of the scanner, its path at the beginning",
               run_folder)
      ->add_option("scene", scene, "upper, lower, or scene for --scene")
      ->required();
  add_steering(app, "progress", "Say how far the path is", run_folder)
      ->add_flag("--json", as_json, "As one JSON object");
  add_steering(app, "wait", "Wait until the path is done", run_folder)
      ->add_option("--timeout", timeout_s, "Seconds; 0 waits for ever")
      ->capture_default_str();
  add_steering(app, "unplug", "Pull the cable", run_folder);
  add_steering(app, "plug", "Put the cable back", run_folder);
  add_steering(app, "stall", "Halt the stream's endpoint once", run_folder);
  add_steering(app, "silence", "Send nothing until the host clears the endpoint", run_folder);
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? 0 : 2;
  }

  const std::string name = app.get_subcommands().front()->get_name();
  const auto run = [&]() -> Result<void> {
    if (name == "make") return run_make(make);
    if (name == "render") return run_render(render);
    if (name == "picture") return run_fringe_picture(fringe_picture);
    if (name == "usb") return run_usb_command(usb, intrinsics, arguments);
    if (name == "progress") return run_progress(run_folder, as_json);
    if (name == "wait") return run_wait(run_folder, timeout_s);
    if (name == "show") return run_verb(run_folder, {{"verb", "show"}, {"scene", scene}});
    return run_verb(run_folder, {{"verb", name}});
  };
  if (const Result<void> result = run(); !result.ok()) {
    fmt::print(stderr, "cusp-sim: {}\n", result.error().message);
    return 1;
  }
  return 0;
}
