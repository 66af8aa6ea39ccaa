// `cusp-sim usb`: a virtual scanner on a virtual USB port, until SIGTERM or SIGINT.
//
// It answers on the run folder's control socket (one JSON line each way):
//   {"verb": "show", "scene": NAME}   {"verb": "progress"}   {"verb": "unplug"}   {"verb": "plug"}
//   {"verb": "stall"}     the bulk endpoint halts once, at the next frame
//   {"verb": "silence"}   no more frames until the host clears the endpoint
// Answers: {"ok": true, ...} or {"ok": false, "error": SENTENCE}. Anything that is no such request
// gets an error. Threads: as the caller, the emulator's and umockdev's; none of them changes its
// signal mask.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "core/result.h"
#include "tools/sim/virtual_scanner.h"

namespace cusp::sim {

struct UsbOptions {
  std::filesystem::path run_folder;
  // What is in front of the scanner: one mesh, or jaws, or (none of them) the built-in jaws, or
  // recorded depth.
  std::optional<std::filesystem::path> scene, upper, lower, depth_folder;
  double resolution_mm = 0.15;                 // of the built-in jaws
  std::filesystem::path cache;                 // of the built-in jaws; empty: none
  int width_px = 848, height_px = 480;         // a D405's stream
  std::optional<Intrinsics> depth_intrinsics;  // of recorded depth; its size is the images'
  std::optional<std::uint64_t> frames;         // of a path; most of a recording
  double rate_hz = 30.0;
  bool real_time = true;
  bool with_noise = true;
  std::uint64_t seed = 1;
  std::string serial = "000000000001";
};

// Must run under the umockdev preload (preload_umockdev). `announce` is called once the scanner is
// plugged in.
Result<void> run_usb(const UsbOptions& options,
                     const std::function<void(const std::string&)>& announce);

// Starts this program again under the umockdev preload, if it is not yet; returns only when nothing
// is to be done or it can't be done.
Result<void> preload_umockdev(char** arguments);

}  // namespace cusp::sim
