// VirtualDevice: the firmware double of one family, and what is in front of it.
//
// Depth cameras, wands and cameras alike show scenes, one of which is in front; what a device makes
// of a scene is its family's. Threads: `show` and `press` from any; the scanner's own otherwise.
// Errors: kInvalidArgument (a family that can't see what was asked for), those of meshes and files.
#pragma once

#include <functional>
#include <memory>

#include "drivers/emulation/uvc_function.h"
#include "tools/sim/device_options.h"
#include "tools/sim/run_folder.h"
#include "tools/sim/virtual_scanner.h"

namespace cusp::sim {

struct VirtualDevice {
  std::unique_ptr<VirtualScanner> scanner;  // outlives the function, whose threads ask it
  std::unique_ptr<UsbFunction> function;
  EmulatorControl* stream = nullptr;  // owned by the function
  // kUnsupported: it has no such press.
  std::function<Result<void>(ButtonPress)> press;

  // Puts a scene in front of it, its path at the beginning.
  Result<void> show(const std::string& scene) {
    CUSP_TRY(scanner->show(scene));
    stream->flush();  // frames of the last scene that were made ahead
    return {};
  }
};

// Writes the true surfaces and truth.json into the run folder.
Result<VirtualDevice> make_virtual_device(const DeviceOptions& options, const RunFolder& folder);

}  // namespace cusp::sim
