#include "pipeline/fringe_flow.h"

#include <Eigen/Dense>
#include <array>

#include "pipeline/lens.h"

namespace cusp {
namespace {

// Pixels from one raster point to the next; the first is half a pixel outside the picture.
constexpr std::size_t kSpacing = 32;
constexpr double kStep = 1e-3;  // mm and rad, of the difference quotients

// The same for all eights of the raster's gap.
FringeLine line_between(float left, float right, std::size_t x) {
  const float slope = (right - left) / static_cast<float>(kSpacing);
  const float middle = static_cast<float>(x % kSpacing) + 0.5F * static_cast<float>(kFringeLanes);
  return {left + slope * middle, slope};
}

}  // namespace

FringeFlowField::FringeFlowField(const Calibration& calibration, double min_depth_mm,
                                 double max_depth_mm)
    : calibration_(calibration),
      middle_(0.5 * (1 / min_depth_mm + 1 / max_depth_mm)),
      reach_(0.5 * (1 / min_depth_mm - 1 / max_depth_mm)),
      columns_((static_cast<std::size_t>(calibration.depth.width_px) + kSpacing - 1) / kSpacing +
               1),
      rows_((static_cast<std::size_t>(calibration.depth.height_px) + kSpacing - 1) / kSpacing + 1) {
  for (std::size_t y = 0; y < rows_; ++y)
    for (std::size_t x = 0; x < columns_; ++x)
      jacobians_.push_back(jacobian_at(static_cast<double>(x * kSpacing) - 0.5,
                                       static_cast<double>(y * kSpacing) - 0.5));
  ways_.resize(jacobians_.size());
}

FringeFlowField::Jacobian FringeFlowField::jacobian_at(double column, double row) const {
  const FringeOptics& optics = *calibration_.fringe;
  const Intrinsics& camera = calibration_.depth;
  const auto straight = undistort(optics.camera_distortion, {(column - camera.cx_px) / camera.fx_px,
                                                             (row - camera.cy_px) / camera.fy_px});
  if (!straight) return Jacobian::Zero();
  // Column and row in the picture, column of the projector.
  const auto image_of = [&](const Eigen::Vector3d& point) {
    const Eigen::Vector2d seen = distort(optics.camera_distortion, point.hnormalized());
    const Eigen::Vector2d lit =
        distort(optics.projector_distortion, (optics.projector_from_camera * point).hnormalized());
    return Eigen::Vector3d(seen.x() * camera.fx_px, seen.y() * camera.fy_px,
                           lit.x() * optics.projector.fx_px);
  };
  std::array<Eigen::Matrix<double, 3, 6>, 3> at;  // far, in the middle, near
  for (std::size_t k = 0; k < at.size(); ++k) {
    const double inverse = middle_ + reach_ * (static_cast<double>(k) - 1);
    const Eigen::Vector3d point = straight->homogeneous() / inverse;
    for (int i = 0; i < 3; ++i) {
      const Eigen::Vector3d turned = Eigen::Vector3d::Unit(i).cross(point);
      const auto rate = [&](const Eigen::Vector3d& way) -> Eigen::Vector3d {
        return (image_of(point + kStep * way) - image_of(point - kStep * way)) / (2 * kStep);
      };
      // What stands still goes the other way.
      at[k].col(i) = rate(-turned);
      at[k].col(3 + i) = rate(-Eigen::Vector3d::Unit(i));
    }
  }
  const Eigen::Matrix<double, 3, 6> slope = 0.5 * (at[2] - at[0]);
  const Eigen::Matrix<double, 3, 6> bow = 0.5 * (at[2] + at[0]) - at[1];
  Eigen::Matrix<double, kPowers, 6> powers;
  powers << at[1].row(0), slope.row(0), at[1].row(1), slope.row(1), at[1].row(2), slope.row(2),
      bow.row(2);
  if (!powers.allFinite()) return Jacobian::Zero();
  return powers.cast<float>();
}

void FringeFlowField::set(const RigidTransform& before_from_now, double share) {
  const Eigen::AngleAxisd turn(before_from_now.linear());
  Eigen::Matrix<double, 6, 1> motion;
  motion << turn.angle() * turn.axis(), before_from_now.translation();
  const Eigen::Matrix<float, 6, 1> twist = (share * motion).cast<float>();
  for (std::size_t i = 0; i < ways_.size(); ++i) ways_[i] = jacobians_[i].lazyProduct(twist);
}

FringeFlows FringeFlowField::row(std::size_t y, std::vector<FringeFlow>& memory) const {
  const auto width = static_cast<std::size_t>(calibration_.depth.width_px);
  memory.resize((width + kFringeLanes - 1) / kFringeLanes);
  const std::size_t above = y / kSpacing;
  const float share = (static_cast<float>(y % kSpacing) + 0.5F) / static_cast<float>(kSpacing);
  const auto way_at = [&](std::size_t column) -> Way {
    const Way& upper = ways_[above * columns_ + column];
    const Way& lower = ways_[(above + 1) * columns_ + column];
    return upper + share * (lower - upper);
  };
  Way right = way_at(0);
  Way left = right;
  for (std::size_t x = 0; x < width; x += kFringeLanes) {
    if (x % kSpacing == 0) {
      left = right;
      right = way_at(x / kSpacing + 1);
    }
    FringeFlow& flow = memory[x / kFringeLanes];
    const auto line = [&](int power) { return line_between(left[power], right[power], x); };
    flow = {.column = {line(0), line(1)},
            .row = {line(2), line(3)},
            .fringe = {line(4), line(5), line(6)}};
  }
  return {.flows = memory.data(),
          .y = static_cast<std::int32_t>(y),
          .width = calibration_.depth.width_px,
          .height = calibration_.depth.height_px,
          .middle = static_cast<float>(middle_),
          .per_reach = static_cast<float>(1 / reach_)};
}

}  // namespace cusp
