#include "pipeline/bite.h"

#include <Eigen/Cholesky>
#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
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
constexpr std::size_t kRelations = 12;  // of the jaws that are looked at closely
constexpr double kReach = 3;  // of a fit from a place that another scan tells, in spacings
constexpr std::size_t kGrain = 256;
constexpr double kOnShare = 0.3;            // a sample lies on a jaw when nearer, in spacings,
constexpr double kMinCosine = 0.6;          // and looks the same way
constexpr double kMaxResidualShare = 0.12;  // of align.h: teeth that are alike differ more
constexpr double kOwnShare =
    0.5;  // of the least overlap, that lies on one jaw and not on the other
// Another way that explains this share of the best one's makes it doubtful.
constexpr double kDoubtful = 0.9;

// All bite scans and the lower jaw, moved together in the upper jaw's frame.
class JointFit {
 public:
  JointFit(const Mesh& upper, const Mesh& lower, const std::vector<BiteScan>& scans,
           WorkerPool& pool)
      : upper_(upper, pool), lower_(lower, pool) {
    for (const BiteScan& scan : scans) {
      spacings_mm_.push_back(std::sqrt(area_mm2(*scan.mesh) / kSamples));
      samples_.push_back(sample_surface(*scan.mesh, spacings_mm_.back(), pool));
    }
    for (const SurfaceSample& sample : samples_) {
      pairs_.emplace_back(sample, upper_, pool);
      pairs_.emplace_back(sample, lower_, pool);
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
        const auto pairs =
            pairs_[2 * scan + (to_lower ? 1 : 0)].find(frame.inverse() * upper_from_bite, limit);
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

  TargetSurface upper_;
  TargetSurface lower_;
  std::vector<SurfaceSample> samples_;
  std::vector<PlanePairs> pairs_;  // of each scan, with the upper jaw, then with the lower
  std::vector<double> spacings_mm_;
};

double rms_between(const Mesh& mesh, const RigidTransform& a, const RigidTransform& b) {
  constexpr std::size_t kPoints = 1000;
  const std::size_t step = 1 + mesh.vertices_mm.size() / kPoints;
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < mesh.vertices_mm.size(); i += step, ++count) {
    const Eigen::Vector3d v = mesh.vertices_mm[i].cast<double>();
    sum += (a * v - b * v).squaredNorm();
  }
  return std::sqrt(sum / count);
}

// What a scan may say of the jaws: a place on each.
struct Hypothesis {
  RigidTransform upper_from_bite;
  RigidTransform lower_from_bite;
  double explained = 0;  // share of the scan that lies on one of the jaws

  [[nodiscard]] RigidTransform upper_from_lower() const {
    return upper_from_bite * lower_from_bite.inverse();
  }
};

// A bite scan, and where it may lie on each jaw.
struct Placed {
  const BiteScan* scan = nullptr;
  double spacing_mm = 0;
  SurfaceSample sample;
  std::vector<RigidTransform> on_upper, on_lower;
  std::vector<Hypothesis> free;  // every place on one jaw with every place on the other, best first
};

// Best first.
void sort(std::vector<Hypothesis>& hypotheses) {
  std::ranges::stable_sort(hypotheses, std::greater<>{}, &Hypothesis::explained);
}

class Search {
 public:
  Search(const Mesh& upper, const Mesh& lower, const BiteOptions& options, WorkerPool& pool)
      : upper_mesh_(upper),
        lower_mesh_(lower),
        options_(options),
        pool_(pool),
        upper_(upper, pool),
        lower_(lower, pool) {}

  // An error when it lies nowhere on one of the jaws, and `alone` there is no other to tell it.
  Result<void> add(const BiteScan& scan, bool alone) {
    CUSP_CHECK(scan.mesh != nullptr, "a bite scan has a mesh");
    const double spacing_mm = std::sqrt(area_mm2(*scan.mesh) / kSamples);
    Placed placed{.scan = &scan,
                  .spacing_mm = spacing_mm,
                  .sample = {},
                  .on_upper = {},
                  .on_lower = {},
                  .free = {}};
    std::optional<Error> upper_says =
        place(scan, upper_mesh_, "the upper jaw", options_.min_overlap, placed.on_upper);
    std::optional<Error> lower_says =
        place(scan, lower_mesh_, "the lower jaw", options_.min_overlap, placed.on_lower);
    if (upper_says && (alone || lower_says)) return *upper_says;
    if (lower_says && alone) return *lower_says;
    placed.sample = sample_surface(*scan.mesh, spacing_mm, pool_);
    placed.free = free_hypotheses(placed);
    // What is found like that may be wrong: the other scan must agree.
    if (placed.free.empty() && !alone) {
      const std::vector<RigidTransform> on_upper = placed.on_upper;
      if (!placed.on_lower.empty())
        place_rest(placed, lower_, placed.on_lower.front(), upper_mesh_, "the upper jaw",
                   placed.on_upper);
      if (!on_upper.empty())
        place_rest(placed, upper_, on_upper.front(), lower_mesh_, "the lower jaw", placed.on_lower);
      placed.free = free_hypotheses(placed);
    }
    scans_.push_back(std::move(placed));
    return {};
  }

