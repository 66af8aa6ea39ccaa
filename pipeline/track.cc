#include "pipeline/track.h"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

namespace cusp {
namespace {

using Matrix6 = Eigen::Matrix<double, 6, 6>;
using Vector6 = Eigen::Matrix<double, 6, 1>;

constexpr std::size_t kSamplesAChunk = 1024;
constexpr std::size_t kMinInliers = 100;
constexpr float kMinNormalCos = 0.5F;      // 60 degrees: both normals are noisy
constexpr double kKernelShare = 1.0 / 3;   // kernel width over search distance
constexpr double kSearchShrink = 0.6;      // a step
constexpr double kSmallTurnRad = 2e-6;     // a step below this and ...
constexpr double kSmallShiftShare = 2e-4;  // ... this share of the narrow distance ends the search

// What the samples say about the pose: the normal equations and how many took part.
struct Normals {
  Matrix6 matrix = Matrix6::Zero();  // lower triangle
  Vector6 right = Vector6::Zero();
  double squares = 0;
  std::size_t inliers = 0;
  std::size_t met = 0;  // samples that saw the model

  Normals& operator+=(const Normals& other) {
    matrix += other.matrix;
    right += other.right;
    squares += other.squares;
    inliers += other.inliers;
    met += other.met;
    return *this;
  }
};

// The middle of the samples and their mean distance from it: the pose's natural lengths.
struct Extent {
  Eigen::Vector3f middle = Eigen::Vector3f::Zero();
  double radius_mm = 1;
};

Extent extent_of(std::span<const SurfaceSample> samples) {
  Eigen::Vector3d sum = Eigen::Vector3d::Zero();
  for (const SurfaceSample& sample : samples) sum += sample.point_mm.cast<double>();
  const Eigen::Vector3d middle = sum / static_cast<double>(samples.size());
  double squares = 0;
  for (const SurfaceSample& sample : samples)
    squares += (sample.point_mm.cast<double>() - middle).squaredNorm();
  return {.middle = middle.cast<float>(),
          .radius_mm = std::max(1e-3, std::sqrt(squares / static_cast<double>(samples.size())))};
}

class Matcher {
 public:
  Matcher(const ModelView& view, const RigidTransform& model_from_sensor, float search_mm,
          const Extent& extent)
      : view_(view),
        to_model_rotation_(model_from_sensor.rotation().cast<float>()),
        to_model_shift_(model_from_sensor.translation().cast<float>()),
        middle_in_model_(to_model_rotation_ * extent.middle + to_model_shift_),
        per_radius_(static_cast<float>(1.0 / extent.radius_mm)),
        search_mm_(search_mm) {
    const RigidTransform view_from_sensor = view.model_from_view.inverse() * model_from_sensor;
    to_view_rotation_ = view_from_sensor.rotation().cast<float>();
    to_view_shift_ = view_from_sensor.translation().cast<float>();
  }

  [[nodiscard]] Normals sum(std::span<const SurfaceSample> samples) const {
    Normals sums;
    const auto kernel = static_cast<float>(kKernelShare) * search_mm_;
    for (const SurfaceSample& sample : samples) {
      const ModelPoint* model = model_at(sample.point_mm);
      if (model == nullptr) continue;
      ++sums.met;
      const Eigen::Vector3f p = to_model_rotation_ * sample.point_mm + to_model_shift_;
      const Eigen::Vector3f apart = model->point_mm - p;
      if (apart.squaredNorm() > search_mm_ * search_mm_) continue;
      if (model->normal.dot(to_model_rotation_ * sample.normal) < kMinNormalCos) continue;
      const float residual = model->normal.dot(apart);
      const float ratio = residual / kernel;
      const float root = 1.0F / (1.0F + ratio * ratio);
      const float weight = root * root;
      const Eigen::Vector3f turn = ((p - middle_in_model_) * per_radius_).cross(model->normal);
      Vector6 row;
      for (int axis = 0; axis < 3; ++axis) {
        row[axis] = turn[axis];
        row[axis + 3] = model->normal[axis];
      }
      for (int k = 0; k < 6; ++k) {
        const double weighted = static_cast<double>(weight) * row[k];
        for (int i = k; i < 6; ++i) sums.matrix(i, k) += weighted * row[i];
        sums.right[k] += weighted * static_cast<double>(residual);
      }
      sums.squares += static_cast<double>(residual) * static_cast<double>(residual);
      ++sums.inliers;
    }
    return sums;
  }

  [[nodiscard]] Eigen::Vector3d middle_in_model() const { return middle_in_model_.cast<double>(); }

