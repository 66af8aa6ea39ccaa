#include "pipeline/track.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "pipeline/match_kernel.h"
#include "pipeline/track_colour.h"

namespace cusp {
namespace {

using Matrix6 = Eigen::Matrix<double, 6, 6>;

constexpr std::size_t kRowsAChunk = 8;
constexpr std::size_t kMinInliers = 100;
constexpr float kMinNormalCos = 0.5F;      // 60 degrees: both normals are noisy
constexpr double kKernelShare = 1.0 / 3;   // kernel width over search distance
constexpr double kSearchShrink = 0.6;      // a step
constexpr double kMostTurnRad = 0.5;       // more in one step is no refinement
constexpr double kSmallTurnRad = 2e-5;     // a step below this and ...
constexpr double kSmallShiftShare = 2e-3;  // ... this share of the narrow distance ends the search
constexpr double kNearShare = 0.02;        // below this share of it sharper colours go on
constexpr int kCoarseColourSteps = 8, kFineColourSteps = 12;

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
  Motion motion = Motion::Zero();  // turn * radius, shift
  double stiffness = 0;
  Directions free = Directions(6, 0);
};

bool is_turn(const Motion& direction) { return direction.head<3>().squaredNorm() > 0.5; }

void append(Directions& directions, const Directions& more) {
  directions.conservativeResize(6, directions.cols() + more.cols());
  directions.rightCols(more.cols()) = more;
}

Step solve(const MatchSums& sums, double min_stiffness) {
  Matrix6 mean;
  Motion right;
  std::size_t entry = 0;
  for (int k = 0; k < 6; ++k) {
    right[k] = sums.right[static_cast<std::size_t>(k)] / sums.weights;
    for (int i = k; i < 6; ++i) mean(i, k) = mean(k, i) = sums.matrix[entry++] / sums.weights;
  }
  const Eigen::SelfAdjointEigenSolver<Matrix6> eigen(mean);
  Step step{.stiffness = eigen.eigenvalues()[0]};
  for (int k = 0; k < 6; ++k) {
    const Motion direction = eigen.eigenvectors().col(k);
    if (eigen.eigenvalues()[k] >= min_stiffness) {
      step.motion += direction * (direction.dot(right) / eigen.eigenvalues()[k]);
      continue;
    }
    append(step.free, direction);
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
      const bool narrow = search_mm_ <= limits_.narrow_mm;
      const Went went = go(step_.motion);
      if (went == Went::kAstray) return false;
      if (narrow && went == Went::kLittle) break;
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
    count(step_.free, fit.free_slides, fit.free_turns);
    return true;
  }

  // After judge(): what the colours tell of the directions that it found free. The fit stays as it
  // is when they tell of none.
  void ask_colour(const SampleGrid& samples, Fit& fit) {
    Directions asked = step_.free;
    if (limits_.colour_sigma_mm == 0 || asked.cols() == 0 || asked.cols() > kMostAsked) return;
    const ColourTerm colour(surface_, view_, limits_.narrow_mm, pool_);
    if (!colour.tells()) return;
    const RigidTransform by_shape = view_from_sensor_;
    const Directions free = step_.free;
    Directions open(6, 0);
    while (asked.cols() > 0) {
      view_from_sensor_ = by_shape;
      if (!slide(samples, colour, free, asked)) return;
      const auto verdict = colour.judge(view_from_sensor_, asked, limits_.colour_sigma_mm);
      if (verdict.open.cols() == 0) break;
      // Once more without those that it does not hold: they went anywhere.
      append(open, verdict.open);
      asked = verdict.held;
    }
    Fit with_colour = fit;
    if (asked.cols() == 0 || !judge(samples, with_colour)) return;
    fit = with_colour;
    fit.free_slides = fit.free_turns = 0;
    count(open, fit.free_slides, fit.free_turns);
    count(asked, fit.colour_slides, fit.colour_turns);
  }

 private:
  enum class Went { kFar, kLittle, kAstray };

  static void count(const Directions& directions, int& slides, int& turns) {
    for (Eigen::Index k = 0; k < directions.cols(); ++k)
      ++(is_turn(directions.col(k)) ? turns : slides);
  }

  Went go(const Motion& motion) {
    const Eigen::Vector3d turn_rad = motion.head<3>() / surface_.radius_mm;
    const Eigen::Vector3d shift_mm = motion.tail<3>();
    if (!motion.allFinite() || turn_rad.norm() > kMostTurnRad) return Went::kAstray;
    view_from_sensor_ =
        moved(view_from_sensor_, turn_rad, shift_mm, view_from_sensor_ * surface_.middle_mm);
    const bool little =
        turn_rad.norm() < kSmallTurnRad && shift_mm.norm() < kSmallShiftShare * limits_.narrow_mm;
    return little ? Went::kLittle : Went::kFar;
  }

  // Along the asked directions as the colours say, across all that are free as the shape says.
  bool slide(const SampleGrid& samples, const ColourTerm& colour, const Directions& free,
             const Directions& asked) {
    for (const Sharpness sharpness : {Sharpness::kCoarse, Sharpness::kFine}) {
      const int steps = sharpness == Sharpness::kCoarse ? kCoarseColourSteps : kFineColourSteps;
      for (int k = 0; k < steps; ++k) {
        if (!look(samples, limits_.narrow_mm)) return false;
        const auto [along, are_alike] = colour.step(view_from_sensor_, asked, sharpness);
        if (sharpness == Sharpness::kFine && !are_alike) return false;
        const Motion across = step_.motion - free * (free.transpose() * step_.motion);
        const Went went = go(across + along);
        if (went == Went::kAstray) return false;
        if (went == Went::kLittle) break;
        if (sharpness == Sharpness::kCoarse && along.norm() < kNearShare * limits_.narrow_mm) break;
      }
    }
    return true;
  }

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
  const SampleGrid& samples = limits.fine_steps > 0 ? surface.fine : surface.coarse;
  if (search.judge(samples, fit) && limits.fine_steps > 0) search.ask_colour(samples, fit);
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