  // One of each scan, such that all agree on where the lower jaw is.
  Result<std::vector<Hypothesis>> run() {
    std::vector<Hypothesis> relations;
    for (const Placed& scan : scans_)
      relations.insert(relations.end(), scan.free.begin(), scan.free.end());
    sort(relations);
    relations = that_differ(relations);
    if (relations.empty())
      return error(ErrorCode::kInvalidArgument,
                   "bite: {} shows too little of the upper jaw or of the lower; scan more of both",
                   scans_[0].scan->name);
    std::vector<Hypothesis> best;
    double most = 0, next = 0;
    for (const Hypothesis& relation : relations) {
      const std::vector<Hypothesis> chosen = that_agree(relation.upper_from_lower());
      double explained = 0;
      for (const Hypothesis& one : chosen) explained += one.explained;
      if (chosen.size() < scans_.size()) continue;
      const bool differs =
          !best.empty() && apart_mm(best[0].upper_from_lower(), relation.upper_from_lower()) >
                               options_.max_disagreement_mm;
      if (explained <= most) {
        if (differs) next = std::max(next, explained);
        continue;
      }
      if (differs) next = most;
      most = explained;
      best = chosen;
    }
    if (best.empty()) return contradiction();
    // One scan has no other to tell it from what is like it.
    if (scans_.size() == 1 && next > kDoubtful * most)
      return error(ErrorCode::kInvalidArgument,
                   "bite: {} fits the jaws in two ways nearly alike ({:.0f} %); scan more of it",
                   scans_[0].scan->name, 100 * next / most);
    return best;
  }

  [[nodiscard]] double apart_mm(const RigidTransform& a, const RigidTransform& b) const {
    return rms_between(lower_mesh_, a, b);
  }

 private:
  std::optional<Error> place(const BiteScan& scan, const Mesh& jaw, std::string_view name,
                             double min_overlap, std::vector<RigidTransform>& places) const {
    const auto found = find_places(
        *scan.mesh, scan.name, jaw, name,
        {.start = {}, .min_overlap = min_overlap, .max_residual_share = kMaxResidualShare}, pool_);
    if (!found.ok()) return found.error();
    for (const Alignment& one : *found) places.push_back(one.target_from_source);
    return std::nullopt;
  }

