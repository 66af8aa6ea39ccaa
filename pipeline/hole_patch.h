// hole_patch: one hole's patch, step by step; fill_holes.h says by which method.
// Patches are meshes whose first vertices are the hole's edge, in order, counter-clockwise seen
// from outside. mm. Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "core/mesh.h"

namespace cusp {

// What a patch has to know of the surface that it is put into.
struct HoleEdge {
  std::vector<Eigen::Vector3f> vertices_mm;
  // Unit normal of the triangle beyond the edge from vertex i to its next one.
  std::vector<Eigen::Vector3f> beyond;
  // Vertices of the surface beside each vertex, those of the edge left out.
  std::vector<std::vector<Eigen::Vector3f>> neighbours_mm;
  // Pairs (smaller first) that the surface joins already.
  std::set<std::pair<std::uint32_t, std::uint32_t>> joined;
};

// Nothing when every triangulation would join two vertices twice.
std::optional<Mesh> triangulate_hole(const HoleEdge& edge);

// Splits and flips until triangles are as large as those around the hole.
void refine_patch(Mesh& patch, const HoleEdge& edge);

// Moves the inner vertices.
void fair_patch(Mesh& patch, const HoleEdge& edge);

}  // namespace cusp
