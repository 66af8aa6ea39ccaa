// Meshes with a formula.
#pragma once

#include <cmath>

#include "core/mesh.h"

namespace cusp::testing {

// Closed, faces outward; `rings` circles of latitude.
inline Mesh sphere(float radius_mm, const Eigen::Vector3f& middle, int rings = 40) {
  Mesh mesh;
  const int sectors = 2 * rings;
  const auto index = [&](int ring, int sector) {
    return static_cast<std::uint32_t>(1 + (ring - 1) * sectors + sector % sectors);
  };
  mesh.vertices_mm.push_back(middle + Eigen::Vector3f(0, 0, radius_mm));
  for (int ring = 1; ring < rings; ++ring)
    for (int sector = 0; sector < sectors; ++sector) {
      const double polar = M_PI * ring / rings;
      const double around = 2 * M_PI * sector / sectors;
      const Eigen::Vector3d out(std::sin(polar) * std::cos(around),
                                std::sin(polar) * std::sin(around), std::cos(polar));
      mesh.vertices_mm.push_back(middle + radius_mm * out.cast<float>());
    }
  const auto south = static_cast<std::uint32_t>(mesh.vertices_mm.size());
  mesh.vertices_mm.push_back(middle - Eigen::Vector3f(0, 0, radius_mm));
  for (int s = 0; s < sectors; ++s) {
    mesh.triangles.push_back({0, index(1, s), index(1, s + 1)});
    for (int r = 1; r + 1 < rings; ++r) {
      mesh.triangles.push_back({index(r, s), index(r + 1, s), index(r + 1, s + 1)});
      mesh.triangles.push_back({index(r, s), index(r + 1, s + 1), index(r, s + 1)});
    }
    mesh.triangles.push_back({index(rings - 1, s), south, index(rings - 1, s + 1)});
  }
  return mesh;
}

inline void add(Mesh& mesh, const Mesh& other) {
  const auto shift = static_cast<std::uint32_t>(mesh.vertices_mm.size());
  mesh.vertices_mm.insert(mesh.vertices_mm.end(), other.vertices_mm.begin(),
                          other.vertices_mm.end());
  for (const auto& t : other.triangles)
    mesh.triangles.push_back({t[0] + shift, t[1] + shift, t[2] + shift});
}

}  // namespace cusp::testing