  // What lies on one jaw disturbs the features of the part that lies on the other, most of all
  // where that part is small: without it the rest is found.
  void place_rest(const Placed& scan, const TargetSurface& on, const RigidTransform& on_from_bite,
                  const Mesh& jaw, std::string_view name,
                  std::vector<RigidTransform>& places) const {
    Mesh rest = *scan.scan->mesh;
    std::vector<std::uint8_t> keep(rest.triangles.size());
    pool_.for_chunks(keep.size(), kGrain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        Eigen::Vector3f centre = Eigen::Vector3f::Zero();
        for (const std::uint32_t corner : rest.triangles[i])
          centre += rest.vertices_mm[corner] / 3.0F;
        keep[i] = !on.find(on_from_bite * centre.cast<double>(), kOnShare * scan.spacing_mm);
      }
    });
    keep_triangles(rest, keep);
    const double share = area_mm2(rest) / area_mm2(*scan.scan->mesh);
    place({&rest, scan.scan->name}, jaw, name, options_.min_overlap / std::max(share, 1e-9),
          places);
  }

  [[nodiscard]] std::vector<bool> lies_on(const Placed& scan, const TargetSurface& surface,
                                          const RigidTransform& surface_from_bite) const {
    std::vector<std::uint8_t> lies(scan.sample.points_mm.size());
    pool_.for_chunks(lies.size(), kGrain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        const auto foot = surface.find(surface_from_bite * scan.sample.points_mm[i].cast<double>(),
                                       kOnShare * scan.spacing_mm);
        lies[i] = foot && foot->normal.dot(surface_from_bite.linear() *
                                           scan.sample.normals[i].cast<double>()) > kMinCosine;
      }
    });
    return {lies.begin(), lies.end()};
  }

  // The share of a scan that lies on one of the jaws. 0 when a jaw has too little of it to itself:
  // no tooth is an upper and a lower one, so it only repeats, somewhere like it, what the other
  // has.
  [[nodiscard]] double explained(const std::vector<bool>& on_upper,
                                 const std::vector<bool>& on_lower) const {
    std::size_t either = 0, upper_alone = 0, lower_alone = 0;
    for (std::size_t i = 0; i < on_upper.size(); ++i) {
      either += on_upper[i] || on_lower[i] ? 1 : 0;
      upper_alone += on_upper[i] && !on_lower[i] ? 1 : 0;
      lower_alone += on_lower[i] && !on_upper[i] ? 1 : 0;
    }
    const auto all = static_cast<double>(std::max<std::size_t>(1, on_upper.size()));
    const auto own = static_cast<double>(std::min(upper_alone, lower_alone));
    return own < kOwnShare * options_.min_overlap * all ? 0 : static_cast<double>(either) / all;
  }
  [[nodiscard]] std::vector<Hypothesis> free_hypotheses(const Placed& scan) const {
    std::vector<std::vector<bool>> on_lower;
    for (const RigidTransform& l : scan.on_lower) on_lower.push_back(lies_on(scan, lower_, l));
    std::vector<Hypothesis> hypotheses;
    for (const RigidTransform& u : scan.on_upper) {
      const std::vector<bool> on_upper = lies_on(scan, upper_, u);
      for (std::size_t l = 0; l < on_lower.size(); ++l)
        if (const double share = explained(on_upper, on_lower[l]); share > 0)
          hypotheses.push_back({u, scan.on_lower[l], share});
    }
    sort(hypotheses);
    return hypotheses;
  }

  // Where a scan lies when the jaws lie like that: a place on either of them tells the other.
  [[nodiscard]] std::optional<Hypothesis> given(const Placed& scan,
                                                const RigidTransform& upper_from_lower) const {
    std::optional<Hypothesis> best;
    const auto consider = [&](const RigidTransform& upper_start,
                              const RigidTransform& lower_start) {
      const auto fit = [&](const TargetSurface& jaw, const RigidTransform& start) {
        return fit_to_planes(scan.sample, jaw, start, kReach * scan.spacing_mm, scan.spacing_mm,
                             pool_);
      };
      const PlaneFit on_upper = fit(upper_, upper_start), on_lower = fit(lower_, lower_start);
      if (std::min(on_upper.overlap, on_lower.overlap) < options_.min_overlap) return;
      Hypothesis one{on_upper.target_from_source, on_lower.target_from_source, 0};
      if (apart_mm(one.upper_from_lower(), upper_from_lower) > options_.max_disagreement_mm) return;
      one.explained = explained(lies_on(scan, upper_, one.upper_from_bite),
                                lies_on(scan, lower_, one.lower_from_bite));
      if (one.explained > 0 && (!best || one.explained > best->explained)) best = one;
    };
    for (const RigidTransform& u : scan.on_upper) consider(u, upper_from_lower.inverse() * u);
    for (const RigidTransform& l : scan.on_lower) consider(upper_from_lower * l, l);
    // It would rather lie elsewhere: another bite.
    if (best && !scan.free.empty() && best->explained < kDoubtful * scan.free[0].explained)
      return std::nullopt;
    return best;
  }

  // The best few: a fit from one finds what a fit from one near it would.
  [[nodiscard]] std::vector<Hypothesis> that_differ(const std::vector<Hypothesis>& sorted) const {
    std::vector<Hypothesis> few;
    for (const Hypothesis& one : sorted)
      if (few.size() < kRelations && std::ranges::none_of(few, [&](const Hypothesis& other) {
            return apart_mm(one.upper_from_lower(), other.upper_from_lower()) <=
                   options_.max_disagreement_mm;
          }))
        few.push_back(one);
    return few;
  }

  [[nodiscard]] std::vector<Hypothesis> that_agree(const RigidTransform& upper_from_lower) const {
    std::vector<Hypothesis> chosen;
    for (const Placed& scan : scans_) {
      const auto one = given(scan, upper_from_lower);
      if (!one) return {};
      chosen.push_back(*one);
    }
    return chosen;
  }

  [[nodiscard]] Error contradiction() const {
    std::vector<Hypothesis> first;
    for (const Placed& scan : scans_)
      if (!scan.free.empty()) first.push_back(scan.free.front());
    double most_mm = 0;
    for (const Hypothesis& one : first)
      most_mm = std::max(most_mm, apart_mm(first[0].upper_from_lower(), one.upper_from_lower()));
    return error(ErrorCode::kInvalidArgument,
                 "bite: {} and the others put the lower jaw {:.2f} mm apart, {:.2f} mm are allowed",
                 scans_[0].scan->name, most_mm, options_.max_disagreement_mm);
  }

  const Mesh& upper_mesh_;
  const Mesh& lower_mesh_;
  const BiteOptions& options_;
  WorkerPool& pool_;
  TargetSurface upper_;
  TargetSurface lower_;
  std::vector<Placed> scans_;
};

}  // namespace

Result<Bite> align_bite(const Mesh& upper, const Mesh& lower, const std::vector<BiteScan>& scans,
                        const BiteOptions& options, WorkerPool& pool) {
  if (scans.empty())
    return error(ErrorCode::kInvalidArgument, "bite: there is no bite scan to align the jaws by");
  Search search(upper, lower, options, pool);
  for (const BiteScan& scan : scans) CUSP_TRY(search.add(scan, scans.size() == 1));
  CUSP_ASSIGN(const std::vector<Hypothesis> chosen, search.run());
  Bite bite;
  bite.upper_from_lower = chosen.front().upper_from_lower();
  for (const Hypothesis& one : chosen) {
    bite.upper_from_bite.push_back(one.upper_from_bite);
    bite.disagreement_mm = std::max(bite.disagreement_mm,
                                    search.apart_mm(bite.upper_from_lower, one.upper_from_lower()));
  }
  JointFit(upper, lower, scans, pool).run(bite);
  return bite;
}

}  // namespace cusp
