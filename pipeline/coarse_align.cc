#include "pipeline/coarse_align.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

namespace cusp {
namespace {

constexpr int kDraws = 600000;
constexpr std::size_t kCandidates = 32;
// In spacings: how well matched points agree, and how far apart a triple's points must be.
constexpr double kAgree = 2.5;
constexpr double kMinSide = 5;
constexpr double kDistinct = 8;
constexpr double kMinNormalCosine = 0.7;
// Enough to tell where a sample is.
constexpr std::size_t kPlacePoints = 64;

struct Match {
  std::uint32_t source;
  std::uint32_t target;
};

// Of each column of `from` the column of `to` that is nearest.
std::vector<std::uint32_t> nearest_features(const PointFeatures& from, const PointFeatures& to,
                                            WorkerPool& pool) {
  std::vector<std::uint32_t> nearest(static_cast<std::size_t>(from.cols()));
  pool.for_chunks(nearest.size(), 64, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      float best = std::numeric_limits<float>::infinity();
      for (Eigen::Index j = 0; j < to.cols(); ++j) {
        const float distance = (from.col(static_cast<Eigen::Index>(i)) - to.col(j)).squaredNorm();
        if (distance < best) {
          best = distance;
          nearest[i] = static_cast<std::uint32_t>(j);
        }
      }
    }
  });
  return nearest;
}

struct Scored {
  RigidTransform pose;
  std::size_t agreeing = 0;
};

RigidTransform from_triple(const SurfaceSample& source, const SurfaceSample& target,
                           const std::array<Match, 3>& triple) {
  Eigen::Matrix3d from;
  Eigen::Matrix3d to;
  for (int k = 0; k < 3; ++k) {
    const Match& match = triple[static_cast<std::size_t>(k)];
    from.col(k) = source.points_mm[match.source].cast<double>();
    to.col(k) = target.points_mm[match.target].cast<double>();
  }
  return RigidTransform(Eigen::umeyama(from, to, false));
}

}  // namespace

bool same_place(const RigidTransform& a, const RigidTransform& b, const SurfaceSample& sample,
                double tolerance_mm) {
  const std::size_t step = 1 + sample.points_mm.size() / kPlacePoints;
  double sum = 0;
  double count = 0;
  for (std::size_t i = 0; i < sample.points_mm.size(); i += step, ++count) {
    const Eigen::Vector3d p = sample.points_mm[i].cast<double>();
    sum += (a * p - b * p).squaredNorm();
  }
  return sum <= tolerance_mm * tolerance_mm * count;
}

std::vector<RigidTransform> coarse_candidates(const SurfaceSample& source,
                                              const PointFeatures& source_features,
                                              const SurfaceSample& target,
                                              const PointFeatures& target_features,
                                              double spacing_mm, WorkerPool& pool) {
  if (source_features.cols() == 0 || target_features.cols() == 0) return {};
  // One way only: of a scan that lies on the target with a small part of it, most matches that hold
  // both ways are wrong, and too few of the others are left.
  const auto nearest = nearest_features(source_features, target_features, pool);
  std::vector<Match> matches;
  for (std::uint32_t i = 0; i < nearest.size(); ++i) matches.push_back({i, nearest[i]});
  if (matches.size() < 3) return {};

  const auto distance = [](const SurfaceSample& s, std::uint32_t a, std::uint32_t b) {
    return static_cast<double>((s.points_mm[a] - s.points_mm[b]).norm());
  };
  const auto keeps_distance = [&](const Match& a, const Match& b) {
    const double from = distance(source, a.source, b.source);
    const double to = distance(target, a.target, b.target);
    return from >= kMinSide * spacing_mm && std::abs(from - to) <= kAgree * spacing_mm;
  };
  const auto count_agreeing = [&](const RigidTransform& pose) {
    std::size_t agreeing = 0;
    const double limit2 = kAgree * kAgree * spacing_mm * spacing_mm;
    for (const Match& match : matches) {
      const Eigen::Vector3d p = pose * source.points_mm[match.source].cast<double>();
      const Eigen::Vector3d normal = pose.linear() * source.normals[match.source].cast<double>();
      agreeing += (p - target.points_mm[match.target].cast<double>()).squaredNorm() <= limit2 &&
                  normal.dot(target.normals[match.target].cast<double>()) >= kMinNormalCosine;
    }
    return agreeing;
  };

  // A fixed seed: the draws are part of the method.
  std::mt19937_64 random(1);
  std::vector<Scored> best;
  for (int draw = 0; draw < kDraws; ++draw) {
    std::array<Match, 3> triple{};
    for (Match& match : triple) match = matches[random() % matches.size()];
    if (!keeps_distance(triple[0], triple[1]) || !keeps_distance(triple[1], triple[2]) ||
        !keeps_distance(triple[2], triple[0]))
      continue;
    const RigidTransform pose = from_triple(source, target, triple);
    const Scored scored{pose, count_agreeing(pose)};
    if (scored.agreeing < 4) continue;
    const auto same = std::find_if(best.begin(), best.end(), [&](const Scored& other) {
      return same_place(other.pose, pose, source, kDistinct * spacing_mm);
    });
    if (same != best.end()) {
      if (scored.agreeing > same->agreeing) *same = scored;
    } else if (best.size() < kCandidates || scored.agreeing > best.back().agreeing) {
      if (best.size() == kCandidates) best.pop_back();
      best.push_back(scored);
    } else {
      continue;
    }
    std::stable_sort(best.begin(), best.end(),
                     [](const Scored& a, const Scored& b) { return a.agreeing > b.agreeing; });
  }
  std::vector<RigidTransform> poses;
  for (const Scored& scored : best) poses.push_back(scored.pose);
  return poses;
}

}  // namespace cusp
