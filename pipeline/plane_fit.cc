#include "pipeline/plane_fit.h"

#include <Eigen/Cholesky>
#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <optional>

namespace cusp {
namespace {

constexpr int kSteps = 30;
constexpr double kLeast = 0.02;        // last limit is never below, in spacings
constexpr double kMedians = 4;         // pairs further than this many medians are no pairs
constexpr double kShrink = 0.7;        // a step
constexpr double kMinCosine = 0.6;     // between the normals of a pair
constexpr double kOverlapShare = 0.3;  // a sample lies on the surface when nearer, in spacings
constexpr double kScoreScale = 0.1;    // distance at which a sample counts a quarter, in spacings
constexpr std::size_t kMinPairs = 12;
constexpr double kRoundingMm = 1e-3;  // of what floats say of a distance
constexpr double kStillRad = 1e-6;

}  // namespace

PlanePairs::PlanePairs(const SurfaceSample& sample, const TargetSurface& surface, WorkerPool& pool)
    : sample_(sample), surface_(surface), pool_(pool), known_(sample.points_mm.size()) {}

std::vector<PlanePair> PlanePairs::find(const RigidTransform& surface_from_sample,
                                        double limit_mm) {
  std::vector<std::optional<PlanePair>> found(known_.size());
  pool_.for_chunks(found.size(), 256, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      Known& known = known_[i];
      const Eigen::Vector3d p = surface_from_sample * sample_.points_mm[i].cast<double>();
      const double moved_mm = (p - known.point_mm).norm();
      if (known.least_mm - moved_mm > limit_mm + kRoundingMm) continue;
      const double reach_mm = std::min(limit_mm, known.most_mm + moved_mm + kRoundingMm);
      const auto foot = surface_.find(p, reach_mm);
      known.point_mm = p;
      known.least_mm = foot ? (foot->point_mm - p).norm() : reach_mm;
      known.most_mm = foot ? known.least_mm : std::numeric_limits<double>::infinity();
      if (!foot || foot->border) continue;
      const Eigen::Vector3d normal =
          surface_from_sample.linear() * sample_.normals[i].cast<double>();
      if (normal.dot(foot->normal) >= kMinCosine)
        found[i] = PlanePair{p, foot->point_mm, foot->normal};
    }
  });
  std::vector<PlanePair> pairs;
  for (const auto& pair : found)
    if (pair) pairs.push_back(*pair);
  return pairs;
}

double next_limit_mm(const std::vector<PlanePair>& pairs, double now_mm, double least_mm) {
  if (pairs.empty()) return now_mm;
  std::vector<double> distances;
  for (const PlanePair& pair : pairs) distances.push_back((pair.point_mm - pair.foot_mm).norm());
  const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2);
  std::nth_element(distances.begin(), middle, distances.end());
  return std::clamp(kMedians * *middle, std::max(least_mm, kShrink * now_mm),
                    std::max(least_mm, now_mm));
}

double robust_weight(double residual_mm, double scale_mm) {
  const double ratio = residual_mm / scale_mm;
  const double root = 1 / (1 + ratio * ratio);
  return root * root;
}

RigidTransform small_motion(const Eigen::Matrix<double, 6, 1>& twist) {
  RigidTransform motion = RigidTransform::Identity();
  const double angle = twist.head<3>().norm();
  if (angle > 0)
    motion.linear() =
        Eigen::AngleAxisd(angle, Eigen::Vector3d(twist.head<3>() / angle)).toRotationMatrix();
  motion.translation() = twist.tail<3>();
  return motion;
}

PlaneFit fit_to_planes(const SurfaceSample& source, const TargetSurface& target,
                       const RigidTransform& start, double reach_mm, double spacing_mm,
                       WorkerPool& pool) {
  PlaneFit fit{.target_from_source = start};
  double limit = reach_mm;
  PlanePairs search(source, target, pool);
  for (int step = 0; step < kSteps; ++step) {
    const auto pairs = search.find(fit.target_from_source, limit);
    if (pairs.size() < kMinPairs) return fit;
    Eigen::Vector3d centre = Eigen::Vector3d::Zero();
    for (const PlanePair& pair : pairs) centre += pair.point_mm / static_cast<double>(pairs.size());
    Eigen::Matrix<double, 6, 6> normal = Eigen::Matrix<double, 6, 6>::Zero();
    Eigen::Matrix<double, 6, 1> right = Eigen::Matrix<double, 6, 1>::Zero();
    for (const PlanePair& pair : pairs) {
      Eigen::Matrix<double, 6, 1> row;
      row << (pair.point_mm - centre).cross(pair.normal), pair.normal;
      const double residual = pair.distance_mm();
      const double weight = robust_weight(residual, 0.5 * limit);
      normal += weight * row * row.transpose();
      right -= weight * residual * row;
    }
    // What the surface does not hold (a plane, a ball) stays as it is.
    normal.diagonal() += 1e-9 * normal.diagonal();
    normal.diagonal().array() += 1e-12 * normal.trace();
    const Eigen::Matrix<double, 6, 1> twist = normal.ldlt().solve(right);
    if (!twist.allFinite()) return fit;
    RigidTransform motion = Eigen::Translation3d(centre) * small_motion(twist);
    motion = motion * Eigen::Translation3d(-centre);
    fit.target_from_source = motion * fit.target_from_source;
    const double next = next_limit_mm(pairs, limit, kLeast * spacing_mm);
    const bool still = twist.head<3>().norm() < kStillRad &&
                       twist.tail<3>().norm() < kStillRad * spacing_mm && next >= 0.99 * limit;
    limit = next;
    if (still) break;
  }
  // Rounding adds up over the steps.
  const Eigen::Quaterniond rotation(fit.target_from_source.linear());
  fit.target_from_source.linear() = rotation.normalized().toRotationMatrix();

  const auto on = search.find(fit.target_from_source, kOverlapShare * spacing_mm);
  fit.overlap = static_cast<double>(on.size()) / static_cast<double>(source.points_mm.size());
  double sum = 0;
  for (const PlanePair& pair : on) {
    sum += pair.distance_mm() * pair.distance_mm();
    fit.score += robust_weight(pair.distance_mm(), kScoreScale * spacing_mm) /
                 static_cast<double>(source.points_mm.size());
  }
  if (!on.empty()) fit.rms_mm = std::sqrt(sum / static_cast<double>(on.size()));
  return fit;
}

}  // namespace cusp
