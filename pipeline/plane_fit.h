// plane_fit: point to plane registration of samples to a surface, from a start that is about right.
// Y. Chen, G. Medioni, "Object modelling by registration of multiple range images", Image and
// Vision Computing 10(3), 1992, doi:10.1016/0262-8856(92)90066-C; trimmed and weighted as align.h
// says. mm. Same input, same bits, with any number of threads. Threads: uses the pool.
#pragma once

#include <limits>
#include <vector>

#include "core/pose.h"
#include "pipeline/surface_sample.h"

namespace cusp {

// A sample and its foot on a surface, both in the surface's frame.
struct PlanePair {
  Eigen::Vector3d point_mm;
  Eigen::Vector3d foot_mm;
  Eigen::Vector3d normal;
  [[nodiscard]] double distance_mm() const { return normal.dot(point_mm - foot_mm); }
};

// The pairs of samples and a surface, again and again while the samples move: how near a sample was
// tells how near it can be now, which most of the searching is spared by.
class PlanePairs {
 public:
  // Both outlive this.
  PlanePairs(const SurfaceSample& sample, const TargetSurface& surface, WorkerPool& pool);

  // Samples with a foot within the limit that is not at the border and looks the same way; in
  // order.
  std::vector<PlanePair> find(const RigidTransform& surface_from_sample, double limit_mm);

 private:
  // Where a sample was when it was last looked for, and between what its distance then lay.
  struct Known {
    Eigen::Vector3d point_mm = Eigen::Vector3d::Zero();
    double least_mm = 0;
    double most_mm = std::numeric_limits<double>::infinity();
  };

  const SurfaceSample& sample_;
  const TargetSurface& surface_;
  WorkerPool& pool_;
  std::vector<Known> known_;
};

// Next limit after these pairs: a multiple of their median distance, within what it may be.
double next_limit_mm(const std::vector<PlanePair>& pairs, double now_mm, double least_mm);

// Weight of a residual, 1 at zero (S. Geman, D. McClure, 1987).
double robust_weight(double residual_mm, double scale_mm);

struct PlaneFit {
  RigidTransform target_from_source = RigidTransform::Identity();
  double rms_mm = 0;   // of the samples that lie on the surface
  double overlap = 0;  // share of the samples that do: nearer than a share of spacing_mm
  // Mean weight of all samples, which falls with their distance: a small part that fits closely
  // counts more than a large one that fits about.
  double score = 0;
};

// reach_mm: how wrong the start may be.
PlaneFit fit_to_planes(const SurfaceSample& source, const TargetSurface& target,
                       const RigidTransform& start, double reach_mm, double spacing_mm,
                       WorkerPool& pool);

// Small motion (rotation vector, then translation) as a transform.
RigidTransform small_motion(const Eigen::Matrix<double, 6, 1>& twist);

}  // namespace cusp
