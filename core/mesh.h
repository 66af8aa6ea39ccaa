// Mesh: triangles in millimetres, counter-clockwise seen from outside.
// normals is empty or one unit vector a vertex. Threads: value.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <vector>

#include "core/result.h"

namespace cusp {

struct Mesh {
  std::vector<Eigen::Vector3f> vertices_mm;
  std::vector<Eigen::Vector3f> normals;
  std::vector<std::array<std::uint32_t, 3>> triangles;

  [[nodiscard]] bool empty() const { return triangles.empty(); }
};

// Says what is wrong: an index beyond the vertices, a coordinate that is not finite, a wrong count
// of normals.
Result<void> validate(const Mesh& mesh);

// Area weighted vertex normals, in place.
void compute_normals(Mesh& mesh);

}  // namespace cusp
