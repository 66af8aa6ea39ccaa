// `cusp-sim picture`: one picture of a virtual fringe scanner as a PNG, for a person to look at.
// Errors: Result, one sentence. Threads: the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "core/result.h"
#include "tools/sim/arch_scene.h"

namespace cusp::sim {

struct FringePictureOptions {
  std::string family = "wand";
  std::optional<std::filesystem::path> mesh;  // else the built-in jaw
  std::string jaw = "lower";
  ArchSceneOptions arch;
  std::string tissue = "stone";  // of the mesh; the built-in jaw has its own
  std::string effects = "default";
  std::uint64_t frame = 0;
  int pattern = 0;
  std::uint64_t seed = 1;
  std::filesystem::path output;
};

void add_fringe_picture(CLI::App& app, FringePictureOptions& options);
Result<void> run_fringe_picture(const FringePictureOptions& options);

}  // namespace cusp::sim
