#include "pipeline/bite.h"

#include <Eigen/Cholesky>
#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <string>

#include "core/check.h"
#include "pipeline/align.h"
#include "pipeline/clean.h"
#include "pipeline/plane_fit.h"
#include "pipeline/surface_sample.h"

namespace cusp {
namespace {

constexpr double kSamples = 4000;  // of a bite scan
constexpr int kJointSteps = 25;
// Limits of the joint fit, in spacings of the sample.
constexpr double kFirstLimit = 1.5;
constexpr double kLeastLimit = 0.05;

// All bite scans and the lower jaw, moved together in the upper jaw's frame.
class JointFit {
 public:
  JointFit(const Mesh& upper, const Mesh& lower, const std::vector<BiteScan>& scans,
           WorkerPool& pool)
      : pool_(pool), upper_(upper, pool), lower_(lower, pool) {
    for (const BiteScan& scan : scans) {
      spacings_mm_.push_back(std::sqrt(area_mm2(*scan.mesh) / kSamples));
      samples_.push_back(sample_surface(*scan.mesh, spacings_mm_.back(), pool));
    }
  }

  void run(Bite& bite) {
    std::vector<double> limits;
    for (const double spacing : spacings_mm_) {
      limits.push_back(kFirstLimit * spacing);
      limits.push_back(kFirstLimit * spacing);
    }
    for (int step = 0; step < kJointSteps; ++step) solve_once(bite, limits);
  }

 private:
  void solve_once(Bite& bite, std::vector<double>& limits) {
    const auto scans = static_cast<Eigen::Index>(samples_.size());
    const Eigen::Index size = 6 * (scans + 1);  // the lower jaw's six come last
    Eigen::MatrixXd normal = Eigen::MatrixXd::Zero(size, size);
    Eigen::VectorXd right = Eigen::VectorXd::Zero(size);
    double sum = 0;
    std::size_t count = 0;
    for (Eigen::Index i = 0; i < scans; ++i) {
      const auto scan = static_cast<std::size_t>(i);
      const RigidTransform& upper_from_bite = bite.upper_from_bite[scan];
      for (const bool to_lower : {false, true}) {
        const RigidTransform frame = to_lower ? bite.upper_from_lower : RigidTransform::Identity();
        double& limit = limits[2 * scan + (to_lower ? 1 : 0)];
        const auto pairs = plane_pairs(samples_[scan], to_lower ? lower_ : upper_,
                                       frame.inverse() * upper_from_bite, limit, pool_);
        for (const PlanePair& pair : pairs) {
          const double residual = pair.distance_mm();
          const double weight = robust_weight(residual, 0.5 * limit);
          const Eigen::Vector3d p = frame * pair.point_mm;
          const Eigen::Vector3d n = frame.linear() * pair.normal;
          Eigen::Matrix<double, 6, 1> row;
          row << p.cross(n), n;
          // The residual grows with the scan's motion as it falls with the jaw's.
          const Eigen::Index a = 6 * i;
          const Eigen::Index b = 6 * scans;
          const Eigen::Matrix<double, 6, 6> outer = weight * row * row.transpose();
          normal.block<6, 6>(a, a) += outer;
          right.segment<6>(a) -= weight * residual * row;
          if (to_lower) {
            normal.block<6, 6>(b, b) += outer;
            normal.block<6, 6>(a, b) -= outer;
            normal.block<6, 6>(b, a) -= outer;
            right.segment<6>(b) += weight * residual * row;
          }
          sum += residual * residual;
          ++count;
        }
        limit = next_limit_mm(pairs, limit, kLeastLimit * spacings_mm_[scan]);
      }
    }
    if (count == 0) return;
    bite.residual_mm = std::sqrt(sum / static_cast<double>(count));
    normal.diagonal().array() += 1e-12 * normal.trace();
    const Eigen::VectorXd twist = normal.ldlt().solve(right);
    if (!twist.allFinite()) return;
    for (std::size_t scan = 0; scan < samples_.size(); ++scan)
      move(bite.upper_from_bite[scan], twist.segment<6>(6 * static_cast<Eigen::Index>(scan)));
    move(bite.upper_from_lower, twist.segment<6>(6 * scans));
  }

  static void move(RigidTransform& pose, const Eigen::Matrix<double, 6, 1>& twist) {
    pose = small_motion(twist) * pose;
    pose.linear() = Eigen::Quaterniond(pose.linear()).normalized().toRotationMatrix();
  }

  WorkerPool& pool_;
  TargetSurface upper_;
  TargetSurface lower_;
  std::vector<SurfaceSample> samples_;
  std::vector<double> spacings_mm_;
};

double rms_between(const Mesh& mesh, const RigidTransform& a, const RigidTransform& b) {
  double sum = 0;
  for (const Eigen::Vector3f& v : mesh.vertices_mm)
    sum += (a * v.cast<double>() - b * v.cast<double>()).squaredNorm();
  return std::sqrt(sum / static_cast<double>(mesh.vertices_mm.size()));
}

}  // namespace

Result<Bite> align_bite(const Mesh& upper, const Mesh& lower, const std::vector<BiteScan>& scans,
                        const BiteOptions& options, WorkerPool& pool) {
  if (scans.empty())
    return error(ErrorCode::kInvalidArgument, "bite: there is no bite scan to align the jaws by");
  const AlignOptions align_options{.start = {}, .min_overlap = options.min_overlap};
  Bite bite;
  std::vector<RigidTransform> upper_from_lower;
  for (const BiteScan& scan : scans) {
    CUSP_CHECK(scan.mesh != nullptr, "a bite scan has a mesh");
    CUSP_ASSIGN(const Alignment on_upper,
                align(*scan.mesh, scan.name, upper, "the upper jaw", align_options, pool));
    CUSP_ASSIGN(const Alignment on_lower,
                align(*scan.mesh, scan.name, lower, "the lower jaw", align_options, pool));
    bite.upper_from_bite.push_back(on_upper.target_from_source);
    upper_from_lower.push_back(on_upper.target_from_source * on_lower.target_from_source.inverse());
  }
  for (const RigidTransform& other : upper_from_lower)
    bite.disagreement_mm =
        std::max(bite.disagreement_mm, rms_between(lower, upper_from_lower[0], other));
  if (bite.disagreement_mm > options.max_disagreement_mm)
    return error(ErrorCode::kInvalidArgument,
                 "bite: {} and the others put the lower jaw {:.2f} mm apart, {:.2f} mm are allowed",
                 scans[0].name, bite.disagreement_mm, options.max_disagreement_mm);
  bite.upper_from_lower = upper_from_lower[0];
  JointFit(upper, lower, scans, pool).run(bite);
  return bite;
}

}  // namespace cusp
