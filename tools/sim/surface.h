// Surface: questions to a mesh: how far is it, and what hides what.
//
// Millimetres, in the mesh's own frame. Exact point-to-triangle distance (C. Ericson, "Real-Time
// Collision Detection", 2005, section 5.1.5) over Embree's tree.
// Threads: queries from any thread.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <memory>
#include <optional>

#include "core/mesh.h"
#include "core/result.h"

namespace cusp::sim {

class EmbreeScene;

struct SurfacePoint {
  Eigen::Vector3f point_mm;
  std::uint32_t triangle = 0;
  float distance_mm = 0;
};

class Surface {
 public:
  // kInvalidArgument when the mesh is empty or not valid.
  static Result<Surface> create(Mesh mesh);
  ~Surface();
  Surface(Surface&&) noexcept;
  Surface& operator=(Surface&&) noexcept;

  [[nodiscard]] const Mesh& mesh() const { return mesh_; }
  // Unit normal of a triangle; zero for one without area.
  [[nodiscard]] Eigen::Vector3f normal(std::uint32_t triangle) const;

  // The nearest point, if it lies within the limit.
  [[nodiscard]] std::optional<SurfacePoint> closest(const Eigen::Vector3f& point_mm,
                                                    float limit_mm) const;
  // Whether something lies between two points (the last `slack_mm` before each are not asked).
  [[nodiscard]] bool blocked(const Eigen::Vector3f& from_mm, const Eigen::Vector3f& to_mm,
                             float slack_mm) const;

 private:
  Surface(Mesh mesh, std::unique_ptr<EmbreeScene> scene);
  Mesh mesh_;
  std::unique_ptr<EmbreeScene> scene_;
};

}  // namespace cusp::sim
