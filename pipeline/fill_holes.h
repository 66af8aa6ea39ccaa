// fill_holes: closes small holes inside a surface with a patch that goes on as the surface does.
//
// P. Liepa, "Filling holes in meshes", SGP 2003, doi:10.2312/SGP/SGP03/200-206: the triangulation
// of the hole's edge with the least worst fold and then the least area (G. Barequet, M. Sharir,
// "Filling gaps in the boundary of a polyhedron", CAGD 12, 1995,
// doi:10.1016/0167-8396(94)00011-G), made as fine as its surroundings, then faired. Here fairing is
// a least squares problem: the scale-dependent umbrella of every patch vertex and of the edge's
// vertices, whose outer neighbours are fixed, is as small as can be. An invented surface is always
// marked. mm, the mesh's own frame. Threads: pure function, uses the pool; same mesh, same result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/mesh.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct HoleReport {
  std::size_t filled = 0;
  std::size_t left_open = 0;  // larger than asked, or nothing could be put in
  double largest_open_mm = 0;
  double filled_mm2 = 0;
};

// Loops of border edges that are holes: all but the outer border of each connected part, which is
// its longest loop, unless that is short for the part's area (a ball with one hole has none).
// As border_loops gives them. The mesh must be a manifold (clean.h).
std::vector<std::vector<std::uint32_t>> find_holes(const Mesh& mesh, WorkerPool& pool);

// Fills the holes whose edge fits into a box with a diagonal of max_hole_mm. marks: empty, or one a
// triangle; becomes one a triangle, kFilledMark for what is filled. The mesh must be a manifold and
// stays one. Normals are dropped when something is filled.
inline constexpr std::uint8_t kFilledMark = 1;
HoleReport fill_holes(Mesh& mesh, double max_hole_mm, std::vector<std::uint8_t>& marks,
                      WorkerPool& pool);

}  // namespace cusp
