#include "pipeline/finish.h"

#include <algorithm>
#include <cmath>

#include "pipeline/clean.h"
#include "pipeline/decimate.h"
#include "pipeline/deviation.h"
#include "pipeline/fill_holes.h"
#include "pipeline/smooth.h"

namespace cusp {
namespace {

// Vertices nearer than this share of the mean edge are one: marching cubes leaves such pairs beside
// grid corners.
constexpr double kWeldShare = 0.02;
constexpr int kSpikeRounds = 4;
constexpr int kDecimateAttempts = 4;
constexpr double kNextAttempt = 0.7;
// How far decimation's error is looked for, in mean edges.
constexpr double kSearchEdges = 100;

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

bool wants_fewer(const Mesh& mesh, const FinishOptions& options) {
  return options.target_triangles ? mesh.triangles.size() > *options.target_triangles
                                  : options.max_error_mm > 0;
}

// Decimates, measures, and tries again with less when a limit was stated and not kept; in the end
// the mesh stays as it was. The error that is left.
double decimate_within(FinishedModel& model, const FinishOptions& options, WorkerPool& pool,
                       const std::stop_token& stop) {
  const Mesh before = model.mesh;
  const std::vector<std::uint8_t> filled_before = model.filled;
  const double search_mm = kSearchEdges * mean_edge_mm(before);
  DecimateLimits limits{.target_triangles = options.target_triangles.value_or(0)};
  if (options.max_error_mm > 0) limits.max_error_mm = options.max_error_mm;
  for (int attempt = 0; attempt < kDecimateAttempts; ++attempt) {
    decimate(model.mesh, model.filled, limits, pool, stop);
    if (stop.stop_requested()) return 0;
    const double error_mm = measure_deviation(before, model.mesh, search_mm, pool).max_mm;
    if (options.max_error_mm <= 0 || error_mm <= options.max_error_mm) return error_mm;
    limits.max_error_mm *= kNextAttempt * options.max_error_mm / error_mm;
    model.mesh = before;
    model.filled = filled_before;
  }
  return 0;
}

Error cancelled() { return error(ErrorCode::kCancelled, "model: finishing was cancelled"); }
Error nothing_scanned() {
  return error(ErrorCode::kInvalidArgument, "model: nothing was scanned, it has no surface");
}

}  // namespace

Result<FinishedModel> finish(Mesh raw, const FinishOptions& options, const FinishRun& run) {
  CUSP_TRY(validate(raw));
  FinishedModel model{.mesh = std::move(raw), .filled = {}, .report = {}};
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

  smooth(mesh, {.sigma_mm = options.smooth_sigma_mm}, pool);
  if (!go_on(0.65)) return cancelled();
  if (options.max_hole_mm > 0) {
    const HoleReport holes = fill_holes(mesh, options.max_hole_mm, model.filled, pool);
    report.holes_filled = holes.filled;
    report.holes_left = holes.left_open;
    if (holes.filled == 0) model.filled.clear();
  }
  if (!go_on(0.7)) return cancelled();
  if (wants_fewer(mesh, options)) {
    report.decimation_error_mm = decimate_within(model, options, pool, run.stop);
    if (!go_on(0.95)) return cancelled();
  }

  compute_normals(mesh);
  report.triangles_out = mesh.triangles.size();
  report.area_mm2 = area_mm2(mesh);
  if (!go_on(1)) return cancelled();
  return model;
}

}  // namespace cusp
