#include "pipeline/adjust_solve.h"

#include <Eigen/Cholesky>
#include <Eigen/SparseCholesky>

namespace cusp {
namespace {

// Of a block's own size: holds frames that nothing holds, and bends no chain of those that are.
constexpr double kDamping = 1e-10;
constexpr double kLeastDiagonal = 1e-12;

using SparseMatrix = Eigen::SparseMatrix<double>;

}  // namespace

struct AdjustSystem::Sparse {
  Eigen::SimplicialLDLT<SparseMatrix> cholesky;
  bool analysed = false;
  Eigen::MatrixXd per_warp;      // how the poses follow the warp
  Eigen::MatrixXd warp_inverse;  // of the Schur complement
};

AdjustSystem::AdjustSystem(std::size_t frames, const std::vector<FramePair>& pairs)
    : frames_(frames), pairs_(pairs), sparse_(std::make_unique<Sparse>()) {}
AdjustSystem::~AdjustSystem() = default;

std::optional<AdjustStep> AdjustSystem::solve(const std::vector<PairNormals>& normals,
                                              const WarpStep& warp_mm, const WarpStep& prior) {
  constexpr Eigen::Index kBorder = DepthWarp::kTerms;
  const auto unknowns = static_cast<Eigen::Index>(6 * frames_);
  std::vector<Eigen::Matrix<double, 6, 6>> diagonal(frames_, Eigen::Matrix<double, 6, 6>::Zero());
  Eigen::MatrixXd border = Eigen::MatrixXd::Zero(unknowns, kBorder + 1);
  Eigen::Matrix<double, kBorder, kBorder> warp = prior.asDiagonal();
  WarpStep warp_right = prior.cwiseProduct(warp_mm);
  std::vector<Eigen::Triplet<double>> entries;
  entries.reserve(36 * pairs_.size() + 21 * frames_);
  for (std::size_t k = 0; k < pairs_.size(); ++k) {
    const PairNormals& pair = normals[k];
    const auto a = static_cast<Eigen::Index>(6 * pairs_[k].a);
    const auto b = static_cast<Eigen::Index>(6 * pairs_[k].b);
    diagonal[pairs_[k].a] += pair.pose;
    diagonal[pairs_[k].b] += pair.pose;
    border.block<6, kBorder>(a, 0) += pair.border;
    border.block<6, kBorder>(b, 0) -= pair.border;
    border.block<6, 1>(a, kBorder) += pair.pose_right;
    border.block<6, 1>(b, kBorder) -= pair.pose_right;
    warp += pair.warp;
    warp_right += pair.warp_right;
    if (pairs_[k].a == 0) continue;  // held
    for (int i = 0; i < 6; ++i)      // b > a: below the diagonal
      for (int j = 0; j < 6; ++j)
        entries.emplace_back(static_cast<int>(b) + i, static_cast<int>(a) + j, -pair.pose(i, j));
  }
  border.topRows<6>().setZero();
  diagonal[0].setIdentity();
  for (std::size_t f = 0; f < frames_; ++f)
    for (int j = 0; j < 6; ++j)
      for (int i = j; i < 6; ++i) {
        double value = diagonal[f](i, j);
        if (i == j) value += kDamping * value + kLeastDiagonal;
        entries.emplace_back(static_cast<int>(6 * f) + i, static_cast<int>(6 * f) + j, value);
      }
  SparseMatrix poses(unknowns, unknowns);
  poses.setFromTriplets(entries.begin(), entries.end());

  auto& cholesky = sparse_->cholesky;
  if (!sparse_->analysed) cholesky.analyzePattern(poses);
  sparse_->analysed = true;
  cholesky.factorize(poses);
  if (cholesky.info() != Eigen::Success) return std::nullopt;
  const Eigen::MatrixXd solved = cholesky.solve(border);
  const Eigen::MatrixXd schur =
      warp - border.leftCols(kBorder).transpose() * solved.leftCols(kBorder);
  const Eigen::VectorXd right =
      warp_right - border.leftCols(kBorder).transpose() * solved.col(kBorder);
  sparse_->per_warp = solved.leftCols(kBorder);
  sparse_->warp_inverse =
      Eigen::LDLT<Eigen::MatrixXd>(schur).solve(Eigen::MatrixXd::Identity(kBorder, kBorder));
  const WarpStep warp_step = -sparse_->warp_inverse * right;
  const Eigen::VectorXd pose_steps = -solved.col(kBorder) - solved.leftCols(kBorder) * warp_step;
  if (!pose_steps.allFinite() || !warp_step.allFinite()) return std::nullopt;

  AdjustStep step{.poses = {}, .warp_mm = warp_step};
  for (std::size_t f = 0; f < frames_; ++f)
    step.poses.push_back(pose_steps.segment<6>(static_cast<Eigen::Index>(6 * f)));
  return step;
}

Eigen::Matrix<double, 6, 6> AdjustSystem::covariance(std::size_t frame) const {
  if (frame == 0) return Eigen::Matrix<double, 6, 6>::Zero();
  const auto first = static_cast<Eigen::Index>(6 * frame);
  Eigen::MatrixXd unit = Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(6 * frames_), 6);
  unit.middleRows<6>(first).setIdentity();
  const Eigen::MatrixXd solved = sparse_->cholesky.solve(unit);
  const Eigen::MatrixXd per_warp = sparse_->per_warp.middleRows<6>(first);
  return solved.middleRows<6>(first) + per_warp * sparse_->warp_inverse * per_warp.transpose();
}

}  // namespace cusp
