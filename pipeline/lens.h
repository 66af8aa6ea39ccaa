// Lens distortion as core/calibration.h describes it. Normalised coordinates (at z = 1).
// Threads: pure functions.
#pragma once

#include <Eigen/Core>
#include <optional>

#include "core/calibration.h"

namespace cusp {

// Where the lens shows what a pinhole would show at `at`.
inline Eigen::Vector2d distort(const LensDistortion& lens, const Eigen::Vector2d& at) {
  const double x = at.x();
  const double y = at.y();
  const double r2 = x * x + y * y;
  const double radial = 1 + r2 * (lens.k1 + r2 * (lens.k2 + r2 * lens.k3));
  return {x * radial + 2 * lens.p1 * x * y + lens.p2 * (r2 + 2 * x * x),
          y * radial + lens.p1 * (r2 + 2 * y * y) + 2 * lens.p2 * x * y};
}

// What distort() leads to `seen`, by fixed-point iteration; none where the lens model folds over.
inline std::optional<Eigen::Vector2d> undistort(const LensDistortion& lens,
                                                const Eigen::Vector2d& seen) {
  constexpr int kRounds = 30;
  constexpr double kWithin = 1e-7;
  Eigen::Vector2d at = seen;
  for (int round = 0; round < kRounds; ++round) {
    const Eigen::Vector2d miss = seen - distort(lens, at);
    if (miss.norm() < kWithin) return at;
    at += miss;
  }
  return std::nullopt;
}

}  // namespace cusp
