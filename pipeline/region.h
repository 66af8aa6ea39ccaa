// Region: a part of the model that a person marked, to cut it away, to lock it, or to scan it
// again.
//
// Model frame, mm. A brush is all that comes within its radius of the way along which it was drawn.
// A lasso is a closed outline in a viewer's picture and all that lies under it between two depths;
// crossing outlines follow the even-odd rule. Threads: values; a RegionTest answers any thread.
// Errors: kInvalidArgument names what of a region can't be meant.
#pragma once

#include <Eigen/Core>
#include <Eigen/Geometry>
#include <array>
#include <cstdint>
#include <variant>
#include <vector>

#include "core/pose.h"
#include "core/result.h"

namespace cusp {

struct Brush {
  std::vector<Eigen::Vector3f> path_mm;  // one point or more
  float radius_mm = 0;
};

struct Lasso {
  RigidTransform view_from_model = RigidTransform::Identity();  // the viewer looks along +z
  // A point of the view is seen at focal * (x, y) / z; at (x, y), in mm, where focal is 0
  // (orthographic).
  double focal = 0;
  std::vector<Eigen::Vector2f> outline;  // three points or more; the last joins the first
  double near_mm = 0, far_mm = 0;        // z in the view
};

using Region = std::variant<Brush, Lasso>;

Result<void> validate(const Region& region);

// Made once, asked often.
class RegionTest {
 public:
  // The region is valid.
  explicit RegionTest(const Region& region);

  [[nodiscard]] bool contains(const Eigen::Vector3f& p_in_model) const;
  // False only when no point within `radius_mm` of the point is in the region.
  [[nodiscard]] bool may_touch(const Eigen::Vector3f& p_in_model, float radius_mm) const;

 private:
  struct Outline {
    Eigen::Matrix3f rotation = Eigen::Matrix3f::Identity();
    Eigen::Vector3f translation = Eigen::Vector3f::Zero();
    float focal = 0, near_mm = 0, far_mm = 0;
    Eigen::Vector2f low = Eigen::Vector2f::Zero(), high = Eigen::Vector2f::Zero();
    // Edges (x1, y1, x2, y2) by the horizontal bands that they pass through.
    std::vector<std::vector<Eigen::Vector4f>> bands{};
  };
  struct Stroke {
    std::vector<Eigen::Vector3f> path_mm;
    float radius_mm = 0;
    std::vector<Eigen::AlignedBox3f> boxes{};  // of kLegsABox legs of the path each

    [[nodiscard]] bool comes_within(const Eigen::Vector3f& p, float reach_mm) const;
  };
  static std::variant<Stroke, Outline> shape_of(const Brush& brush);
  static std::variant<Stroke, Outline> shape_of(const Lasso& lasso);

  std::variant<Stroke, Outline> shape_;
};

}  // namespace cusp
