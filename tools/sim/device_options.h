// What a virtual device is: its family, what is in front of it, how it moves and what disturbs it;
// and the command line that says so.
// Threads: values. Errors: wrong usage is CLI11's to tell.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "drivers/emulation/structured_light_scan.h"

namespace cusp::sim {

struct DeviceOptions {
  // "d405", "d415", "d435", "d435i", "d455", "wand", "camera"; empty: d435 for recorded depth, wand
  // for recorded fringes, else d405.
  std::string family;
  // What is in front of it: one mesh, or jaws, or (none of them) the built-in jaws, of a D415, ...
  // the built-in faces, or recorded depth, or a recorded scan of fringes.
  std::optional<std::filesystem::path> scene, upper, lower, depth_folder;
  std::vector<double> depth_optics;  // of recorded depth: fx, fy, cx, cy in pixels
  std::optional<StructuredLightFiles> fringes;
  double resolution_mm = 0.15;             // of the built-in jaws
  std::filesystem::path cache;             // of the built-in jaws; empty: none
  std::optional<int> width_px, height_px;  // of the stream; else the family's own
  std::optional<std::uint64_t> frames;     // of a path; of a recording at most
  std::optional<double> rate_hz;           // else the family's own
  bool real_time = true;                   // false: as fast as the host reads
  bool with_noise = true;                  // of a depth camera
  bool sweeps = false;                     // of a depth camera; a wand always sweeps
  bool soft_tissue = false;                // of a depth camera; of a wand it is one of `effects`
  std::string effects = "default";         // of a wand, fringe_effects.h
  std::uint64_t seed = 1;
  std::optional<std::string> serial;  // 12 hexadecimal digits; else the family's own
};

void add_device_options(CLI::App& command, DeviceOptions& options);

}  // namespace cusp::sim
