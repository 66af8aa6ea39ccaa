#include "tools/sim/head_shape.h"

#include <array>
#include <cmath>
#include <numbers>
#include <span>

#include "core/check.h"

namespace cusp::sim {
namespace {

// Half axes of the head.
constexpr double kHalfWidthMm = 75, kHalfHeightMm = 110, kHalfDepthMm = 95;
// How far round and up the front half goes.
constexpr double kAcrossRad = 80 * std::numbers::pi / 180, kUpRad = 65 * std::numbers::pi / 180;

struct Bump {
  double x_mm, y_mm;  // of its top, seen from in front
  double half_width_mm, half_height_mm;
  double out_mm;
};
constexpr std::array<Bump, 10> kNeutral{{
    {0, 8, 7, 18, 10},       // bridge of the nose
    {0, -8, 11, 10, 16},     // its tip
    {-32, 20, 14, 9, -7},    // eyes
    {32, 20, 14, 9, -7},     //
    {0, 36, 48, 9, 4},       // brow
    {0, -33, 20, 4.5, 4.5},  // lips
    {0, -43, 17, 5, 4},      //
    {0, -38, 22, 2, -3},     // between them
    {0, -66, 17, 11, 8},     // chin
    {0, -55, 24, 4, -3},     // above it
}};
// What a smile adds: wider lips, their corners drawn in, cheeks raised.
constexpr std::array<Bump, 5> kSmile{{
    {0, -38, 30, 5, 2.5},
    {-29, -33, 5, 5, -4},
    {29, -33, 5, 5, -4},
    {-40, -8, 15, 13, 5},
    {40, -8, 15, 13, 5},
}};

Eigen::Vector3f point(double across_rad, double up_rad, Expression expression) {
  const Eigen::Vector3d out(std::sin(across_rad) * std::cos(up_rad), std::sin(up_rad),
                            std::cos(across_rad) * std::cos(up_rad));
  const Eigen::Vector3d on_ellipsoid =
      out.cwiseProduct(Eigen::Vector3d(kHalfWidthMm, kHalfHeightMm, kHalfDepthMm));
  double height_mm = 0;
  const auto add = [&](std::span<const Bump> bumps) {
    for (const Bump& bump : bumps) {
      const double x = (on_ellipsoid.x() - bump.x_mm) / bump.half_width_mm;
      const double y = (on_ellipsoid.y() - bump.y_mm) / bump.half_height_mm;
      height_mm += bump.out_mm * std::exp(-0.5 * (x * x + y * y));
    }
  };
  add(kNeutral);
  if (expression == Expression::kSmile) add(kSmile);
  return (on_ellipsoid + height_mm * out).cast<float>();
}

}  // namespace

Mesh make_head(double resolution_mm, Expression expression) {
  CUSP_CHECK(resolution_mm > 0, "a resolution is positive");
  const auto columns = static_cast<std::uint32_t>(2 * kAcrossRad * kHalfDepthMm / resolution_mm);
  const auto rows = static_cast<std::uint32_t>(2 * kUpRad * kHalfHeightMm / resolution_mm);
  Mesh mesh;
  for (std::uint32_t row = 0; row <= rows; ++row)
    for (std::uint32_t column = 0; column <= columns; ++column)
      mesh.vertices_mm.push_back(point(kAcrossRad * (2.0 * column / columns - 1),
                                       kUpRad * (2.0 * row / rows - 1), expression));
  for (std::uint32_t row = 0; row < rows; ++row)
    for (std::uint32_t column = 0; column < columns; ++column) {
      const std::uint32_t a = row * (columns + 1) + column, c = a + columns + 1;
      mesh.triangles.push_back({a, a + 1, c + 1});
      mesh.triangles.push_back({a, c + 1, c});
    }
  compute_normals(mesh);
  return mesh;
}

}  // namespace cusp::sim
