// mesh_edges: who stands beyond each edge of a triangle mesh, in flat arrays.
//
// Half-edge 3t + k runs from corner k of triangle t to its next corner; it also names that corner.
// Its twin is the half-edge that runs back along it. Built in one counting sort, so that four
// million triangles take a fraction of a second, and in time that does not depend on how bad the
// mesh is. (The corner table: J. Rossignac, "Edgebreaker: connectivity compression for triangle
// meshes", IEEE TVCG 5(1), 1999, doi:10.1109/2945.764870.) Indices must be valid and no triangle
// may use a vertex twice (clean.h). Same mesh, same result, with any number of threads. Threads:
// pure functions, use the pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/mesh.h"
#include "pipeline/worker_pool.h"

namespace cusp {

inline constexpr std::uint32_t kNoTwin = ~std::uint32_t{0};

constexpr std::uint32_t next_in_triangle(std::uint32_t h) { return h % 3 == 2 ? h - 2 : h + 1; }
constexpr std::uint32_t prev_in_triangle(std::uint32_t h) { return h % 3 == 0 ? h + 2 : h - 1; }

// Vertex that a half-edge leaves; its far end is from_vertex of the next one.
inline std::uint32_t from_vertex(const Mesh& mesh, std::uint32_t h) {
  return mesh.triangles[h / 3][h % 3];
}
inline std::uint32_t to_vertex(const Mesh& mesh, std::uint32_t h) {
  return from_vertex(mesh, next_in_triangle(h));
}

// Of each vertex the half-edges that leave it, in order of their numbers:
// half_edges[first[v]] to half_edges[first[v + 1] - 1].
struct Corners {
  std::vector<std::uint32_t> first;
  std::vector<std::uint32_t> half_edges;
};
Corners find_corners(const Mesh& mesh);

struct Twins {
  std::vector<std::uint32_t> of;  // kNoTwin at a border
  // Half-edges that found no twin because their edge has more triangles than two, or two that run
  // the same way. On such an edge the largest triangle of each direction are each other's twins.
  std::vector<std::uint32_t> crowded;
};
Twins find_twins(const Mesh& mesh, const Corners& corners, WorkerPool& pool);

// The closed chains of border half-edges, each in the order of its triangles' own direction, by
// their lowest half-edge. The mesh must be a manifold (clean.h: make_manifold).
std::vector<std::vector<std::uint32_t>> border_loops(const Mesh& mesh, const Twins& twins);

}  // namespace cusp
