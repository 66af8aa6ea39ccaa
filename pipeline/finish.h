// finish: from the raw mesh of a volume to the model that is delivered.
// Steps: weld, drop slivers and repeats, make an orientable manifold with border, drop small
// components and spikes at the rim; where asked smooth within the noise, fill small holes,
// decimate; vertex normals.
// Errors: kInvalidArgument "nothing was scanned" when no triangle is left, or the mesh is not
// valid; kCancelled. Threads: a pure function with run.threads of its own; checks `stop` and
// tells `progress` (0 to 1, rising, on the calling thread) between steps. Same mesh and options,
// same model, with any number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <vector>

#include "core/mesh.h"
#include "core/result.h"

namespace cusp {

struct FinishOptions {
  double min_component_share = 0.02;  // of the largest component's area; smaller islands go
  std::optional<std::uint64_t> target_triangles = {};  // decimate to about this many
  // Decimate as far as no vertex moves off by more than this, and not beyond the target; measured,
  // and done again more carefully if it does. 0: no limit (nor decimation without a target).
  double max_error_mm = 0;
  double smooth_sigma_mm = 0;  // noise that smoothing may take off (smooth.h); 0: none
  double max_hole_mm = 0;      // fill holes up to this wide and mark them (fill_holes.h); 0: none
};

// How the work is done; none of it changes the model.
struct FinishRun {
  int threads = 2;
  std::stop_token stop = {};
  std::function<void(double share)> progress = {};
};

struct FinishReport {
  std::uint64_t triangles_in = 0;
  std::uint64_t triangles_out = 0;
  std::uint64_t components_dropped = 0;
  std::uint64_t spikes_trimmed = 0;  // triangles
  std::uint64_t holes_filled = 0;
  std::uint64_t holes_left = 0;    // of those that were looked for
  double decimation_error_mm = 0;  // largest distance of a vertex before from the mesh after
  double area_mm2 = 0;
};

struct FinishedModel {
  Mesh mesh;
  // kFilledMark of each triangle that was not seen but filled in; empty when nothing was.
  std::vector<std::uint8_t> filled;
  FinishReport report;
};

Result<FinishedModel> finish(Mesh raw, const FinishOptions& options, const FinishRun& run = {});

}  // namespace cusp
