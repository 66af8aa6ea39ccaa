// collapse: makes one patch of a mesh coarser, edge by edge, cheapest first.
//
// Quadric error metric: M. Garland and P. Heckbert, "Surface simplification using quadric error
// metrics", SIGGRAPH 1997, doi:10.1145/258734.258849; the quadrics are those of the patch that is
// given, not of an older one (P. Lindstrom and G. Turk, "Fast and memory efficient polygonal
// simplification", IEEE Visualization 1998, doi:10.1109/VISUAL.1998.745314). A collapse that would
// turn a triangle over, make a sliver, tear the border or leave the mesh no manifold isn't done.
// mm, the mesh's own frame. Threads: pure function, one thread; same patch, same result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <vector>

#include "core/mesh.h"

namespace cusp {

struct CollapseLimits {
  std::size_t target_triangles = 0;  // stops there
  double max_error_mm = 0;  // no collapse whose root mean square distance to its planes is larger
};

// The patch must be a manifold. locked: empty, or one a vertex: those stay where they are, and keep
// their number. marks: empty, or one a triangle, follows it. Vertices keep their numbers; those
// that are gone are used by no triangle. Normals are dropped.
void collapse_edges(Mesh& patch, const std::vector<std::uint8_t>& locked,
                    std::vector<std::uint8_t>& marks, const CollapseLimits& limits,
                    const std::stop_token& stop);

}  // namespace cusp
