#include "tools/sim/run_folder.h"

#include <nlohmann/json.hpp>

#include "core/file_system.h"
#include "pipeline/export.h"

namespace cusp::sim {
namespace {

using nlohmann::json;

// Whether the file is younger than the running program.
bool made_by_this_build(const std::filesystem::path& file) {
  std::error_code failure;
  const auto made = std::filesystem::last_write_time(file, failure);
  if (failure) return false;
  const auto program = std::filesystem::last_write_time(
      std::filesystem::canonical("/proc/self/exe", failure), failure);
  return !failure && made > program;
}

}  // namespace

Result<void> write_mesh(const Mesh& mesh, const std::filesystem::path& path) {
  const std::string ending = path.extension().string();
  if (ending != ".ply" && ending != ".stl")
    return error(ErrorCode::kInvalidArgument, "{}: meshes are written as .ply or .stl",
                 path.string());
  return PosixFileSystem().write_synced(path, ending == ".ply" ? to_ply(mesh) : to_stl(mesh));
}

Result<void> write_text(const std::string& text, const std::filesystem::path& path) {
  return PosixFileSystem().write_synced(
      path, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

Result<void> write_truth(const RunFolder& folder, const std::vector<Scene>& scenes,
                         const TruthOptions& options) {
  json truth = {{"scenes", json::array()}};
  if (const Intrinsics& camera = options.camera; camera.width_px > 0)
    truth["camera"] = {{"width_px", camera.width_px}, {"height_px", camera.height_px},
                       {"fx_px", camera.fx_px},       {"fy_px", camera.fy_px},
                       {"cx_px", camera.cx_px},       {"cy_px", camera.cy_px}};
  if (options.depth_unit_mm > 0) truth["depth_unit_mm"] = options.depth_unit_mm;
  if (options.noise)
    truth["noise"] = {{"baseline_mm", options.noise->baseline_mm},
                      {"disparity_sigma_px", options.noise->disparity_sigma_px},
                      {"window_px", options.noise->window_px},
                      {"seed", options.noise->seed}};
  if (!options.effects.empty())
    truth["effects"] = {{"names", options.effects}, {"seed", options.seed}};
  for (const Scene& scene : scenes) {
    json entry = {{"name", scene.name}, {"frames", scene.frames}};
    if (std::filesystem::exists(folder.scene_mesh(scene.name)))
      entry["mesh"] = folder.scene_mesh(scene.name).filename().string();
    if (scene.pose) entry["poses"] = "truth-" + scene.name + ".log";
    truth["scenes"].push_back(std::move(entry));
  }
  return write_text(truth.dump(2) + "\n", folder.truth());
}

Result<Mesh> built_in_jaw(const ArchSceneOptions& options, const std::filesystem::path& cache) {
  const std::filesystem::path kept =
      cache / fmt::format("arch-{}-{:.3f}mm-{}.ply", options.jaw == Jaw::kUpper ? "upper" : "lower",
                          options.resolution_mm, options.seed);
  if (!cache.empty() && made_by_this_build(kept))
    if (auto mesh = read_mesh(kept)) return mesh;  // one that can't be read is made again
  Mesh mesh = make_arch(options);
  if (!cache.empty()) {
    CUSP_TRY(PosixFileSystem().make_folder(cache));
    CUSP_TRY(write_mesh(mesh, kept));
  }
  return mesh;
}

}  // namespace cusp::sim
