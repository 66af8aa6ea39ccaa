#include "tools/sim/attach_command.h"

#include <nlohmann/json.hpp>

#include "core/file_system.h"
#include "tools/sim/control_socket.h"
#include "tools/sim/virtual_device.h"

namespace cusp::sim {
namespace {

using nlohmann::json;

std::string refuse(const std::string& sentence) {
  return json{{"ok", false}, {"error", sentence}}.dump(-1, ' ', false,
                                                       json::error_handler_t::replace);
}

// The device on its port, and the verbs that steer it.
class Attached {
 public:
  Attached(VirtualDevice& device, Port& port) : device_(device), port_(port) {}

  Result<void> plug() {
    if (plugged_) return error(ErrorCode::kConflict, "scanner: plugged in already");
    CUSP_TRY(port_.plug(*device_.function));
    plugged_ = true;
    return {};
  }

  Result<void> unplug() {
    if (!plugged_) return error(ErrorCode::kConflict, "scanner: not plugged in");
    CUSP_TRY(port_.unplug(*device_.function));
    plugged_ = false;
    return {};
  }

  std::string answer(const std::string& line) {
    const json request = json::parse(line, nullptr, false);
    if (!request.is_object() || !request.contains("verb") || !request["verb"].is_string())
      return refuse("request: a JSON object with a \"verb\" is expected");
    const auto verb = request["verb"].get<std::string>();
    if (verb == "progress") return progress();
    const Result<void> done = obey(verb, request);
    return done.ok() ? json{{"ok", true}}.dump() : refuse(done.error().message);
  }

 private:
  Result<void> obey(const std::string& verb, const json& request) {
    const auto word = [&](const char* key) {
      return request.contains(key) && request[key].is_string() ? request[key].get<std::string>()
                                                               : std::string();
    };
    if (verb == "show") {
      if (word("scene").empty())
        return error(ErrorCode::kInvalidArgument, "show: \"scene\" must name a scene");
      return device_.show(word("scene"));
    }
    if (verb == "plug") return plug();
    if (verb == "unplug") return unplug();
    if (verb == "button") {
      if (word("press") != "short" && word("press") != "long")
        return error(ErrorCode::kInvalidArgument, "button: \"press\" is short or long");
      return device_.press(word("press") == "short" ? ButtonPress::kShort : ButtonPress::kLong);
    }
    if (verb == "stall")
      device_.stream->stall_after(0);
    else if (verb == "silence")
      device_.stream->go_silent_after(0);
    else if (verb == "freeze")
      device_.stream->freeze_after(0);
    else
      return error(ErrorCode::kInvalidArgument, "request: no verb \"{}\"", verb);
    return {};
  }

  std::string progress() {
    const ScanProgress now = device_.scanner->progress();
    json answer = {{"ok", true},
                   {"scene", now.scene},
                   {"frames_sent", now.frames_sent},
                   {"path_frames", now.path_frames},
                   {"device_frames", device_.stream->frames_sent()},
                   {"done", now.done},
                   {"streaming", device_.stream->streaming()},
                   {"plugged", plugged_}};
    if (now.fault) answer["fault"] = *now.fault;
    return answer.dump(-1, ' ', false, json::error_handler_t::replace);
  }

  VirtualDevice& device_;
  Port& port_;
  bool plugged_ = false;
};

}  // namespace

Result<void> run_attached(const DeviceOptions& options, const std::filesystem::path& run_folder,
                          const MakePort& make_port,
                          const std::function<void(const std::string&)>& announce) {
  const RunFolder folder{run_folder};
  if (ask(folder.control_socket(), R"({"verb": "progress"})", std::chrono::seconds(1)).ok())
    return error(ErrorCode::kConflict, "{}: a virtual scanner already runs there",
                 folder.path.string());
  CUSP_TRY(PosixFileSystem().make_folder(folder.path));
  CUSP_ASSIGN(VirtualDevice device, make_virtual_device(options, folder));
  CUSP_ASSIGN(const std::unique_ptr<Port> port, make_port(folder));
  Attached attached(device, *port);
  return serve_until_signal(
      folder.control_socket(), [&](const std::string& line) { return attached.answer(line); },
      [&]() -> Result<void> {
        CUSP_TRY(attached.plug());
        announce(port->how_to_attach());
        return {};
      });
}

}  // namespace cusp::sim
