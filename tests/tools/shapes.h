// Meshes with a formula, for the tests of the simulator and of the verification.
#pragma once

#include <cmath>
#include <numbers>

#include "core/mesh.h"

namespace cusp::shapes {

// A square in the plane z = 0, normals up.
inline Mesh plane(float half_mm, int cells) {
  Mesh mesh;
  const auto side = static_cast<std::uint32_t>(cells + 1);
  for (std::uint32_t y = 0; y < side; ++y)
    for (std::uint32_t x = 0; x < side; ++x)
      mesh.vertices_mm.emplace_back(
          half_mm * (2 * static_cast<float>(x) / static_cast<float>(cells) - 1),
          half_mm * (2 * static_cast<float>(y) / static_cast<float>(cells) - 1), 0.0F);
  for (std::uint32_t y = 0; y + 1 < side; ++y)
    for (std::uint32_t x = 0; x + 1 < side; ++x) {
      const std::uint32_t a = y * side + x, b = a + 1, c = a + side, d = c + 1;
      mesh.triangles.push_back({a, b, d});
      mesh.triangles.push_back({a, d, c});
    }
  return mesh;
}

// An ellipsoid round the origin, closed, normals outward.
inline Mesh ellipsoid(const Eigen::Vector3f& radii_mm, int rings) {
  Mesh mesh;
  const auto around = static_cast<std::uint32_t>(2 * rings);
  const auto down = static_cast<std::uint32_t>(rings);
  constexpr float kPi = std::numbers::pi_v<float>;
  for (std::uint32_t i = 0; i <= down; ++i)
    for (std::uint32_t j = 0; j < around; ++j) {
      const float theta = kPi * static_cast<float>(i) / static_cast<float>(down);
      const float phi = 2 * kPi * static_cast<float>(j) / static_cast<float>(around);
      mesh.vertices_mm.push_back(radii_mm.cwiseProduct(Eigen::Vector3f(
          std::sin(theta) * std::cos(phi), std::sin(theta) * std::sin(phi), std::cos(theta))));
    }
  for (std::uint32_t i = 0; i < down; ++i)
    for (std::uint32_t j = 0; j < around; ++j) {
      const std::uint32_t next = (j + 1) % around;
      const std::uint32_t a = i * around + j, b = i * around + next;
      const std::uint32_t c = a + around, d = b + around;
      if (i > 0) mesh.triangles.push_back({a, d, b});
      if (i + 1 < down) mesh.triangles.push_back({a, c, d});
    }
  return mesh;
}

inline Mesh sphere(float radius_mm, int rings) {
  return ellipsoid(Eigen::Vector3f::Constant(radius_mm), rings);
}

// A bumpy, open patch without any symmetry: what a scan of a few teeth is to a registration.
inline Mesh relief(float half_mm, int cells) {
  Mesh mesh = plane(half_mm, cells);
  for (auto& v : mesh.vertices_mm)
    v.z() = 4.0F * std::sin(0.21F * v.x()) * std::cos(0.17F * v.y() + 0.5F) +
            2.5F * std::sin(0.37F * v.y() + 0.05F * v.x()) + 0.06F * v.x();
  return mesh;
}

}  // namespace cusp::shapes
