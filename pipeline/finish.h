// finish: from the raw mesh of a volume to the model that is delivered.
// Steps: weld, drop slivers and repeats, make an orientable manifold with border, drop small
// components and spikes at the rim, decimate when asked, vertex normals.
// Errors: kInvalidArgument "nothing was scanned" when no triangle is left, or the mesh is not
// valid; kCancelled. Threads: a pure function with run.threads of its own; checks `stop` and
// tells `progress` (0 to 1, rising, on the calling thread) between steps. Same mesh and options,
// same model, with any number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>

#include "core/mesh.h"
#include "core/result.h"

namespace cusp {

struct FinishOptions {
  double min_component_share = 0.02;  // of the largest component's area; smaller islands go
  std::optional<std::uint64_t> target_triangles;  // decimate to about this many
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
  double area_mm2 = 0;
};

struct FinishedModel {
  Mesh mesh;
  FinishReport report;
};

Result<FinishedModel> finish(Mesh raw, const FinishOptions& options, const FinishRun& run = {});

}  // namespace cusp
