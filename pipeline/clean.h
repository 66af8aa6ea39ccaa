// clean: flat-array repairs of a triangle mesh, each one step of finish and of reading foreign
// files. All keep the order of what stays, so that the same mesh gives the same result. Threads:
// pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/mesh.h"

namespace cusp {

// Vertices of one cell of a grid of this size become one (0: only those that are equal bit for
// bit). Normals are dropped.
void weld(Mesh& mesh, float grid_mm);

// Triangles that use a vertex twice, have no area to speak of, or repeat another one's three
// vertices.
void drop_bad_triangles(Mesh& mesh);

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

// Keeps triangles[i] where keep[i], then the vertices that are still used. Normals stay with their
// vertices.
void keep_triangles(Mesh& mesh, const std::vector<bool>& keep);

double area_mm2(const Mesh& mesh);

}  // namespace cusp
