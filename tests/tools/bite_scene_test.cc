#include "tools/sim/bite_scene.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "core/pose.h"
#include "tools/sim/arch_scene.h"

namespace cusp::sim {
namespace {

// The least height of the lower jaw above the upper one, both closed, near each of its vertices.
double least_gap_mm(const Mesh& upper, const Mesh& lower, const RigidTransform& upper_from_lower) {
  double least = std::numeric_limits<double>::infinity();
  for (const Eigen::Vector3f& from : lower.vertices_mm) {
    const Eigen::Vector3f p = (upper_from_lower * from.cast<double>()).cast<float>();
    if (p.z() > 4) continue;
    for (const Eigen::Vector3f& v : upper.vertices_mm)
      if ((v - p).head<2>().norm() < 0.2F)
        least = std::min(least, static_cast<double>(p.z() - v.z()));
  }
  return least;
}

TEST(BiteScene, ClosedJawsTouch) {
  Mesh upper = make_arch({.jaw = Jaw::kUpper, .resolution_mm = 0.5});
  Mesh lower = make_arch({.jaw = Jaw::kLower, .resolution_mm = 0.5});
  upper.normals.clear();  // as a file may have none
  lower.normals.clear();
  const RigidTransform closed = close_jaws(upper, lower);
  EXPECT_GT(closed.linear().determinant(), 0) << "turned over, not mirrored";
  const double gap_mm = least_gap_mm(upper, lower, closed);
  EXPECT_GT(gap_mm, -0.6);
  EXPECT_LT(gap_mm, 0.6);

  for (const Side side : {Side::kLeft, Side::kRight}) {
    const Mesh bite = make_bite(upper, lower, side);
    ASSERT_TRUE(validate(bite).ok());
    const float sign = side == Side::kLeft ? 1.0F : -1.0F;
    std::size_t of_upper = 0;
    for (const Eigen::Vector3f& v : bite.vertices_mm) {
      EXPECT_GT(sign * v.x(), 10) << "that side alone";
      of_upper += v.z() < 0 ? 1 : 0;
    }
    EXPECT_GT(of_upper, bite.vertices_mm.size() / 5) << "teeth of both jaws";
    EXPECT_LT(of_upper, bite.vertices_mm.size() * 4 / 5);
  }
}

}  // namespace
}  // namespace cusp::sim
