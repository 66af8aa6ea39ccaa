// detail: the surface where it bends, from the pixels themselves.
//
// A volume rounds off what turns within a voxel or two: margins, incisal edges, the floor of a
// fissure. Where the triangles of its mesh are chords of something rounder, their edges are halved
// until they are a pixel long (a new vertex lies on the curve that the normals of both ends tell:
// A. Vlachos et al., "Curved PN triangles", I3D 2001, doi:10.1145/364338.364387), and each vertex
// there goes along its normal to where the kept frames measured the surface: the least squares of
// its distances to the planes of the pixels that it falls into, as fuse.h weighs them, but not
// rounded to voxels and not binned. A new vertex that too few of them measured goes back onto the
// straight edge: nothing of the curve is left that was not measured. What is flat stays as it is:
// there a voxel's mean of more pixels is the better one.
//
// Finer than the data is never asked for: a chord counts as bent when it is off by more than a
// share of the voxel and of the noise of a pixel, and where a voxel is no wider than a pixel
// nothing is done. What is locked stays, with its edges; frames measure only what they were fused
// into (edit_marks.h). Model frame, mm. Threads: uses the pool; same result with any number of
// threads. Errors: kCancelled, the mesh is then half done.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <stop_token>

#include "core/mesh.h"
#include "core/result.h"
#include "pipeline/noise_model.h"
#include "pipeline/scan_log.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct DetailReport {
  std::size_t added = 0;  // vertices
  std::size_t moved = 0;
  std::chrono::nanoseconds time{};
};
struct DetailRun {
  std::function<void(double share)> progress = {};
  std::stop_token stop = {};
};

// `mesh`: as extract_mesh made it of the log's volume, of voxels that wide. It has normals after.
Result<DetailReport> add_detail(Mesh& mesh, const ScanLog& log, double voxel_mm,
                                const NoiseModel& noise, WorkerPool& pool,
                                const DetailRun& run = {});

}  // namespace cusp
