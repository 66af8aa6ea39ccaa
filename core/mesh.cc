#include "core/mesh.h"

#include <Eigen/Geometry>

namespace cusp {

Result<void> validate(const Mesh& mesh) {
  if (!mesh.normals.empty() && mesh.normals.size() != mesh.vertices_mm.size())
    return error(ErrorCode::kInvalidArgument, "mesh: {} normals for {} vertices",
                 mesh.normals.size(), mesh.vertices_mm.size());
  for (std::size_t i = 0; i < mesh.vertices_mm.size(); ++i)
    if (!mesh.vertices_mm[i].allFinite())
      return error(ErrorCode::kInvalidArgument,
                   "mesh: vertex {} has a coordinate that is not a number", i);
  for (std::size_t i = 0; i < mesh.normals.size(); ++i)
    if (!mesh.normals[i].allFinite())
      return error(ErrorCode::kInvalidArgument,
                   "mesh: normal {} has a coordinate that is not a number", i);
  for (std::size_t i = 0; i < mesh.triangles.size(); ++i)
    for (const std::uint32_t corner : mesh.triangles[i])
      if (corner >= mesh.vertices_mm.size())
        return error(ErrorCode::kInvalidArgument,
                     "mesh: triangle {} names vertex {}, but there are only {}", i, corner,
                     mesh.vertices_mm.size());
  return {};
}

void compute_normals(Mesh& mesh) {
  mesh.normals.assign(mesh.vertices_mm.size(), Eigen::Vector3f::Zero());
  for (const auto& [a, b, c] : mesh.triangles) {
    // The cross product's length is twice the area, which is the weight.
    const Eigen::Vector3f normal = (mesh.vertices_mm[b] - mesh.vertices_mm[a])
                                       .cross(mesh.vertices_mm[c] - mesh.vertices_mm[a]);
    mesh.normals[a] += normal;
    mesh.normals[b] += normal;
    mesh.normals[c] += normal;
  }
  for (Eigen::Vector3f& normal : mesh.normals) {
    const float length = normal.norm();
    normal = length > 0 ? Eigen::Vector3f(normal / length) : Eigen::Vector3f::UnitZ();
  }
}

}  // namespace cusp
