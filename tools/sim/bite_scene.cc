#include "tools/sim/bite_scene.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <utility>
#include <vector>

namespace cusp::sim {
namespace {

constexpr double kOverjetMm = 2.0;
constexpr double kThroughMm = 0.1;  // teeth give way a little
constexpr double kCellMm = 0.1;
// The side's faces: behind the canines, near the other jaw, looking outward.
constexpr float kFromMiddleMm = 14, kFromPlaneMm = 11, kOutward = 0.25F;

using Heights = std::map<std::pair<int, int>, double>;

// Of the surface, seen along z, above the nodes of a grid.
Heights heights(const Mesh& mesh, const RigidTransform& motion, bool highest) {
  Heights nodes;
  for (const auto& triangle : mesh.triangles) {
    std::array<Eigen::Vector3d, 3> p;
    for (std::size_t k = 0; k < 3; ++k)
      p[k] = motion * mesh.vertices_mm[triangle[k]].cast<double>() / kCellMm;
    const auto cross = [](const Eigen::Vector3d& a, const Eigen::Vector3d& b, double x, double y) {
      return (b.x() - a.x()) * (y - a.y()) - (b.y() - a.y()) * (x - a.x());
    };
    const double area = cross(p[0], p[1], p[2].x(), p[2].y());
    if (area == 0) continue;
    const auto [left, right] = std::minmax({p[0].x(), p[1].x(), p[2].x()});
    const auto [low, high] = std::minmax({p[0].y(), p[1].y(), p[2].y()});
    for (int x = static_cast<int>(std::ceil(left)); x <= right; ++x)
      for (int y = static_cast<int>(std::ceil(low)); y <= high; ++y) {
        const double a = cross(p[1], p[2], x, y) / area, b = cross(p[2], p[0], x, y) / area;
        if (a < 0 || b < 0 || a + b > 1) continue;
        const double z = kCellMm * (a * p[0].z() + b * p[1].z() + (1 - a - b) * p[2].z());
        const auto [known, is_new] = nodes.try_emplace({x, y}, z);
        if (!is_new)
          known->second = highest ? std::max(known->second, z) : std::min(known->second, z);
      }
  }
  return nodes;
}

float foremost(const Mesh& mesh) {
  float y = std::numeric_limits<float>::lowest();
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm) y = std::max(y, vertex.y());
  return y;
}

// The faces of `mesh` that a scanner at that side sees.
void add_side(const Mesh& mesh, const RigidTransform& motion, Side side, Mesh& to) {
  const float sign = side == Side::kLeft ? 1.0F : -1.0F;  // x goes to the patient's left
  const Eigen::Isometry3f moved = motion.cast<float>();
  std::vector<std::int64_t> number(mesh.vertices_mm.size(), -1);
  for (const auto& triangle : mesh.triangles) {
    std::array<Eigen::Vector3f, 3> p;
    for (std::size_t k = 0; k < 3; ++k) p[k] = moved * mesh.vertices_mm[triangle[k]];
    const Eigen::Vector3f middle = (p[0] + p[1] + p[2]) / 3;
    const Eigen::Vector3f normal = (p[1] - p[0]).cross(p[2] - p[0]).normalized();
    if (sign * middle.x() < kFromMiddleMm || std::abs(middle.z()) > kFromPlaneMm ||
        !(sign * normal.x() > kOutward))
      continue;
    std::array<std::uint32_t, 3> corners{};
    for (std::size_t k = 0; k < 3; ++k) {
      auto& known = number[triangle[k]];
      if (known < 0) {
        known = static_cast<std::int64_t>(to.vertices_mm.size());
        to.vertices_mm.push_back(p[k]);
      }
      corners[k] = static_cast<std::uint32_t>(known);
    }
    to.triangles.push_back(corners);
  }
}

}  // namespace

RigidTransform close_jaws(const Mesh& upper, const Mesh& lower) {
  RigidTransform upper_from_lower = RigidTransform::Identity();
  upper_from_lower.linear() = Eigen::Vector3d(-1, 1, -1).asDiagonal();
  upper_from_lower.translation().y() =
      static_cast<double>(foremost(upper) - foremost(lower)) - kOverjetMm;
  const Heights below = heights(upper, RigidTransform::Identity(), true);
  double through = std::numeric_limits<double>::lowest();
  for (const auto& [cell, z] : heights(lower, upper_from_lower, false))
    if (const auto met = below.find(cell); met != below.end())
      through = std::max(through, met->second - z);
  upper_from_lower.translation().z() = through - kThroughMm;
  return upper_from_lower;
}

Mesh make_bite(const Mesh& upper, const Mesh& lower, Side side) {
  Mesh bite;
  add_side(upper, RigidTransform::Identity(), side, bite);
  add_side(lower, close_jaws(upper, lower), side, bite);
  return bite;
}

}  // namespace cusp::sim
