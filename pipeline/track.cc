#include "pipeline/track.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "pipeline/match_kernel.h"

namespace cusp {
namespace {

using Matrix6 = Eigen::Matrix<double, 6, 6>;
using Vector6 = Eigen::Matrix<double, 6, 1>;

constexpr std::size_t kRowsAChunk = 8;
constexpr std::size_t kMinInliers = 100;
constexpr float kMinNormalCos = 0.5F;      // 60 degrees: both normals are noisy
constexpr double kKernelShare = 1.0 / 3;   // kernel width over search distance
constexpr double kSearchShrink = 0.6;      // a step
constexpr double kMostTurnRad = 0.5;       // more in one step is no refinement
constexpr double kSmallTurnRad = 2e-5;     // a step below this and ...
constexpr double kSmallShiftShare = 2e-3;  // ... this share of the narrow distance ends the search

MatchSums match(const SampleGrid& samples, const MeasuredSurface& surface, const ModelView& view,
                const RigidTransform& view_from_sensor, double search_mm, WorkerPool& pool) {
  static const MatchRows rows = match_rows();
  const Intrinsics& in = view.intrinsics;
  MatchInput input{.stride = samples.stride,
                   .ray_x = samples.ray_x.data(),
                   .ray_y = samples.ray_y.data(),
                   .z_mm = samples.z_mm.data(),
                   .nx = samples.nx.data(),
                   .ny = samples.ny.data(),
                   .nz = samples.nz.data(),
                   .weight = samples.weight.data(),
                   .points = view.points.data(),
                   .width = in.width_px,
                   .height = in.height_px,
                   .fx_px = static_cast<float>(in.fx_px),
                   .fy_px = static_cast<float>(in.fy_px),
                   .cx_px = static_cast<float>(in.cx_px),
                   .cy_px = static_cast<float>(in.cy_px),
                   .per_radius = static_cast<float>(1.0 / surface.radius_mm),
                   .search_mm = static_cast<float>(search_mm),
                   .kernel_mm = static_cast<float>(kKernelShare * search_mm),
                   .min_normal_cos = kMinNormalCos};
  const Eigen::Matrix3d rotation = view_from_sensor.linear();
  const Eigen::Vector3d middle = view_from_sensor * surface.middle_mm;
  for (int row = 0; row < 3; ++row) {
    const auto at = static_cast<std::size_t>(row);
    for (int column = 0; column < 3; ++column)
      input.rotation[3 * at + static_cast<std::size_t>(column)] =
          static_cast<float>(rotation(row, column));
    input.shift_mm[at] = static_cast<float>(view_from_sensor.translation()[row]);
    input.middle_mm[at] = static_cast<float>(middle[row]);
  }
  return sum_chunks(pool, static_cast<std::size_t>(samples.height), kRowsAChunk, MatchSums{},
                    [&](std::size_t begin, std::size_t end) { return rows(input, begin, end); });
}

// The step that the samples ask for, in the directions that they hold.
struct Step {
  Vector6 motion = Vector6::Zero();  // turn * radius, shift
  double stiffness = 0;
  int free_slides = 0, free_turns = 0;
};

Step solve(const MatchSums& sums, double min_stiffness) {
  Matrix6 mean;
  Vector6 right;
  std::size_t entry = 0;
  for (int k = 0; k < 6; ++k) {
    right[k] = sums.right[static_cast<std::size_t>(k)] / sums.weights;
    for (int i = k; i < 6; ++i) mean(i, k) = mean(k, i) = sums.matrix[entry++] / sums.weights;
  }
  const Eigen::SelfAdjointEigenSolver<Matrix6> eigen(mean);
  Step step{.stiffness = eigen.eigenvalues()[0]};
  for (int k = 0; k < 6; ++k) {
    const Vector6 direction = eigen.eigenvectors().col(k);
    if (eigen.eigenvalues()[k] >= min_stiffness) {
      step.motion += direction * (direction.dot(right) / eigen.eigenvalues()[k]);
      continue;
    }
    ++(direction.head<3>().squaredNorm() > 0.5 ? step.free_turns : step.free_slides);
  }
  return step;
}

// Rounding grows from frame to frame where each pose is made of the last one.
RigidTransform orthonormal(RigidTransform pose) {
  pose.linear() = Eigen::Quaterniond(pose.linear()).normalized().toRotationMatrix();
  return pose;
}

// Applies the small motion (turn about `middle`, then shift) to the pose.
RigidTransform moved(const RigidTransform& pose, const Eigen::Vector3d& turn_rad,
                     const Eigen::Vector3d& shift_mm, const Eigen::Vector3d& middle) {
  RigidTransform motion = RigidTransform::Identity();
  const double angle = turn_rad.norm();
  if (angle > 0) motion.linear() = Eigen::AngleAxisd(angle, turn_rad / angle).toRotationMatrix();
  motion.translation() = middle + shift_mm - motion.linear() * middle;
  return orthonormal(motion * pose);
}

// The search: a pose relative to the view, and a distance that shrinks.
class Search {
 public:
  Search(const MeasuredSurface& surface, const ModelView& view, const RigidTransform& start,
         const TrackLimits& limits, WorkerPool& pool)
      : surface_(surface),
        view_(view),
        limits_(limits),
        pool_(pool),
        view_from_sensor_(view.model_from_view.inverse() * start),
        search_mm_(limits.wide_mm) {}

