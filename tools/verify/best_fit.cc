#include "tools/verify/best_fit.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <numbers>

#include "tools/sim/scan_frame.h"

namespace cusp::verify {
namespace {

constexpr float kFinalReachMm = 1.0F;
constexpr double kLeastInlierShare = 0.5;
constexpr std::size_t kScoreSamples = 400, kCoarseSamples = 2000, kFineSamples = 30000;
constexpr std::size_t kKeptGuesses = 4;

// How far a guess is off: the mean distance, each capped.
double score(const std::vector<AreaSample>& samples, const sim::Surface& truth,
             const RigidTransform& guess) {
  constexpr float kCapMm = 25.0F;
  double sum = 0;
  for (const AreaSample& sample : samples) {
    const Eigen::Vector3f p = (guess * sample.point_mm.cast<double>()).cast<float>();
    const auto nearest = truth.closest(p, kCapMm);
    sum += nearest ? nearest->distance_mm : kCapMm;
  }
  return sum / static_cast<double>(samples.size());
}

RigidTransform small_motion(const Eigen::Matrix<double, 6, 1>& twist) {
  RigidTransform motion = RigidTransform::Identity();
  const Eigen::Vector3d turn = twist.head<3>();
  if (turn.norm() > 0)
    motion.linear() = Eigen::AngleAxisd(turn.norm(), turn.normalized()).toRotationMatrix();
  motion.translation() = twist.tail<3>();
  return motion;
}

// One step of point-to-plane ICP about the samples' middle. False when nothing can be solved.
bool step(const std::vector<AreaSample>& samples, const sim::Surface& truth, float reach_mm,
          Fit& fit, double& moved) {
  Eigen::Matrix<double, 6, 6> normal_matrix = Eigen::Matrix<double, 6, 6>::Zero();
  Eigen::Matrix<double, 6, 1> right_side = Eigen::Matrix<double, 6, 1>::Zero();
  Eigen::Vector3d middle = Eigen::Vector3d::Zero();
  for (const AreaSample& sample : samples) middle += sample.point_mm.cast<double>();
  middle = fit.truth_from_model * (middle / static_cast<double>(samples.size()));

  double square_sum = 0;
  std::size_t inliers = 0;
  for (const AreaSample& sample : samples) {
    const Eigen::Vector3d p = fit.truth_from_model * sample.point_mm.cast<double>();
    const auto nearest = truth.closest(p.cast<float>(), reach_mm);
    if (!nearest) continue;
    const Eigen::Vector3d n = truth.normal(nearest->triangle).cast<double>();
    const double residual = n.dot(p - nearest->point_mm.cast<double>());
    Eigen::Matrix<double, 6, 1> row;
    row << (p - middle).cross(n), n;
    normal_matrix += row * row.transpose();
    right_side -= row * residual;
    square_sum += residual * residual;
    ++inliers;
  }
  fit.inlier_share = static_cast<double>(inliers) / static_cast<double>(samples.size());
  fit.rms_mm = inliers > 0 ? std::sqrt(square_sum / static_cast<double>(inliers)) : 0;
  const Eigen::LDLT<Eigen::Matrix<double, 6, 6>> solver(normal_matrix);
  if (inliers < 6 || solver.info() != Eigen::Success || !(solver.rcond() > 1e-12)) return false;
  const Eigen::Matrix<double, 6, 1> twist = solver.solve(right_side);
  if (!twist.allFinite()) return false;
  RigidTransform update = small_motion(twist);
  update.translation() += middle - update.linear() * middle;
  fit.truth_from_model = update * fit.truth_from_model;
  moved = twist.tail<3>().norm() + 30.0 * twist.head<3>().norm();  // at 30 mm from the middle
  return true;
}

Fit refine(const std::vector<AreaSample>& samples, const sim::Surface& truth,
           const RigidTransform& guess, float first_reach_mm, int steps) {
  Fit fit;
  fit.truth_from_model = guess;
  for (int i = 0; i < steps; ++i) {
    const float shrink =
        std::pow(kFinalReachMm / first_reach_mm,
                 std::min(1.0F, 2.0F * static_cast<float>(i) / static_cast<float>(steps)));
    const float reach = first_reach_mm * shrink;
    double moved = 0;
    if (!step(samples, truth, reach, fit, moved)) break;
    if (reach <= kFinalReachMm * 1.001F && moved < 1e-6) break;
  }
  return fit;
}

// Principal axes on principal axes: either side up, four turns.
Result<std::vector<RigidTransform>> axis_guesses(const Mesh& model, const Mesh& truth) {
  CUSP_ASSIGN(const sim::ScanFrame from, sim::find_scan_frame(model));
  CUSP_ASSIGN(const sim::ScanFrame to, sim::find_scan_frame(truth));
  std::vector<RigidTransform> guesses;
  for (int flip = 0; flip < 2; ++flip)
    for (int turn = 0; turn < 4; ++turn) {
      const Eigen::Matrix3d between =
          (Eigen::AngleAxisd(flip * std::numbers::pi, Eigen::Vector3d::UnitX()) *
           Eigen::AngleAxisd(turn * std::numbers::pi / 2, Eigen::Vector3d::UnitZ()))
              .toRotationMatrix();
      RigidTransform guess = RigidTransform::Identity();
      guess.linear() = to.axes * between * from.axes.transpose();
      // The scanned side lies on the scanned side, however much of the rest was scanned.
      const Eigen::Vector3d up = to.half_extent_mm[2] * to.axes.col(2) -
                                 from.half_extent_mm[2] * (guess.linear() * from.axes.col(2));
      guess.translation() = to.centre_mm + (flip == 0 ? up : Eigen::Vector3d::Zero().eval()) -
                            guess.linear() * from.centre_mm;
      guesses.push_back(guess);
    }
  return guesses;
}

}  // namespace

std::vector<AreaSample> sample_by_area(const Mesh& mesh, std::size_t count) {
  const auto cross = [&](const std::array<std::uint32_t, 3>& t) -> Eigen::Vector3f {
    const Eigen::Vector3f& a = mesh.vertices_mm[t[0]];
    return (mesh.vertices_mm[t[1]] - a).cross(mesh.vertices_mm[t[2]] - a);
  };
  double area = 0;
  for (const auto& triangle : mesh.triangles) area += cross(triangle).norm();
  std::vector<AreaSample> samples;
  if (!(area > 0)) return samples;
  samples.reserve(count);
  // One sample each time the running area passes a multiple of the step; its place in the triangle
  // follows the R2 sequence (M. Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences",
  // 2018).
  const double each = area / static_cast<double>(count);
  double passed = 0;
  double next = 0.5 * each;
  double u = 0.5, v = 0.5;
  for (const auto& triangle : mesh.triangles) {
    const Eigen::Vector3f normal = cross(triangle);
    passed += normal.norm();
    for (; next < passed; next += each) {
      u = std::fmod(u + 0.7548776662466927, 1.0);
      v = std::fmod(v + 0.5698402909980532, 1.0);
      const bool outside = u + v > 1;
      const auto s = static_cast<float>(outside ? 1 - u : u);
      const auto t = static_cast<float>(outside ? 1 - v : v);
      const Eigen::Vector3f& a = mesh.vertices_mm[triangle[0]];
      samples.push_back(
          {a + s * (mesh.vertices_mm[triangle[1]] - a) + t * (mesh.vertices_mm[triangle[2]] - a),
           normal.normalized()});
    }
  }
  return samples;
}

Result<Fit> fit_to_surface(const Mesh& model, const sim::Surface& truth,
                           const std::vector<RigidTransform>& guesses) {
  CUSP_TRY(validate(model));
  const auto scored = sample_by_area(model, kScoreSamples);
  if (scored.empty()) return error(ErrorCode::kInvalidArgument, "model: it has no area");
  std::vector<RigidTransform> tried = guesses;
  if (tried.empty()) {
    CUSP_ASSIGN(tried, axis_guesses(model, truth.mesh()));
  }
  std::vector<std::pair<double, std::size_t>> order;
  for (std::size_t i = 0; i < tried.size(); ++i)
    order.emplace_back(score(scored, truth, tried[i]), i);
  std::sort(order.begin(), order.end());
  order.resize(std::min(order.size(), guesses.empty() ? order.size() : kKeptGuesses));

  const auto coarse_samples = sample_by_area(model, kCoarseSamples);
  Fit best;
  for (const auto& [off, index] : order) {
    const Fit coarse = refine(coarse_samples, truth, tried[index], 15.0F, 60);
    if (coarse.inlier_share > best.inlier_share) best = coarse;
  }
  best = refine(sample_by_area(model, kFineSamples), truth, best.truth_from_model, 2.0F, 40);
  if (best.inlier_share < kLeastInlierShare)
    return error(ErrorCode::kInvalidArgument,
                 "the model does not fit the true surface: only {:.0f} % of it come within {} mm",
                 100 * best.inlier_share, kFinalReachMm);
  return best;
}

}  // namespace cusp::verify
