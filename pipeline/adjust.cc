#include "pipeline/adjust.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/check.h"
#include "pipeline/adjust_kernel.h"
#include "pipeline/adjust_solve.h"

namespace cusp {
namespace {

using Matrix6 = Eigen::Matrix<double, 6, 6>;

constexpr std::size_t kPairsAChunk = 8;
constexpr int kMostRounds = 12;
constexpr int kCoarseRounds = 3;  // with two thirds of the samples
constexpr int kCoarseStep = 5, kFineStep = 4;
constexpr float kGateRms = 4.0F, kKernelRms = 2.5F;
constexpr float kLateralCells = 2.5F;
constexpr double kOutlierRms = 10;      // farther apart it is not one surface
constexpr double kSettledShare = 2e-2;  // of the residuals' rms: smaller steps end the search
// A sample's error is shared by all pairs of its frame, and neighbours share theirs: so many count
// as one. On a simulated arch 12 um are then expected of the frame known worst, and it is 9 um off.
constexpr double kSharedEvidence = 5;
constexpr std::size_t kProbedFrames = 8;  // whose covariance is looked at
constexpr double kCrossTurnRad = 0.35;    // 20 degrees apart: not neighbours of one pass

Eigen::Matrix3d cross(const Eigen::Vector3d& v) {
  Eigen::Matrix3d matrix;
  matrix << 0, -v.z(), v.y(), v.z(), 0, -v.x(), -v.y(), v.x(), 0;
  return matrix;
}

// How far the poses moved what the frames saw, rms, apart from a common motion.
double drift_mm(const std::vector<KeyframeCells>& frames, const std::vector<RigidTransform>& before,
                const std::vector<RigidTransform>& after) {
  std::vector<Eigen::Vector3d> from, to;
  for (std::size_t f = 0; f < frames.size(); ++f) {
    const double z = frames[f].middle_mm;
    if (z == 0) continue;
    for (const Eigen::Vector3d& p : {Eigen::Vector3d(0, 0, z), Eigen::Vector3d(0.2 * z, 0, z),
                                     Eigen::Vector3d(0, 0.2 * z, z)}) {
      from.push_back(before[f] * p);
      to.push_back(after[f] * p);
    }
  }
  const auto count = static_cast<Eigen::Index>(from.size());
  const Eigen::Map<const Eigen::Matrix3Xd> a(from.front().data(), 3, count);
  const Eigen::Map<const Eigen::Matrix3Xd> b(to.front().data(), 3, count);
  const Eigen::Isometry3d moved(Eigen::umeyama(a, b, false));
  double squares = 0;
  for (std::size_t k = 0; k < from.size(); ++k) squares += (to[k] - moved * from[k]).squaredNorm();
  return std::sqrt(squares / static_cast<double>(from.size()));
}

// How far the worst known of a few frames may be off at its surface, for samples of this variance.
double pose_sigma_mm(const AdjustSystem& system, const std::vector<KeyframeCells>& frames,
                     const std::vector<RigidTransform>& poses, const std::vector<bool>& held,
                     double variance_mm2) {
  double worst = 0;
  const std::size_t apart = std::max<std::size_t>(1, frames.size() / kProbedFrames);
  for (std::size_t f = frames.size() - 1; f >= apart; f -= apart) {
    if (!held[f]) continue;
    const Eigen::Vector3d middle = poses[f] * Eigen::Vector3d(0, 0, frames[f].middle_mm);
    Eigen::Matrix<double, 3, 6> moves;
    moves << -cross(middle), Eigen::Matrix3d::Identity();
    worst = std::max(worst, (moves * system.covariance(f) * moves.transpose()).trace());
  }
  return std::sqrt(worst * variance_mm2);
}

}  // namespace

// One round's settings and what it found.
struct Adjustment::Round {
  float gate_mm = 0, kernel_mm = 0;
  int step = 1;
  std::vector<PairNormals> normals{};
  double squares = 0, weight = 0, met = 0;

  [[nodiscard]] double rms_mm() const { return weight > 0 ? std::sqrt(squares / weight) : 0; }
  // Of a sample of weight 1.
  [[nodiscard]] double variance_mm2() const { return met > 0 ? squares / met : 0; }

