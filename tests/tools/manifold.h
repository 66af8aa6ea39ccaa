// What a closed, outward wound surface has to satisfy, for the tests of meshes made by code.
#pragma once

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "core/mesh.h"

namespace cusp::sim {

// Every directed edge must occur once, and its reverse once: closed, manifold along edges, wound
// alike.
inline bool every_edge_is_shared_by_two_opposite_triangles(const Mesh& mesh) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges;
  for (const auto& t : mesh.triangles) {
    for (std::size_t i = 0; i < 3; ++i) edges.emplace_back(t[i], t[(i + 1) % 3]);
  }
  std::sort(edges.begin(), edges.end());
  if (std::adjacent_find(edges.begin(), edges.end()) != edges.end()) return false;
  return std::all_of(edges.begin(), edges.end(), [&](const auto& edge) {
    return std::binary_search(edges.begin(), edges.end(), std::pair(edge.second, edge.first));
  });
}

// The triangles round a vertex must form one fan: as many vertices joined to it as the one fan
// reaches.
inline bool every_vertex_has_one_fan(const Mesh& mesh) {
  std::vector<std::vector<std::array<std::uint32_t, 2>>> opposite(mesh.vertices_mm.size());
  for (const auto& t : mesh.triangles) {
    for (std::size_t i = 0; i < 3; ++i) {
      opposite[t[i]].push_back({t[(i + 1) % 3], t[(i + 2) % 3]});
    }
  }
  return std::all_of(opposite.begin(), opposite.end(), [](const auto& sides) {
    if (sides.empty()) return false;
    std::uint32_t at = sides.front()[1];
    std::size_t steps = 1;
    for (; at != sides.front()[0] && steps <= sides.size(); ++steps) {
      const auto next =
          std::find_if(sides.begin(), sides.end(), [&](const auto& s) { return s[0] == at; });
      if (next == sides.end()) return false;
      at = (*next)[1];
    }
    return steps == sides.size();
  });
}

// Six times the volume is the sum of the triangles' triple products; positive when they face
// outwards.
inline double volume_mm3(const Mesh& mesh) {
  double sum = 0.0;
  for (const auto& t : mesh.triangles) {
    const Eigen::Vector3d a = mesh.vertices_mm[t[0]].cast<double>();
    const Eigen::Vector3d b = mesh.vertices_mm[t[1]].cast<double>();
    const Eigen::Vector3d c = mesh.vertices_mm[t[2]].cast<double>();
    sum += a.dot(b.cross(c));
  }
  return sum / 6.0;
}

inline float smallest_triangle_mm2(const Mesh& mesh) {
  float smallest = std::numeric_limits<float>::max();
  for (const auto& t : mesh.triangles) {
    const Eigen::Vector3f ab = mesh.vertices_mm[t[1]] - mesh.vertices_mm[t[0]];
    const Eigen::Vector3f ac = mesh.vertices_mm[t[2]] - mesh.vertices_mm[t[0]];
    smallest = std::min(smallest, 0.5f * ab.cross(ac).norm());
  }
  return smallest;
}

}  // namespace cusp::sim
