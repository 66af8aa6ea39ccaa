#include "pipeline/finish.h"

#include <algorithm>
#include <cmath>

#include "pipeline/clean.h"
#include "pipeline/open3d_mesh.h"

namespace cusp {
namespace {

// Vertices nearer than this share of the mean edge are one: marching cubes leaves such pairs beside
// grid corners.
constexpr double kWeldShare = 0.02;
constexpr int kSpikeRounds = 4;

double mean_edge_mm(const Mesh& mesh) {
  // An equilateral triangle of the mean area.
  return std::sqrt(area_mm2(mesh) / static_cast<double>(mesh.triangles.size()) * 4 / std::sqrt(3));
}

// Small components, then spikes at the rims of the others.
void drop_islands_and_spikes(Mesh& mesh, const Twins& twins, double min_share, FinishReport& report,
                             WorkerPool& pool) {
  const Components components = find_components(mesh);
  double largest = 0;
  for (const Component& part : components.parts) largest = std::max(largest, part.area_mm2);
  const auto small = [&](const Component& part) { return part.area_mm2 < min_share * largest; };
  report.components_dropped = static_cast<std::uint64_t>(
      std::count_if(components.parts.begin(), components.parts.end(), small));
  std::vector<std::uint8_t> keep(mesh.triangles.size());
  for (std::size_t i = 0; i < keep.size(); ++i)
    keep[i] = small(components.parts[components.of_triangle[i]]) ? 0 : 1;
  report.spikes_trimmed = find_spikes(mesh, twins, kSpikeRounds, keep, pool);
  keep_triangles(mesh, keep);
}

Error cancelled() { return error(ErrorCode::kCancelled, "model: finishing was cancelled"); }
Error nothing_scanned() {
  return error(ErrorCode::kInvalidArgument, "model: nothing was scanned, it has no surface");
}

}  // namespace

Result<FinishedModel> finish(Mesh raw, const FinishOptions& options, const FinishRun& run) {
  CUSP_TRY(validate(raw));
  FinishedModel model{.mesh = std::move(raw), .report = {}};
  Mesh& mesh = model.mesh;
  FinishReport& report = model.report;
  report.triangles_in = mesh.triangles.size();
  if (mesh.empty()) return nothing_scanned();

  WorkerPool pool(run.threads);
  // Says how far it is; whether to go on.
  const auto go_on = [&](double share) {
    if (run.progress) run.progress(share);
    return !run.stop.stop_requested();
  };

  if (!go_on(0)) return cancelled();
  weld(mesh, static_cast<float>(kWeldShare * mean_edge_mm(mesh)), pool);
  if (!go_on(0.1)) return cancelled();
  drop_bad_triangles(mesh, pool);
  if (mesh.empty()) return nothing_scanned();
  if (!go_on(0.2)) return cancelled();
  const Twins twins = make_manifold(mesh, pool);
  if (mesh.empty()) return nothing_scanned();
  if (!go_on(0.4)) return cancelled();
  drop_islands_and_spikes(mesh, twins, options.min_component_share, report, pool);
  if (mesh.empty()) return nothing_scanned();
  if (!go_on(0.6)) return cancelled();

  if (options.target_triangles && mesh.triangles.size() > *options.target_triangles) {
    CUSP_ASSIGN(mesh, open3d_mesh::decimate(mesh, *options.target_triangles));
    drop_bad_triangles(mesh, pool);
    if (mesh.empty()) return nothing_scanned();
    if (!go_on(0.9)) return cancelled();
  }

  compute_normals(mesh);
  report.triangles_out = mesh.triangles.size();
  report.area_mm2 = area_mm2(mesh);
  if (!go_on(1)) return cancelled();
  return model;
}

}  // namespace cusp
