// `cusp-sim usb`, `usbip` and `usbredir`: a virtual device on a port, until SIGTERM or SIGINT.
//
// It answers on the run folder's control socket (one JSON line each way):
//   {"verb": "show", "scene": NAME}   {"verb": "progress"}   {"verb": "unplug"}   {"verb": "plug"}
//   {"verb": "stall"}     the stream's endpoint halts once, at the next frame
//   {"verb": "silence"}   no more frames until the host clears the endpoint
//   {"verb": "freeze"}    nothing more until it is plugged in anew
//   {"verb": "button", "press": "short" | "long"}
// Answers: {"ok": true, ...} or {"ok": false, "error": SENTENCE}. Anything that is no such request
// gets an error. Threads: as the caller, the double's and the port's; none of them changes its
// signal mask.
#pragma once

#include <filesystem>
#include <functional>

#include "core/result.h"
#include "tools/sim/device_options.h"
#include "tools/sim/port.h"

namespace cusp::sim {

using MakePort = std::function<Result<std::unique_ptr<Port>>(const RunFolder&)>;

// `announce` is called with the port's instructions once the device is plugged in.
Result<void> run_attached(const DeviceOptions& options, const std::filesystem::path& run_folder,
                          const MakePort& make_port,
                          const std::function<void(const std::string&)>& announce);

}  // namespace cusp::sim