  // What the pair says, from b's frame to the model's.
  static PairNormals in_model(const PairSums& sums, const RigidTransform& model_from_b,
                              double middle_mm) {
    Eigen::Matrix<double, kPairRow, kPairRow> products;
    std::size_t next = 0;
    for (int j = 0; j < kPairRow; ++j)
      for (int k = j; k < kPairRow; ++k) products(j, k) = products(k, j) = sums.products[next++];
    const Eigen::Matrix3d b_from_model = model_from_b.linear().transpose();
    const Eigen::Vector3d centre = model_from_b * Eigen::Vector3d(0, 0, middle_mm);
    Matrix6 to_b = Matrix6::Zero();
    to_b.topLeftCorner<3, 3>() = b_from_model;
    to_b.bottomLeftCorner<3, 3>() = -b_from_model * cross(centre);
    to_b.bottomRightCorner<3, 3>() = b_from_model;
    constexpr int kTerms = DepthWarp::kTerms;
    return {.pose = to_b.transpose() * products.topLeftCorner<6, 6>() * to_b,
            .border = to_b.transpose() * products.block<6, kTerms>(0, 6),
            .warp = products.block<kTerms, kTerms>(6, 6),
            .pose_right = to_b.transpose() * products.block<6, 1>(0, 6 + kTerms),
            .warp_right = products.block<kTerms, 1>(6, 6 + kTerms)};
  }

