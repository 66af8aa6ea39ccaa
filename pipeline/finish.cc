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

double mean_edge_mm(const Mesh& mesh) {
  // An equilateral triangle of the mean area.
  return std::sqrt(area_mm2(mesh) / static_cast<double>(mesh.triangles.size()) * 4 / std::sqrt(3));
}

std::uint64_t drop_small_components(Mesh& mesh, double min_share) {
  const Components components = find_components(mesh);
  double largest = 0;
  for (const Component& part : components.parts) largest = std::max(largest, part.area_mm2);
  std::uint64_t dropped = 0;
  for (const Component& part : components.parts) dropped += part.area_mm2 < min_share * largest;
  std::vector<bool> keep(mesh.triangles.size());
  for (std::size_t i = 0; i < keep.size(); ++i)
    keep[i] = components.parts[components.of_triangle[i]].area_mm2 >= min_share * largest;
  keep_triangles(mesh, keep);
  return dropped;
}

Error cancelled() { return error(ErrorCode::kCancelled, "model: finishing was cancelled"); }
Error nothing_scanned() {
  return error(ErrorCode::kInvalidArgument, "model: nothing was scanned, it has no surface");
}

}  // namespace

Result<FinishedModel> finish(Mesh raw, const FinishOptions& options, std::stop_token stop) {
  CUSP_TRY(validate(raw));
  FinishedModel model{.mesh = std::move(raw), .report = {}};
  Mesh& mesh = model.mesh;
  model.report.triangles_in = mesh.triangles.size();
  if (mesh.empty()) return nothing_scanned();

  weld(mesh, static_cast<float>(kWeldShare * mean_edge_mm(mesh)));
  drop_bad_triangles(mesh);
  if (mesh.empty()) return nothing_scanned();
  if (stop.stop_requested()) return cancelled();

  model.report.components_dropped = drop_small_components(mesh, options.min_component_share);
  if (stop.stop_requested()) return cancelled();

  if (options.target_triangles && mesh.triangles.size() > *options.target_triangles) {
    CUSP_ASSIGN(mesh, open3d_mesh::decimate(mesh, *options.target_triangles));
    drop_bad_triangles(mesh);
    if (mesh.empty()) return nothing_scanned();
    if (stop.stop_requested()) return cancelled();
  }

  compute_normals(mesh);
  model.report.triangles_out = mesh.triangles.size();
  model.report.area_mm2 = area_mm2(mesh);
  return model;
}

}  // namespace cusp
