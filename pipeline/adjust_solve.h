// The linear system of Adjustment: many small blocks for the poses, one dense border for the warp.
//
//     | P    B | | poses |     | p |
//     | B^T  W | | warp  |  = -| w |
//
// P is sparse (a block a pair) and factorised by a sparse Cholesky decomposition; the warp follows
// from its Schur complement W - B^T P^-1 B: the arrow-head system of bundle adjustment (B. Triggs,
// P. McLauchlan, R. Hartley, A. Fitzgibbon, "Bundle adjustment - a modern synthesis", 2000,
// doi:10.1007/3-540-44480-7_21, section 6).
//
// A pose's unknowns are a turn about the model's origin and a shift, added on the left:
// new pose = (1 + turn x, shift) * pose. The first frame's are held.
// Threads: one thread at a time an object.
#pragma once

#include <Eigen/Core>
#include <memory>
#include <optional>
#include <vector>

#include "pipeline/adjust_cells.h"
#include "pipeline/depth_warp.h"

namespace cusp {

using PoseStep = Eigen::Matrix<double, 6, 1>;
using WarpStep = Eigen::Matrix<double, DepthWarp::kTerms, 1>;

// What the samples of one pair say; a's unknowns enter with a plus, b's with a minus.
struct PairNormals {
  Eigen::Matrix<double, 6, 6> pose = Eigen::Matrix<double, 6, 6>::Zero();
  Eigen::Matrix<double, 6, DepthWarp::kTerms> border =
      Eigen::Matrix<double, 6, DepthWarp::kTerms>::Zero();
  Eigen::Matrix<double, DepthWarp::kTerms, DepthWarp::kTerms> warp =
      Eigen::Matrix<double, DepthWarp::kTerms, DepthWarp::kTerms>::Zero();
  PoseStep pose_right = PoseStep::Zero();
  WarpStep warp_right = WarpStep::Zero();
};

struct AdjustStep {
  std::vector<PoseStep> poses;
  WarpStep warp_mm = WarpStep::Zero();
};

class AdjustSystem {
 public:
  // The pairs of all systems to come.
  AdjustSystem(std::size_t frames, const std::vector<FramePair>& pairs);
  ~AdjustSystem();

  // `prior`: inverse variances of the warp's terms in the units of the normals, about zero.
  // Nothing when the system has no solution: numbers that are not finite.
  std::optional<AdjustStep> solve(const std::vector<PairNormals>& normals, const WarpStep& warp_mm,
                                  const WarpStep& prior);
  // Of the last system: covariance of a frame's unknowns, for a residual of variance 1.
  [[nodiscard]] Eigen::Matrix<double, 6, 6> covariance(std::size_t frame) const;

 private:
  struct Sparse;
  std::size_t frames_;
  std::vector<FramePair> pairs_;
  std::unique_ptr<Sparse> sparse_;
};

}  // namespace cusp