  void sum(const Adjustment& of, const std::vector<FramePair>& pairs, WorkerPool& pool,
           const std::stop_token& stop) {
    const PairSummer summer = pair_summer();
    std::array<float, DepthWarp::kTerms> warp_mm{};
    for (std::size_t k = 0; k < warp_mm.size(); ++k)
      warp_mm[k] = static_cast<float>(1e-3 * of.warp_.coefficients_um()[k]);
    normals.resize(pairs.size());
    std::vector<std::array<double, 3>> totals(pairs.size());
    pool.for_chunks(pairs.size(), kPairsAChunk, [&](std::size_t begin, std::size_t end) {
      for (std::size_t k = begin; k < end && !stop.stop_requested(); ++k) {
        // Every other pair is looked at from the other side, so that no frame is always the one
        // that is matched; the sums' signs follow.
        const bool swapped = (pairs[k].a + pairs[k].b) % 2 != 0;
        const std::size_t a = swapped ? pairs[k].b : pairs[k].a;
        const std::size_t b = swapped ? pairs[k].a : pairs[k].b;
        const RigidTransform b_from_a = of.poses_[b].inverse() * of.poses_[a];
        PairTask task{.a = of.frames_[a].cells.data(),
                      .b = of.frames_[b].cells.data(),
                      .middle_mm = of.frames_[b].middle_mm,
                      .step = step,
                      .first = static_cast<int>(k) % step,
                      .gate_mm = gate_mm,
                      .lateral_mm = kLateralCells * of.frames_[b].middle_mm / of.layout_.fx,
                      .kernel_mm = kernel_mm};
        for (int i = 0; i < 3; ++i) {
          for (int j = 0; j < 3; ++j)
            task.b_from_a[static_cast<std::size_t>(3 * i + j)] =
                static_cast<float>(b_from_a.linear()(i, j));
          task.shift_mm[static_cast<std::size_t>(i)] =
              static_cast<float>(b_from_a.translation()[i]);
        }
        PairSums sums;
        summer(of.layout_, task, warp_mm, sums);
        normals[k] = in_model(sums, of.poses_[b], task.middle_mm);
        if (swapped) {
          normals[k].border = -normals[k].border;
          normals[k].pose_right = -normals[k].pose_right;
        }
        totals[k] = {sums.squares, sums.weight, sums.met};
      }
    });
    squares = weight = met = 0;
    for (const auto& total : totals) {
      squares += total[0];
      weight += total[1];
      met += total[2];
    }
  }
};

Adjustment::Adjustment(const AdjustOptions& options) : options_(options), warp_(options.warp) {
  CUSP_CHECK(options.search_mm > 0 && options.sigma_mm > 0, "adjustment options are out of range");
}

void Adjustment::add(const MeasuredSurface& surface, const RigidTransform& model_from_sensor,
                     WorkerPool& pool) {
  if (frames_.empty()) {
    intrinsics_ = surface.intrinsics;
    binning_ = surface.binning;
    layout_ = cell_layout(intrinsics_);
  }
  CUSP_CHECK(surface.intrinsics == intrinsics_ && surface.binning == binning_,
             "frames of one device are adjusted together");
  frames_.push_back(cells_of(surface, layout_, pool));
  poses_.push_back(model_from_sensor);
}

ErrorMap Adjustment::expected_error(WorkerPool& pool) const {
  return cusp::expected_error({.frames = frames_,
                               .model_from_sensor = poses_,
                               .layout = layout_,
                               .warp = warp_,
                               .gate_mm = std::min(options_.search_mm, kOutlierRms * rms_mm_)},
                              pool);
}

std::size_t Adjustment::bytes() const {
  std::size_t sum = poses_.capacity() * sizeof(RigidTransform);
  for (const KeyframeCells& frame : frames_) sum += frame.cells.capacity() * sizeof(Cell);
  return sum;
}

Result<AdjustReport> Adjustment::run(WorkerPool& pool, const std::stop_token& stop,
                                     const std::function<void(double)>& progress) {
  if (frames_.size() < 2)
    return error(ErrorCode::kInvalidArgument, "adjustment: {} keyframes are too few",
                 frames_.size());
  for (std::size_t f = 0; f < poses_.size(); ++f)
    if (!poses_[f].matrix().allFinite())
      return error(ErrorCode::kInvalidArgument,
                   "adjustment: the pose of keyframe {} is not a number", f);
  const std::vector<FramePair> pairs =
      find_pairs(frames_, poses_, layout_, options_.search_mm, pool);
  if (pairs.empty())
    return error(ErrorCode::kInvalidArgument,
                 "adjustment: no two of {} keyframes see the same surface", frames_.size());

  AdjustReport report{.frames = frames_.size(), .pairs = pairs.size()};
  std::vector<bool> held(frames_.size(), false);
  for (const FramePair& pair : pairs) {
    held[pair.a] = held[pair.b] = true;
    const Eigen::Vector3d view_a = poses_[pair.a].linear().col(2);
    report.cross_pairs += view_a.dot(poses_[pair.b].linear().col(2)) < std::cos(kCrossTurnRad);
  }
  report.loose_frames = static_cast<std::size_t>(std::ranges::count(held, false));

  const std::vector<RigidTransform> before = poses_;
  const DepthWarp warp_before = warp_;
  AdjustSystem system(frames_.size(), pairs);
  Round round{.gate_mm = static_cast<float>(options_.search_mm),
              .kernel_mm = static_cast<float>(options_.search_mm) / 3};
  for (int number = 0; number < kMostRounds; ++number) {
    progress(static_cast<double>(number) / kMostRounds);
    round.step = number < kCoarseRounds ? kCoarseStep : kFineStep;
    round.sum(*this, pairs, pool, stop);
    if (stop.stop_requested()) {
      poses_ = before;
      warp_ = warp_before;
      return error(ErrorCode::kCancelled, "adjustment: stopped on request");
    }
    const double rms = round.rms_mm();
    if (number == 0) report.rms_before_um = 1e3 * rms;
    report.rms_after_um = 1e3 * rms;
    round.gate_mm =
        std::min(static_cast<float>(options_.search_mm), kGateRms * static_cast<float>(rms));
    round.kernel_mm = kKernelRms * static_cast<float>(rms);

    WarpStep warp_mm;
    for (int k = 0; k < DepthWarp::kTerms; ++k)
      warp_mm[k] = 1e-3 * warp_.coefficients_um()[static_cast<std::size_t>(k)];
    const double variance = round.variance_mm2() * kSharedEvidence;
    const double prior = options_.estimate_warp ? variance / (options_.sigma_mm * options_.sigma_mm)
                                                : 1e12 * (1 + round.weight);
    const auto step = system.solve(round.normals, warp_mm, WarpStep::Constant(prior));
    if (!step)
      return error(ErrorCode::kInvalidArgument, "adjustment: {} keyframes do not hold each other",
                   frames_.size());

    double moved2 = 0;
    for (std::size_t f = 0; f < frames_.size(); ++f) {
      const PoseStep& s = step->poses[f];
      const Eigen::Vector3d middle = poses_[f] * Eigen::Vector3d(0, 0, frames_[f].middle_mm);
      moved2 += (s.head<3>().cross(middle) + s.tail<3>()).squaredNorm();
      const double angle = s.head<3>().norm();
      const Eigen::AngleAxisd turn(
          angle, angle > 0 ? Eigen::Vector3d(s.head<3>() / angle) : Eigen::Vector3d::UnitX());
      RigidTransform by = RigidTransform::Identity();
      by.linear() = turn.toRotationMatrix();
      by.translation() = s.tail<3>();
      poses_[f] = by * poses_[f];
    }
    DepthWarp::Terms terms{};
    for (int k = 0; k < DepthWarp::kTerms; ++k)
      terms[static_cast<std::size_t>(k)] = 1e3 * (warp_mm[k] + step->warp_mm[k]);
    warp_ = DepthWarp(binning_ * intrinsics_.width_px, binning_ * intrinsics_.height_px, terms);
    report.rounds = number + 1;
    const double moved = std::sqrt(moved2 / static_cast<double>(frames_.size()));
    if (number >= kCoarseRounds && moved < kSettledShare * rms) break;
  }
  rms_mm_ = report.rms_after_um / 1000;
  report.warp_rms_um = warp_.rms_um();
  report.warp_max_um = warp_.max_um();
  report.drift_um = 1e3 * drift_mm(frames_, before, poses_);
  report.pose_sigma_um =
      1e3 * pose_sigma_mm(system, frames_, poses_, held, round.variance_mm2() * kSharedEvidence);
  progress(1);
  return report;
}

}  // namespace cusp
