// Surface error: how far a fitted model lies from the true surface, and how much of what could be
// seen it shows.
//
// Distances are those of the model's vertices to the nearest point of the true triangles, weighted
// by the area that a vertex stands for, so that a fine tessellation does not count more. Signed
// distances are positive outside. Coverage: of the true area that the camera could see (within the
// view, at most 75 degrees oblique, nothing in front), the share that has the model within 0.3 mm.
// Micrometres where the name says so. Threads: pure functions.
#pragma once

#include <cstddef>
#include <vector>

#include "core/mesh.h"
#include "core/pose.h"
#include "core/result.h"
#include "tools/sim/surface.h"

namespace cusp::verify {

struct SurfaceError {
  double mean_um = 0, median_um = 0, rms_um = 0, p95_um = 0, max_um = 0;
  double bias_um = 0;      // mean of the signed distances
  double coverage = 0;     // 0..1
  double seeable_mm2 = 0;  // true area that could be seen
};

// The model is already in the truth's frame. `views` are truth_from_sensor of the camera; none:
// every direction within 60 degrees of the scanned side.
Result<SurfaceError> measure_surface_error(const Mesh& model_in_truth, const sim::Surface& truth,
                                           std::vector<RigidTransform> views);

// How far the model is from the true surface's vertices where that is sharp: where a triangle turns
// by 10 degrees or more from the mean of its corner, an edge of 20 degrees. Only of vertices that
// have the model within 0.1 mm; the others were not scanned, or the model is wrong there.
struct EdgeError {
  std::size_t vertices = 0;
  double mean_um = 0, p95_um = 0;
  double left_out = 0;  // 0..1: the share of all sharp vertices that has no model within 0.1 mm
};
Result<EdgeError> measure_edge_error(const Mesh& model_in_truth, const Mesh& truth);

// The mesh with every vertex moved.
Mesh moved(Mesh mesh, const RigidTransform& to_from_mesh);

}  // namespace cusp::verify
