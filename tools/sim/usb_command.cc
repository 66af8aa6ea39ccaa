#include "tools/sim/usb_command.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>

#include "core/file_system.h"
#include "drivers/emulation/umock_bus.h"
#include "drivers/realsense_d400/emulator.h"
#include "pipeline/export.h"
#include "tools/sim/control_socket.h"
#include "tools/sim/png_file.h"
#include "tools/sim/run_folder.h"

namespace cusp::sim {
namespace {

using nlohmann::json;

constexpr const char* kPreload = "libumockdev-preload.so.0";
constexpr std::uint16_t kD405 = 0x0B5B;
constexpr std::uint16_t kD435 = 0x0B07;
constexpr double kD435BaselineMm = 50.0;
constexpr double kD435UnitMm = 1.0;

struct Stage {  // everything in front of one scanner
  std::vector<Scene> scenes;
  SceneOptions options;
  realsense_d400::EmulatorOptions emulator;
};

Result<Stage> set_up_recording(const UsbOptions& options, Stage stage) {
  CUSP_CHECK(options.depth_intrinsics, "recorded depth comes with intrinsics");
  stage.options.camera = *options.depth_intrinsics;
  stage.options.noise.depth_unit_mm = kD435UnitMm;
  CUSP_ASSIGN(Scene scene, make_recorded_scene(
                               "recording", *options.depth_folder, stage.options.camera,
                               options.frames.value_or(std::numeric_limits<std::uint64_t>::max())));
  stage.scenes.push_back(std::move(scene));
  stage.emulator.product_id = kD435;
  stage.emulator.baseline_mm = kD435BaselineMm;
  return stage;
}

Result<Stage> set_up_meshes(const UsbOptions& options, const RunFolder& folder, Stage stage) {
  stage.options.camera = d405_intrinsics(options.width_px, options.height_px);
  stage.options.path.rate_hz = options.rate_hz;
  stage.options.path.seed = options.seed;
  stage.options.path.frames = options.frames.value_or(stage.options.path.frames);
  stage.options.noise.seed = options.seed;
  stage.options.with_noise = options.with_noise;
  stage.emulator.product_id = kD405;
  stage.emulator.baseline_mm = stage.options.noise.baseline_mm;

  const auto add = [&](const std::string& name, Result<Mesh> mesh) -> Result<void> {
    if (!mesh) return mesh.error();
    CUSP_TRY(write_mesh(*mesh, folder.scene_mesh(name)));
    CUSP_ASSIGN(Scene scene, make_mesh_scene(name, *mesh, stage.options));
    stage.scenes.push_back(std::move(scene));
    return {};
  };
  const auto built_in = [&](Jaw jaw) {
    ArchSceneOptions arch;
    arch.jaw = jaw;
    arch.resolution_mm = options.resolution_mm;
    return built_in_jaw(arch, options.cache);
  };
  if (options.scene) {
    CUSP_TRY(add("scene", read_mesh(*options.scene)));
  } else if (options.upper || options.lower) {
    if (options.upper) CUSP_TRY(add("upper", read_mesh(*options.upper)));
    if (options.lower) CUSP_TRY(add("lower", read_mesh(*options.lower)));
  } else {
    CUSP_TRY(add("upper", built_in(Jaw::kUpper)));
    CUSP_TRY(add("lower", built_in(Jaw::kLower)));
  }
  return stage;
}

Result<Stage> set_up(const UsbOptions& options, const RunFolder& folder) {
  Stage stage;
  stage.emulator.serial = options.serial;
  stage.emulator.max_rate_hz = options.rate_hz;
  stage.emulator.real_time = options.real_time;
  CUSP_ASSIGN(stage, options.depth_folder ? set_up_recording(options, std::move(stage))
                                          : set_up_meshes(options, folder, std::move(stage)));
  stage.emulator.depth = stage.options.camera;
  CUSP_TRY(write_truth(folder, stage.scenes, stage.options, !options.depth_folder));
  return stage;
}

std::string refuse(const std::string& sentence) {
  return json{{"ok", false}, {"error", sentence}}.dump(-1, ' ', false,
                                                       json::error_handler_t::replace);
}

// The scanner on its port, and the verbs that steer it.
class Port {
 public:
  Port(VirtualScanner& scanner, UmockBus& bus, realsense_d400::Emulator& emulator)
      : scanner_(scanner), bus_(bus), emulator_(emulator) {}

