// align: where a scan lies on a model of the same thing, without a guess to begin with.
//
// Coarse: fast point feature histograms (R. Rusu, N. Blodow, M. Beetz, "Fast point feature
// histograms for 3D registration", ICRA 2009, doi:10.1109/ROBOT.2009.5152473) of an even sample of
// both surfaces, matched to the most alike; triples of matches that keep their distances are tried
// in a fixed order of draws, and the best few that differ go on. Fine: point to plane against the
// target surface, trimmed at a multiple of the median distance and at the target's border, with a
// Geman-McClure weight. All lengths are multiples of the sample's spacing or of the distances
// found. mm; result target_from_source. Same meshes, same result, with any number of threads.
// Errors: kInvalidArgument: a mesh is empty or not valid; it does not fit (with what was found and
// what was asked). Threads: pure functions, use the pool.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "core/mesh.h"
#include "core/pose.h"
#include "core/result.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct AlignOptions {
  // Known roughly: then there is no coarse search.
  std::optional<RigidTransform> start;
  double min_overlap = 0.15;  // of the source's samples must lie on the target
  // The fit's residual may be this share of the sample's spacing.
  double max_residual_share = 0.25;
  // A second, different place that fits nearly as well makes the first doubtful.
  double max_ambiguity = 0.9;
  std::size_t most_places = 3;  // that are looked at closely
};

struct Alignment {
  RigidTransform target_from_source = RigidTransform::Identity();
  double residual_mm = 0;  // root mean square distance to the target's planes, where they overlap
  double overlap = 0;      // share of the source's samples that lie on the target
  double ambiguity = 0;    // score (plane_fit.h) of the best other place, as a share of this one's
};

// All places that fit, which differ, best first; none is doubted for the others' sake.
Result<std::vector<Alignment>> find_places(const Mesh& source, std::string_view source_name,
                                           const Mesh& target, std::string_view target_name,
                                           const AlignOptions& options, WorkerPool& pool);

// The best place. The names are for the errors: "bite left", "upper".
Result<Alignment> align(const Mesh& source, std::string_view source_name, const Mesh& target,
                        std::string_view target_name, const AlignOptions& options,
                        WorkerPool& pool);

}  // namespace cusp
