// The run folder of a virtual scanner: everything that a client, a script or a verification needs.
//
//   umockdev-dir       one line: what clients must have as UMOCKDEV_DIR; written last, removed at
//   the end control.sock       show, progress, faults (control_socket.h); removed at the end
//   truth.json         the camera, the noise, and each scene's name, mesh, poses and number of
//   frames scene-<name>.ply   the true surface, mm truth-<name>.log   scene_from_sensor of every
//   frame, mm (trajectory.h)
//
// Threads: functions on the caller's thread. Errors: kIo, kNoSpace with the path; kInvalidArgument
// for a file ending.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/mesh.h"
#include "core/result.h"
#include "tools/sim/arch_scene.h"
#include "tools/sim/virtual_scanner.h"

namespace cusp::sim {

struct RunFolder {
  std::filesystem::path path;

  [[nodiscard]] std::filesystem::path umockdev_dir() const { return path / "umockdev-dir"; }
  [[nodiscard]] std::filesystem::path control_socket() const { return path / "control.sock"; }
  [[nodiscard]] std::filesystem::path truth() const { return path / "truth.json"; }
  [[nodiscard]] std::filesystem::path scene_mesh(const std::string& scene) const {
    return path / ("scene-" + scene + ".ply");
  }
};

// PLY or STL, by the ending.
Result<void> write_mesh(const Mesh& mesh, const std::filesystem::path& path);
Result<void> write_text(const std::string& text, const std::filesystem::path& path);
// What truth.json says beside the scenes.
struct TruthOptions {
  Intrinsics camera{};       // empty: photos, whose size the host chooses
  double depth_unit_mm = 0;  // 0: the device sends no depth
  std::optional<StereoNoiseOptions> noise{};
  std::string effects{};   // of a fringe scanner
  std::uint64_t seed = 0;  // of those
};
Result<void> write_truth(const RunFolder& folder, const std::vector<Scene>& scenes,
                         const TruthOptions& options);

// The built-in jaw. With a cache folder, a mesh made by this very build of the program is read
// instead of made again.
Result<Mesh> built_in_jaw(const ArchSceneOptions& options, const std::filesystem::path& cache);

}  // namespace cusp::sim
