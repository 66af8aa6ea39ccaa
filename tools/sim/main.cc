// cusp-sim: a virtual scanner, and what belongs to it. Exit codes: 0 done, 1 it failed (one
// sentence on stderr), 2 wrong usage.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "drivers/emulation/usbip_protocol.h"
#include "pipeline/export.h"
#include "tools/sim/attach_command.h"
#include "tools/sim/control_socket.h"
#include "tools/sim/picture.h"
#include "tools/sim/picture_command.h"
#include "tools/sim/png_file.h"
#include "tools/sim/run_folder.h"

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

// --- usb, usbip, usbredir ---

struct AttachOptions {
  DeviceOptions device;
  std::filesystem::path run_folder;
  std::uint16_t tcp_port = usbip::kPort;
  std::filesystem::path socket;
};

Result<void> run_attach(const std::string& way, const AttachOptions& options, char** arguments) {
  if (way == "usb") CUSP_TRY(preload_umockdev(arguments));
  const MakePort make_port = [&](const RunFolder& folder) {
    if (way == "usb") return make_umock_port(folder);
    return way == "usbip" ? make_usbip_port(options.tcp_port) : make_usb_redir_port(options.socket);
  };
  return run_attached(
      options.device, options.run_folder, make_port, [](const std::string& how_to_attach) {
        fmt::print("The scanner is plugged in. {}Ctrl-C pulls it out and ends.\n", how_to_attach);
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

CLI::App* add_attach(CLI::App& app, const std::string& name, const std::string& help,
                     AttachOptions& options) {
  auto* command = app.add_subcommand(name, help + ", until Ctrl-C or SIGTERM");
  command
      ->add_option("--run-folder", options.run_folder,
                   "Where its truth, its control socket and, under umockdev, its address go")
      ->required();
  add_device_options(*command, options.device);
  return command;
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
      "A virtual dental scanner: renders what a device sees of a mesh along an operator's path, "
      "and "
      "plugs itself into a virtual USB port, so that unmodified USB code scans it.");
  app.require_subcommand(1);
  MakeOptions make;
  RenderOptions render;
  AttachOptions attach;
  std::filesystem::path run_folder;
  std::string scene, press = "short";
  bool as_json = false;
  double timeout_s = 0;

  add_make(app, make);
  add_render(app, render);
  FringePictureOptions fringe_picture;
  add_fringe_picture(app, fringe_picture);
  add_attach(app, "usb", "Plug a virtual device into a virtual USB port of libusb's", attach);
  add_attach(app, "usbip", "Offer a virtual device to this machine's kernel over USB/IP", attach)
      ->add_option("--port", attach.tcp_port, "TCP port, of 127.0.0.1 alone; 0: any free one")
      ->capture_default_str();
  add_attach(app, "usbredir", "Offer a virtual device to a virtual machine of QEMU", attach)
      ->add_option("--socket", attach.socket, "Unix socket to which QEMU connects")
      ->required();
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
  add_steering(app, "freeze", "Send nothing more until it is plugged in anew", run_folder);
  add_steering(app, "button", "Press the device's button", run_folder)
      ->add_option("press", press, "short or long")
      ->check(CLI::IsMember({"short", "long"}))
      ->capture_default_str();
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
    if (name == "usb" || name == "usbip" || name == "usbredir")
      return run_attach(name, attach, arguments);
    if (name == "progress") return run_progress(run_folder, as_json);
    if (name == "wait") return run_wait(run_folder, timeout_s);
    if (name == "show") return run_verb(run_folder, {{"verb", "show"}, {"scene", scene}});
    if (name == "button") return run_verb(run_folder, {{"verb", "button"}, {"press", press}});
    return run_verb(run_folder, {{"verb", name}});
  };
  if (const Result<void> result = run(); !result.ok()) {
    fmt::print(stderr, "cusp-sim: {}\n", result.error().message);
    return 1;
  }
  return 0;
}
