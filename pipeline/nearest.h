// NearestSurface: how far a point is from a mesh, and from which side.
//
// A tree without pointers over the triangles in the order of a Z curve; exact distance to each
// triangle (C. Ericson, "Real-Time Collision Detection", 2005, section 5.1.5). mm, the mesh's
// frame. Threads: queries from any thread; building uses the pool. Same mesh, same answers.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "core/mesh.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct NearestPoint {
  std::uint32_t triangle = 0;
  Eigen::Vector3f point_mm;
  Eigen::Vector3f share;  // of the triangle's corners: point = sum of share[k] * corner k
  float distance_mm = 0;
};

class NearestSurface {
 public:
  // The mesh must be valid; it is copied as far as it is needed. An empty one has no nearest point.
  NearestSurface(const Mesh& mesh, WorkerPool& pool);

  // The nearest point of the surface nearer than the limit; of equals, the triangle that the search
  // meets first, always the same.
  [[nodiscard]] std::optional<NearestPoint> find(const Eigen::Vector3f& p_mm, float limit_mm) const;

 private:
  struct Box {
    Eigen::Array3f low = Eigen::Array3f::Constant(std::numeric_limits<float>::infinity());
    Eigen::Array3f high = Eigen::Array3f::Constant(-std::numeric_limits<float>::infinity());
    void extend(const Box& other);
    // Infinite for a box that holds nothing.
    [[nodiscard]] float distance2(const Eigen::Array3f& p) const;
  };
  struct Leaf {
    std::array<Eigen::Vector3f, 3> corners;
    std::uint32_t triangle = 0;
  };
  std::vector<Leaf> leaves_;
  std::vector<Box> boxes_;  // a complete binary tree, children of i at 2i + 1 and 2i + 2
  std::size_t first_leaf_box_ = 0;
};

}  // namespace cusp
