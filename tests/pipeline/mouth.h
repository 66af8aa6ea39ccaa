// A mouth of two jaws, and bite scans of it.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/pose.h"
#include "tests/pipeline/jaw.h"

namespace cusp::testing {

inline double apart_mm(const Mesh& mesh, const RigidTransform& a, const RigidTransform& b) {
  double farthest = 0;
  for (const Eigen::Vector3f& v : mesh.vertices_mm)
    farthest = std::max(farthest, (a * v.cast<double>() - b * v.cast<double>()).norm());
  return farthest;
}

// An upper jaw turned over above a lower one, and what a wand sees of both from outside.
struct Mouth {
  Mesh upper;
  Mesh lower;
  Eigen::Isometry3d upper_from_lower;

  explicit Mouth(double gap_mm) : upper(jaw({.seed = 11})), lower(jaw({.seed = 12})) {
    // Turned about y: the upper's teeth point down, anterior stays.
    upper_from_lower = motion(M_PI, {0, 1, 0}, {0, 0, 17 + gap_mm});
  }
  // In the upper's frame, then moved.
  [[nodiscard]] Mesh bite(float side, const Eigen::Isometry3d& moved) const {
    Mesh both = upper;
    Mesh other = lower;
    move(other, upper_from_lower);
    add(both, other);
    // Outer faces of five teeth: beyond the middle line of the ridge.
    keep_where(both, [&](const Eigen::Vector3f& p) {
      const float s = std::clamp(std::sqrt(std::max(0.0F, -p.y() / 38)), 0.0F, 1.0F);
      const bool outside = std::abs(p.x()) > 25 * s + 0.5F;
      return side * p.x() > 6 && p.y() < -6 && p.y() > -30 && outside;
    });
    move(both, moved.inverse());
    shake(both, 0.005F, 3);
    return both;
  }
};

}  // namespace cusp::testing
