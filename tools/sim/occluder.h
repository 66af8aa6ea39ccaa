// Occluder: an ellipsoid of soft tissue that stands between the scanner and the teeth.
//
// Millimetres, scene frame. Its rays are solved in closed form, so a new place each frame costs
// nothing to prepare. Threads: values.
#pragma once

#include <Eigen/Core>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "core/pose.h"
#include "tools/sim/tissue.h"

namespace cusp::sim {

struct DepthImage;

struct Occluder {
  RigidTransform scene_from_body = RigidTransform::Identity();
  Eigen::Vector3d radii_mm = Eigen::Vector3d::Ones();
  Tissue tissue = Tissue::kMucosa;
};
bool operator==(const Occluder& a, const Occluder& b);

// An occluder made ready for rays in one sensor's frame.
class OccluderRays {
 public:
  OccluderRays(const Occluder& occluder, const RigidTransform& scene_from_sensor);

  [[nodiscard]] Tissue tissue() const { return tissue_; }
  // Parameter of the first point with from + t * along, t > 0, from outside; infinity when none.
  [[nodiscard]] float hit(const Eigen::Vector3f& from, const Eigen::Vector3f& along) const {
    const Eigen::Vector3f d = shape_ * along;
    const Eigen::Vector3f o = shape_ * from + centre_;
    const float a = d.squaredNorm(), b = d.dot(o), c = o.squaredNorm() - 1;
    const float root = b * b - a * c;
    if (root < 0 || c < 0 || b > 0) return std::numeric_limits<float>::infinity();
    return c / (-b + std::sqrt(root));
  }
  // Outward unit normal at a point of the surface.
  [[nodiscard]] Eigen::Vector3f normal(const Eigen::Vector3f& point) const {
    return (shape_.transpose() * (shape_ * point + centre_)).normalized();
  }

 private:
  Eigen::Matrix3f shape_;  // with centre_: takes the ellipsoid to the unit sphere
  Eigen::Vector3f centre_;
  Tissue tissue_;
};

// The occluders' own depth in front of an ideal depth image; their pixels have no triangle.
void hide_behind(std::span<const Occluder> occluders, const RigidTransform& scene_from_sensor,
                 DepthImage& image);

}  // namespace cusp::sim
