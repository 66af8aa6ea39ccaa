#include "tools/sim/scan_frame.h"

#include <Eigen/Eigenvalues>
#include <Eigen/Geometry>
#include <cmath>
#include <limits>

namespace cusp::sim {
namespace {

// An open surface's area vectors add up to this share of its area or more; a closed one's to
// nothing.
constexpr double kOpenShare = 0.05;
// Triangles that face a side within about 70 degrees count as that side.
constexpr double kFacingCosine = 0.35;

struct Facet {
  Eigen::Vector3d centre, area_vector;  // the vector's length is the area
};

Facet facet(const Mesh& mesh, const std::array<std::uint32_t, 3>& corners) {
  const Eigen::Vector3d a = mesh.vertices_mm[corners[0]].cast<double>();
  const Eigen::Vector3d b = mesh.vertices_mm[corners[1]].cast<double>();
  const Eigen::Vector3d c = mesh.vertices_mm[corners[2]].cast<double>();
  return {(a + b + c) / 3, 0.5 * (b - a).cross(c - a)};
}

// 1 - |mean normal|: 0 for a plane, larger the more the normals of that side differ.
double relief(const Mesh& mesh, const Eigen::Vector3d& side) {
  Eigen::Vector3d sum = Eigen::Vector3d::Zero();
  double area = 0;
  for (const auto& triangle : mesh.triangles) {
    const Eigen::Vector3d vector = facet(mesh, triangle).area_vector;
    const double size = vector.norm();
    if (vector.dot(side) < kFacingCosine * size) continue;
    sum += vector;
    area += size;
  }
  return area > 0 ? 1 - sum.norm() / area : 0;
}

}  // namespace

Result<ScanFrame> find_scan_frame(const Mesh& mesh) {
  CUSP_TRY(validate(mesh));
  double area = 0;
  Eigen::Vector3d mean = Eigen::Vector3d::Zero(), area_vector = Eigen::Vector3d::Zero();
  for (const auto& triangle : mesh.triangles) {
    const Facet f = facet(mesh, triangle);
    const double size = f.area_vector.norm();
    area += size;
    mean += size * f.centre;
    area_vector += f.area_vector;
  }
  if (!(area > 0)) return error(ErrorCode::kInvalidArgument, "scene: the mesh has no area");
  mean /= area;
  Eigen::Matrix3d covariance = Eigen::Matrix3d::Zero();
  for (const auto& triangle : mesh.triangles) {
    const Facet f = facet(mesh, triangle);
    const Eigen::Vector3d offset = f.centre - mean;
    covariance += f.area_vector.norm() / area * offset * offset.transpose();
  }
  const Eigen::SelfAdjointEigenSolver<Eigen::Matrix3d> solver(covariance);
  Eigen::Vector3d along = solver.eigenvectors().col(2);
  Eigen::Vector3d up = solver.eigenvectors().col(0);
  const double open = area_vector.dot(up) / area;
  if (std::abs(open) > kOpenShare ? open < 0 : relief(mesh, -up) > relief(mesh, up)) up = -up;
  // Signs of eigenvectors are arbitrary: fix them, so that the same mesh gives the same path
  // everywhere.
  Eigen::Index largest = 0;
  along.cwiseAbs().maxCoeff(&largest);
  if (along[largest] < 0) along = -along;

  ScanFrame frame;
  frame.axes.col(0) = along;
  frame.axes.col(1) = up.cross(along);
  frame.axes.col(2) = up;
  constexpr double kFar = std::numeric_limits<double>::max();
  Eigen::Vector3d low = Eigen::Vector3d::Constant(kFar), high = -low;
  for (const auto& vertex : mesh.vertices_mm) {
    const Eigen::Vector3d local = frame.axes.transpose() * vertex.cast<double>();
    low = low.cwiseMin(local);
    high = high.cwiseMax(local);
  }
  frame.centre_mm = frame.axes * (0.5 * (low + high));
  frame.half_extent_mm = 0.5 * (high - low);
  return frame;
}

}  // namespace cusp::sim
