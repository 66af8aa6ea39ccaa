// finish: from the raw mesh of a volume to the model that is delivered.
// Steps: weld, drop small components and slivers, decimate when asked (quadric error metric),
// vertex normals. Errors: kInvalidArgument "nothing was scanned" when no triangle is left;
// kCancelled. Threads: a pure function; checks `stop` between steps.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>

#include "core/mesh.h"
#include "core/result.h"

namespace cusp {

struct FinishOptions {
  double min_component_share = 0.02;  // of the largest component's area; smaller islands go
  std::optional<std::uint64_t> target_triangles;  // decimate to about this many
};

struct FinishReport {
  std::uint64_t triangles_in = 0;
  std::uint64_t triangles_out = 0;
  std::uint64_t components_dropped = 0;
  double area_mm2 = 0;
};

struct FinishedModel {
  Mesh mesh;
  FinishReport report;
};

Result<FinishedModel> finish(Mesh raw, const FinishOptions& options, std::stop_token stop = {});

}  // namespace cusp