 private:
  [[nodiscard]] const ModelPoint* model_at(const Eigen::Vector3f& p_in_sensor) const {
    const Eigen::Vector3f p = to_view_rotation_ * p_in_sensor + to_view_shift_;
    if (!(p.z() > 0)) return nullptr;
    const Intrinsics& in = view_.intrinsics;
    const float u =
        p.x() / p.z() * static_cast<float>(in.fx_px) + static_cast<float>(in.cx_px) + 0.5F;
    const float v =
        p.y() / p.z() * static_cast<float>(in.fy_px) + static_cast<float>(in.cy_px) + 0.5F;
    if (!(u >= 0 && v >= 0 && u < static_cast<float>(in.width_px) &&
          v < static_cast<float>(in.height_px)))
      return nullptr;
    const ModelPoint& point = view_.points[static_cast<std::size_t>(
        static_cast<int>(v) * in.width_px + static_cast<int>(u))];
    return point.normal.isZero(0) ? nullptr : &point;
  }

  const ModelView& view_;
  Eigen::Matrix3f to_model_rotation_;
  Eigen::Vector3f to_model_shift_;
  Eigen::Vector3f middle_in_model_;
  float per_radius_;
  float search_mm_;
  Eigen::Matrix3f to_view_rotation_;
  Eigen::Vector3f to_view_shift_;
};

Normals match(std::span<const SurfaceSample> samples, const Matcher& matcher, WorkerPool& pool) {
  return sum_chunks(pool, samples.size(), kSamplesAChunk, Normals{},
                    [&](std::size_t begin, std::size_t end) {
                      return matcher.sum(samples.subspan(begin, end - begin));
                    });
}

// Applies the small motion (turn about `middle`, then shift) to the pose, in the model frame.
RigidTransform moved(const RigidTransform& pose, const Eigen::Vector3d& turn_rad,
                     const Eigen::Vector3d& shift_mm, const Eigen::Vector3d& middle) {
  RigidTransform motion = RigidTransform::Identity();
  const double angle = turn_rad.norm();
  if (angle > 0) motion.linear() = Eigen::AngleAxisd(angle, turn_rad / angle).toRotationMatrix();
  motion.translation() = middle + shift_mm - motion.linear() * middle;
  RigidTransform result = motion * pose;
  result.linear() = Eigen::Quaterniond(result.linear()).normalized().toRotationMatrix();
  return result;
}

}  // namespace

Fit fit(const MeasuredSurface& surface, const ModelView& view, const RigidTransform& start,
        const TrackLimits& limits, WorkerPool& pool) {
  Fit fit{.model_from_sensor = start};
  if (surface.coarse.size() < kMinInliers || view.seen < kMinInliers) return fit;
  const Extent extent = extent_of(surface.coarse);
  double search_mm = limits.wide_mm;

  // False: nothing to hold on to.
  const auto refine = [&](std::span<const SurfaceSample> samples, int steps) {
    for (int step = 0; step < steps; ++step) {
      const Matcher matcher(view, fit.model_from_sensor, static_cast<float>(search_mm), extent);
      const Normals sums = match(samples, matcher, pool);
      if (sums.inliers < kMinInliers) return false;
      const Eigen::LDLT<Matrix6> ldlt(sums.matrix);
      const Vector6 motion = ldlt.solve(sums.right);
      if (ldlt.info() != Eigen::Success || !motion.allFinite()) return false;
      const Eigen::Vector3d turn_rad = motion.head<3>() / extent.radius_mm;
      // Half a radian in one step is no refinement.
      if (turn_rad.norm() > 0.5) return false;
      fit.model_from_sensor =
          moved(fit.model_from_sensor, turn_rad, motion.tail<3>(), matcher.middle_in_model());
      const bool narrow = search_mm <= limits.narrow_mm;
      if (narrow && turn_rad.norm() < kSmallTurnRad &&
          motion.tail<3>().norm() < kSmallShiftShare * limits.narrow_mm)
        break;
      search_mm = std::max(limits.narrow_mm, kSearchShrink * search_mm);
    }
    return true;
  };
  if (!refine(surface.coarse, limits.coarse_steps)) return fit;
  if (!refine(surface.fine, limits.fine_steps)) return fit;

  const Matcher matcher(view, fit.model_from_sensor, static_cast<float>(limits.narrow_mm), extent);
  const Normals sums = match(surface.fine, matcher, pool);
  if (sums.inliers < kMinInliers) return fit;
  const auto inliers = static_cast<double>(sums.inliers);
  const Matrix6 mean = Matrix6(sums.matrix.selfadjointView<Eigen::Lower>()) / inliers;
  fit.solved = true;
  fit.rms_mm = std::sqrt(sums.squares / inliers);
  fit.overlap = inliers / static_cast<double>(surface.fine.size());
  fit.agreement = inliers / static_cast<double>(std::max<std::size_t>(sums.met, 1));
  fit.stiffness =
      Eigen::SelfAdjointEigenSolver<Matrix6>(mean, Eigen::EigenvaluesOnly).eigenvalues()(0);
  return fit;
}

bool passes(const Fit& fit, const Gate& gate) {
  return fit.solved && fit.overlap >= gate.min_overlap && fit.agreement >= gate.min_agreement &&
         fit.rms_mm <= gate.max_rms_mm && fit.stiffness >= gate.min_stiffness;
}

}  // namespace cusp