  Result<void> plug() {
    if (plugged_) return error(ErrorCode::kConflict, "scanner: plugged in already");
    CUSP_TRY(bus_.plug(*emulator_.function));
    plugged_ = true;
    return {};
  }

  Result<void> unplug() {
    if (!plugged_) return error(ErrorCode::kConflict, "scanner: not plugged in");
    CUSP_TRY(bus_.unplug(*emulator_.function));
    plugged_ = false;
    return {};
  }

  std::string answer(const std::string& line) {
    const json request = json::parse(line, nullptr, false);
    if (!request.is_object() || !request.contains("verb") || !request["verb"].is_string())
      return refuse("request: a JSON object with a \"verb\" is expected");
    const auto verb = request["verb"].get<std::string>();
    if (verb == "progress") return progress();
    if (verb == "show") {
      if (!request.contains("scene") || !request["scene"].is_string())
        return refuse("show: \"scene\" must name a scene");
      return outcome(scanner_.show(request["scene"].get<std::string>()));
    }
    if (verb == "plug") return outcome(plug());
    if (verb == "unplug") return outcome(unplug());
    if (verb == "stall") {
      emulator_.control->stall_after(0);
      return outcome({});
    }
    if (verb == "silence") {
      emulator_.control->go_silent_after(0);
      return outcome({});
    }
    return refuse(fmt::format("request: no verb \"{}\"", verb));
  }

 private:
  static std::string outcome(const Result<void>& result) {
    return result.ok() ? json{{"ok", true}}.dump() : refuse(result.error().message);
  }

  std::string progress() {
    const ScanProgress now = scanner_.progress();
    json answer = {{"ok", true},
                   {"scene", now.scene},
                   {"frames_sent", now.frames_sent},
                   {"path_frames", now.path_frames},
                   {"done", now.done},
                   {"streaming", emulator_.control->streaming()},
                   {"plugged", plugged_}};
    if (now.fault) answer["fault"] = *now.fault;
    return answer.dump(-1, ' ', false, json::error_handler_t::replace);
  }

  VirtualScanner& scanner_;
  UmockBus& bus_;
  realsense_d400::Emulator& emulator_;
  bool plugged_ = false;
};

}  // namespace

Result<void> preload_umockdev(char** arguments) {
  const char* present = std::getenv("LD_PRELOAD");
  const std::string preload = present != nullptr ? present : "";
  if (preload.find("libumockdev-preload") != std::string::npos) return {};
  const std::string wanted = preload.empty() ? kPreload : std::string(kPreload) + ":" + preload;
  if (::setenv("LD_PRELOAD", wanted.c_str(), 1) == 0) ::execv("/proc/self/exe", arguments);
  return error(ErrorCode::kUnavailable, "umockdev: this program can't start itself under {}: {}",
               kPreload, std::generic_category().message(errno));
}

Result<void> run_usb(const UsbOptions& options,
                     const std::function<void(const std::string&)>& announce) {
  const RunFolder folder{options.run_folder};
  if (ask(folder.control_socket(), R"({"verb": "progress"})", std::chrono::seconds(1)).ok())
    return error(ErrorCode::kConflict, "{}: a virtual scanner already runs there",
                 folder.path.string());
  PosixFileSystem files;
  CUSP_TRY(files.make_folder(folder.path));
  CUSP_TRY(files.remove(folder.umockdev_dir()));  // of a run that was killed
  CUSP_ASSIGN(Stage stage, set_up(options, folder));
  CUSP_ASSIGN(const std::unique_ptr<VirtualScanner> scanner,
              VirtualScanner::create(std::move(stage.scenes), stage.options.camera, folder.path));
  realsense_d400::Emulator emulator = realsense_d400::make_emulator(
      stage.emulator, [&](std::uint64_t index, std::span<std::uint16_t> z16) {
        return scanner->next_frame(index, z16);
      });
  CUSP_ASSIGN(const std::unique_ptr<UmockBus> bus, UmockBus::create());
  Port port(*scanner, *bus, emulator);

  const auto ready = [&]() -> Result<void> {
    CUSP_TRY(port.plug());
    CUSP_TRY(write_text(bus->folder().string() + "\n", folder.umockdev_dir()));
    announce(bus->folder().string());
    return {};
  };
  const Result<void> served = serve_until_signal(
      folder.control_socket(), [&](const std::string& line) { return port.answer(line); }, ready);
  CUSP_TRY(files.remove(folder.umockdev_dir()));
  return served;
}

}  // namespace cusp::sim
