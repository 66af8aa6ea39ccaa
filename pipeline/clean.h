// clean: flat-array repairs of a triangle mesh, each one step of finish and of reading foreign
// files. All keep the order of what stays and give the same result with any number of threads; none
// takes more than linear time (with a logarithm), however bad the mesh. Threads: pure functions,
// use the pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/mesh.h"
#include "pipeline/mesh_edges.h"
#include "pipeline/worker_pool.h"

namespace cusp {

// Vertices of one cell of a grid of this size become one (0: only those that are equal bit for
// bit). Normals are dropped.
void weld(Mesh& mesh, float grid_mm, WorkerPool& pool);

// Triangles that use a vertex twice, have no area to speak of, or repeat another one's three
// vertices.
void drop_bad_triangles(Mesh& mesh, WorkerPool& pool);

// Makes an orientable manifold with border: every edge has one triangle, or two that agree on what
// is outside, and the triangles of a vertex are one fan. Surfaces that only touch are cut apart
// (their vertices doubled), nothing is moved; a triangle goes only where cutting does not help.
// A. Gueziec, G. Taubin, F. Lazarus, B. Horn, "Cutting and stitching", IEEE TVCG 7(2), 2001,
// doi:10.1109/2945.928166. Needs drop_bad_triangles. Returns its twins.
Twins make_manifold(Mesh& mesh, WorkerPool& pool);

struct Component {
  std::size_t triangles = 0;
  double area_mm2 = 0;
};
// Parts that hang together by vertices: of every triangle its part's number, in order of first
// appearance.
struct Components {
  std::vector<std::uint32_t> of_triangle;
  std::vector<Component> parts;
};
Components find_components(const Mesh& mesh);

// Triangles at the rim of a manifold that hang by one edge and stick out of it as spikes: a tip
// sharper than 60 degrees. Looks again at what that uncovers, `rounds` times; keep says 0 for those
// and for those that were out already. How many are newly out.
std::size_t find_spikes(const Mesh& mesh, const Twins& twins, int rounds,
                        std::vector<std::uint8_t>& keep, WorkerPool& pool);

// Keeps triangles[i] where keep[i], then the vertices that are still used. Normals stay with their
// vertices.
void keep_triangles(Mesh& mesh, const std::vector<std::uint8_t>& keep);

double area_mm2(const Mesh& mesh);

}  // namespace cusp
