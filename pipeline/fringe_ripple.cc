#include "pipeline/fringe_ripple.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <numbers>

namespace cusp {
namespace {

// Between samples: rows, and eights of a row.
constexpr std::size_t kRows = 16, kEights = 2;
constexpr std::size_t kEnough = 200;  // samples
constexpr int kRounds = 3;
constexpr std::size_t kWavesAChunk = 16;
constexpr double kMemory = 0.05;  // share of a sequence in the harmonic
constexpr float kTurn = 2 * std::numbers::pi_v<float>;
// Standard deviations before anything is seen: counts of an offset, radians of a harmonic, columns
// (as a share of the finer pitch) that motion puts between two pitches.
constexpr double kOffsetPrior = 5, kHarmonicPrior = 0.1, kMotionPrior = 0.2;
// What is neither noise nor in the model: a share of the finer pitch.
constexpr float kUnmodelled = 0.04F;

using Eight = Eigen::Map<const Eigen::Array<float, kFringeLanes, 1>>;
Eight lanes(const FringeWaves::Lanes& from) { return Eight(from.data()); }

}  // namespace

std::size_t FringeRipple::look(const Pictures& pictures, const std::vector<FringeRays>& rays,
                               const FringeGates& gates, const std::vector<FringePitch>& pitches,
                               WorkerPool& pool) {
  const std::size_t eights = (pictures.width + kFringeLanes - 1) / kFringeLanes;
  rows_.resize((pictures.height + kRows / 2 - 1) / kRows);
  pool.for_chunks(rows_.size(), 1, [&](std::size_t begin, std::size_t end) {
    std::vector<const std::uint8_t*> row(pictures.of_pattern.size());
    for (std::size_t n = begin; n < end; ++n) {
      const std::size_t y = kRows / 2 + n * kRows;
      for (std::size_t k = 0; k < row.size(); ++k)
        row[k] = pictures.of_pattern[k] + y * pictures.width;
      std::vector<FringeWaves>& seen = rows_[n];
      seen.clear();
      for (std::size_t i = n % kEights; i < eights; i += kEights) {
        const std::size_t before = seen.size();
        seen.resize(before + pitches.size());
        if (!kernel_.sample(pitches, row.data(), rays[y * eights + i], i * kFringeLanes, gates,
                            seen.data() + before))
          seen.resize(before);
      }
    }
  });
  std::size_t found = 0;
  seen_.clear();
  for (const std::vector<FringeWaves>& row : rows_)
    for (std::size_t i = 0; i < row.size(); i += pitches.size()) {
      for (std::size_t r = 0; r < pitches.size(); ++r) seen_.push_back(&row[i + r]);
      found += static_cast<std::size_t>((lanes(seen_.back()->per_variance) > 0).count());
    }
  return found;
}

void FringeRipple::compare(std::size_t r, const std::vector<FringePitch>& pitches) {
  const std::size_t count = pitches.size();
  const float per_coarse = pitches[r - 1].pitch_px / kTurn, per_fine = pitches[r].pitch_px / kTurn;
  const float unmodelled = kUnmodelled * pitches[r].pitch_px;
  constexpr auto kEight = static_cast<Eigen::Index>(kFringeLanes);
  const std::size_t samples = seen_.size() / count;
  waves_.resize((samples * kFringeLanes + kTogether - 1) / kTogether);
  if (!waves_.empty()) waves_.back() = {};  // the rest is written
  for (std::size_t i = 0; i < samples; ++i) {
    Waves& waves = waves_[i * kFringeLanes / kTogether];
    const auto at = static_cast<Eigen::Index>(i * kFringeLanes % kTogether);
    const FringeWaves& coarse = *seen_[i * count + r - 1];
    const FringeWaves& fine = *seen_[i * count + r];
    const Eight c = lanes(coarse.cosine), s = lanes(coarse.sine);
    auto row = waves.rows.middleRows<kEight>(at).array();
    row.col(0) = 1;
    row.col(1) = -per_coarse * lanes(coarse.per_modulation) * c;
    row.col(2) = per_coarse * lanes(coarse.per_modulation) * s;
    row.col(3) = -per_coarse * lanes(coarse.sine_of_order);
    row.col(4) = c * c - s * s;
    row.col(5) = 2 * c * s;
    row.col(6) = per_fine * lanes(fine.per_modulation) * lanes(fine.cosine);
    row.col(7) = -per_fine * lanes(fine.per_modulation) * lanes(fine.sine);
    row.col(8) = per_fine * lanes(fine.sine_of_order);
    waves.apart_px.segment<kEight>(at) = lanes(fine.column_px) - lanes(coarse.column_px);
    // Of lanes that are measured under every pitch.
    waves.per_variance.segment<kEight>(at) =
        (lanes(seen_[i * count + count - 1]->per_variance) > 0)
            .select(1 / (lanes(coarse.per_variance).inverse() + lanes(fine.per_variance).inverse() +
                         unmodelled * unmodelled),
                    0);
  }
}

FringeRipple::Unknowns FringeRipple::solve(const Unknowns& prior, float fine_pitch_px,
                                           WorkerPool& pool) const {
  struct Sums {
    Eigen::Matrix<double, kUnknowns, kUnknowns> normal =
        Eigen::Matrix<double, kUnknowns, kUnknowns>::Zero();
    Unknowns right = Unknowns::Zero();
    Sums& operator+=(const Sums& other) {
      normal += other.normal;
      right += other.right;
      return *this;
    }
  };
  Unknowns found = Unknowns::Zero();
  for (int round = 0; round < kRounds; ++round) {
    const Eigen::Matrix<float, kUnknowns, 1> before = found.cast<float>();
    const auto add_up = [&](std::size_t begin, std::size_t end) {
      Sums sums;
      for (std::size_t n = begin; n < end; ++n) {
        const Waves& waves = waves_[n];
        // Which fringe it is, by what is known of the coarser pitch now. No product in blocks,
        // whose size would be another on another processor.
        const Eigen::Array<float, kTogether, 1> expected = waves.rows.lazyProduct(before);
        const Eigen::Array<float, kTogether, 1> apart =
            waves.apart_px - fine_pitch_px * ((waves.apart_px - expected) / fine_pitch_px).round();
        const Eigen::Array<float, kTogether, 1> doubt =
            1 + (apart - expected).square() * 0.25F * waves.per_variance;
        const Eigen::Array<float, kTogether, 1> weight = waves.per_variance / doubt.square();
        const Eigen::Matrix<float, kTogether, kUnknowns> weighted =
            waves.rows.array().colwise() * weight;
        for (int i = 0; i < kUnknowns; ++i)
          for (int j = 0; j <= i; ++j)  // the rest is the same
            sums.normal(i, j) += waves.rows.col(i).dot(weighted.col(j));
        sums.right += weighted.transpose().lazyProduct(apart.matrix()).cast<double>();
      }
      return sums;
    };
    const Sums sums = sum_chunks(pool, waves_.size(), kWavesAChunk, Sums{}, add_up);
    Eigen::Matrix<double, kUnknowns, kUnknowns> normal = sums.normal;
    normal.diagonal() += prior.cwiseAbs2().cwiseInverse();
    found = normal.ldlt().solve(sums.right);
  }
  return found;
}

void FringeRipple::find(const Pictures& pictures, const std::vector<FringeRays>& rays,
                        const FringeGates& gates, std::vector<FringePitch>& pitches,
                        WorkerPool& pool) {
  const std::size_t count = pitches.size();
  for (FringePitch& pitch : pitches) pitch.bend.cosine = pitch.bend.sine = 0;
  if (count < 2) return;
  harmonics_.resize(count);
  if (look(pictures, rays, gates, pitches, pool) < kEnough) return;
  const double memory = std::max(kMemory, 1.0 / (1 + sequences_++));
  for (std::size_t r = count - 1; r > 0; --r) {
    const double motion = kMotionPrior * pitches[r].pitch_px;
    Unknowns prior;
    prior << motion, kOffsetPrior, kOffsetPrior, kHarmonicPrior, motion, motion, kOffsetPrior,
        kOffsetPrior, kHarmonicPrior;
    compare(r, pitches);
    const Unknowns found = solve(prior, pitches[r].pitch_px, pool);
    const auto learn = [&](std::size_t which, int at) {
      FringePitch& pitch = pitches[which];
      pitch.bend.sine = static_cast<float>(found[at]);
      pitch.bend.cosine = static_cast<float>(found[at + 1]);
      harmonics_[which] += memory * (found[at + 2] - harmonics_[which]);
      pitch.bend.harmonic = static_cast<float>(harmonics_[which]) / kTurn;
    };
    learn(r, 6);
    if (r == 1) learn(0, 1);
  }
}

}  // namespace cusp
