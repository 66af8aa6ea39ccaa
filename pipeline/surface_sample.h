// surface_sample: an even sample of a surface, and a surface to be asked for its nearest point, its
// normal there and whether that is its border. mm. Threads: queries from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/mesh.h"
#include "pipeline/nearest.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct SurfaceSample {
  std::vector<Eigen::Vector3f> points_mm;
  std::vector<Eigen::Vector3f> normals;
};

// One vertex a cell of a grid. spacing_mm > 0.
SurfaceSample sample_surface(const Mesh& mesh, double spacing_mm, WorkerPool& pool);

class TargetSurface {
 public:
  TargetSurface(const Mesh& mesh, WorkerPool& pool);

  struct Foot {
    Eigen::Vector3d point_mm;
    Eigen::Vector3d normal;
    bool border = false;  // the surface ends there: what lies beyond is not known
  };
  [[nodiscard]] std::optional<Foot> find(const Eigen::Vector3d& p_mm, double limit_mm) const;

 private:
  const Mesh& mesh_;  // outlives this
  NearestSurface nearest_;
  std::vector<Eigen::Vector3f> normals_;
  std::vector<std::uint8_t> border_;
};

}  // namespace cusp
