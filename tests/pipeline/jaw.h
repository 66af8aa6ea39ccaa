// A jaw with a formula: an open ridge along a parabola, with fourteen teeth that all differ.
#pragma once

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "core/mesh.h"
#include "pipeline/clean.h"
#include "tests/pipeline/shapes.h"

namespace cusp::testing {

struct JawShape {
  unsigned seed = 1;
  int along = 240;  // cells
  int across = 40;
  double begin = -1;  // of the arch, -1 to 1
  double end = 1;
};

// Occlusal surface up (z 6 to 9), anterior +y, seen counter-clockwise from above.
inline Mesh jaw(const JawShape& shape = {}) {
  constexpr int kTeeth = 14;
  std::mt19937 random(shape.seed);
  std::uniform_real_distribution<double> unit(-1, 1);
  std::array<std::array<double, 5>, kTeeth> form{};
  for (auto& tooth : form)
    for (double& value : tooth) value = unit(random);
  Mesh mesh;
  for (int i = 0; i <= shape.along; ++i)
    for (int k = 0; k <= shape.across; ++k) {
      const double s = shape.begin + (shape.end - shape.begin) * i / shape.along;
      const double w = 2.0 * k / shape.across - 1;
      const Eigen::Vector2d centre(25 * s, -38 * s * s);
      const Eigen::Vector2d along = Eigen::Vector2d(25, -76 * s).normalized();
      const Eigen::Vector2d side(-along.y(), along.x());
      const double place = (s + 1) / 2 * kTeeth;
      const int which = std::clamp(static_cast<int>(place), 0, kTeeth - 1);
      const double in = place - which;  // 0 to 1 within the tooth
      const auto& f = form[static_cast<std::size_t>(which)];
      const double gap = std::sin(M_PI * in);
      const double crown = 1 - std::pow(std::abs(w), 4.0);
      const double width = 5.5 + 0.8 * f[0] * gap;
      const double z = crown * (6.5 + 1.5 * std::sqrt(gap) +
                                gap * (0.5 * f[1] * std::cos(2 * M_PI * w) +
                                       0.6 * f[2] * std::sin(2 * M_PI * in) * w +
                                       0.4 * f[3] * std::cos(4 * M_PI * in) + 0.3 * f[4] * w));
      const Eigen::Vector2d p = centre + width * w * side;
      mesh.vertices_mm.emplace_back(static_cast<float>(p.x()), static_cast<float>(p.y()),
                                    static_cast<float>(z));
    }
  const auto at = [&](int i, int k) {
    return static_cast<std::uint32_t>(i * (shape.across + 1) + k);
  };
  for (int i = 0; i < shape.along; ++i)
    for (int k = 0; k < shape.across; ++k) {
      mesh.triangles.push_back({at(i, k), at(i + 1, k), at(i + 1, k + 1)});
      mesh.triangles.push_back({at(i, k), at(i + 1, k + 1), at(i, k + 1)});
    }
  return mesh;
}

template <typename Keep>
void keep_where(Mesh& mesh, const Keep& keep) {
  std::vector<std::uint8_t> kept;
  for (const auto& [a, b, c] : mesh.triangles)
    kept.push_back(
        keep(Eigen::Vector3f((mesh.vertices_mm[a] + mesh.vertices_mm[b] + mesh.vertices_mm[c]) / 3))
            ? 1
            : 0);
  keep_triangles(mesh, kept);
}

inline void move(Mesh& mesh, const Eigen::Isometry3d& motion) {
  for (Eigen::Vector3f& v : mesh.vertices_mm) v = (motion * v.cast<double>()).cast<float>();
}

inline Eigen::Isometry3d motion(double angle_rad, const Eigen::Vector3d& axis,
                                const Eigen::Vector3d& shift) {
  Eigen::Isometry3d result = Eigen::Isometry3d::Identity();
  result.linear() = Eigen::AngleAxisd(angle_rad, axis.normalized()).toRotationMatrix();
  result.translation() = shift;
  return result;
}

inline void shake(Mesh& mesh, float sigma_mm, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> noise(0, sigma_mm);
  for (Eigen::Vector3f& v : mesh.vertices_mm)
    v += Eigen::Vector3f(noise(random), noise(random), noise(random));
}

}  // namespace cusp::testing