  // False: nothing to hold on to.
  bool refine(const SampleGrid& samples, int steps) {
    for (int k = 0; k < steps; ++k) {
      if (!look(samples, search_mm_)) return false;
      const Eigen::Vector3d turn_rad = step_.motion.head<3>() / surface_.radius_mm;
      const Eigen::Vector3d shift_mm = step_.motion.tail<3>();
      if (!step_.motion.allFinite() || turn_rad.norm() > kMostTurnRad) return false;
      const bool narrow = search_mm_ <= limits_.narrow_mm;
      view_from_sensor_ =
          moved(view_from_sensor_, turn_rad, shift_mm, view_from_sensor_ * surface_.middle_mm);
      if (narrow && turn_rad.norm() < kSmallTurnRad &&
          shift_mm.norm() < kSmallShiftShare * limits_.narrow_mm)
        break;
      search_mm_ = std::max(limits_.narrow_mm, kSearchShrink * search_mm_);
    }
    return true;
  }

  // What the pose found is worth.
  bool judge(const SampleGrid& samples, Fit& fit) {
    if (!look(samples, limits_.narrow_mm)) return false;
    fit.model_from_sensor = orthonormal(view_.model_from_view * view_from_sensor_);
    fit.solved = true;
    fit.rms_mm = std::sqrt(sums_.squares / sums_.inliers);
    fit.overlap = sums_.inliers / static_cast<double>(samples.count);
    fit.agreement = sums_.inliers / sums_.met;
    fit.stiffness = step_.stiffness;
    fit.free_slides = step_.free_slides;
    fit.free_turns = step_.free_turns;
    return true;
  }

 private:
  bool look(const SampleGrid& samples, double search_mm) {
    sums_ = match(samples, surface_, view_, view_from_sensor_, search_mm, pool_);
    if (sums_.inliers < kMinInliers) return false;
    step_ = solve(sums_, limits_.min_stiffness);
    return true;
  }

  const MeasuredSurface& surface_;
  const ModelView& view_;
  const TrackLimits& limits_;
  WorkerPool& pool_;
  RigidTransform view_from_sensor_;
  double search_mm_;
  MatchSums sums_;
  Step step_;
};

}  // namespace

Fit fit(const MeasuredSurface& surface, const ModelView& view, const RigidTransform& start,
        const TrackLimits& limits, WorkerPool& pool) {
  Fit fit{.model_from_sensor = start};
  if (surface.coarse.count < kMinInliers || view.seen < kMinInliers || !(surface.radius_mm > 0))
    return fit;
  Search search(surface, view, start, limits, pool);
  if (!search.refine(surface.coarse, limits.coarse_steps)) return fit;
  if (!search.refine(surface.fine, limits.fine_steps)) return fit;
  search.judge(limits.fine_steps > 0 ? surface.fine : surface.coarse, fit);
  return fit;
}

bool passes(const Fit& fit, const Gate& gate) {
  return fit.solved && fit.overlap >= gate.min_overlap && fit.agreement >= gate.min_agreement &&
         fit.rms_mm <= gate.max_rms_mm && fit.free_directions() <= gate.max_free_directions &&
         fit.stiffness >= gate.min_stiffness;
}

bool passes_one(const Fit& fit, const std::vector<Gate>& gates) {
  return std::ranges::any_of(gates, [&](const Gate& gate) { return passes(fit, gate); });
}

}  // namespace cusp
