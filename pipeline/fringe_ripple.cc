#include "pipeline/fringe_ripple.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <numbers>

namespace cusp {
namespace {

constexpr std::size_t kStep = 8;      // rows and columns from sample to sample
constexpr std::size_t kEnough = 200;  // samples
constexpr int kRounds = 3;
constexpr double kMemory = 0.05;  // share of a sequence in the harmonic
constexpr float kTurn = 2 * std::numbers::pi_v<float>;
// Standard deviations before anything is seen: counts of an offset, radians of a harmonic, columns
// (as a share of the finer pitch) that motion puts between two pitches.
constexpr double kOffsetPrior = 5, kHarmonicPrior = 0.1, kMotionPrior = 0.2;
// What is neither noise nor in the model: a share of the finer pitch.
constexpr float kUnmodelled = 0.04F;

constexpr int kUnknowns = 9;
using Unknowns = Eigen::Matrix<double, kUnknowns, 1>;
using Row = Eigen::Matrix<float, kUnknowns, 1>;
using Normal = Eigen::Matrix<double, kUnknowns, kUnknowns>;

}  // namespace

void FringeRipple::look(const Pictures& pictures, const std::vector<FringeRays>& rays,
                        const FringeGates& gates, const std::vector<FringePitch>& pitches) {
  const std::size_t eights = (pictures.width + kFringeLanes - 1) / kFringeLanes;
  waves_.clear();
  for (std::size_t y = kStep / 2; y < pictures.height; y += kStep)
    for (std::size_t x = y / kStep * 3 % kStep; x < pictures.width; x += kStep) {
      const FringeRays& ray = rays[y * eights + x / kFringeLanes];
      const std::size_t lane = x % kFringeLanes;
      const float middle = ray.middle_px[lane];
      const std::uint8_t* const pixel = pictures.first + y * pictures.row_stride + x;
      float column = middle;
      const std::size_t before = waves_.size();
      bool good = ray.reach_px[lane] >= 0;
      for (std::size_t r = 0; good && r < pitches.size(); ++r) {
        const FringePitch& pitch = pitches[r];
        int cosine = 0, sine = 0, light = 0, brightest = 0;
        for (const FringePair& pair : pitch.pairs)
          for (std::size_t i = 0; i < 2; ++i) {
            const int value = pixel[pair.pictures[i] * pictures.picture_stride];
            cosine += pair.cosine[i] * value;
            sine += pair.sine[i] * value;
            light += pair.light[i] * value;
            brightest = std::max(brightest, value);
          }
        const float c = static_cast<float>(cosine) * pitch.per_weight;
        const float s = static_cast<float>(sine) * pitch.per_weight;
        const float modulation = std::sqrt(c * c + s * s);
        good = modulation >= gates.min_modulation && brightest < gates.saturated_from;
        if (!good) break;
        const float phase = std::atan2(s, c);
        const float part = phase / kTurn;
        const float order = std::round(column / pitch.pitch_px - part);
        column = (order + part) * pitch.pitch_px;
        good = r > 0 || std::abs(column - middle) <= ray.reach_px[lane];
        const float noise = std::sqrt(gates.read_noise * gates.read_noise +
                                      gates.shot_noise * static_cast<float>(light) /
                                          static_cast<float>(pitch.pictures));
        waves_.push_back(
            {.cosine = c / modulation,
             .sine = s / modulation,
             .per_modulation = 1 / modulation,
             .sine_n = pitch.bend.order > 0 ? std::sin(static_cast<float>(pitch.bend.order) * phase)
                                            : 0.0F,
             .column_px = column,
             .sigma_px = pitch.phase_noise * noise / modulation * pitch.pitch_px / kTurn});
      }
      if (!good) waves_.resize(before);
    }
}

void FringeRipple::find(const Pictures& pictures, const std::vector<FringeRays>& rays,
                        const FringeGates& gates, std::vector<FringePitch>& pitches) {
  const std::size_t count = pitches.size();
  for (FringePitch& pitch : pitches) pitch.bend.cosine = pitch.bend.sine = 0;
  if (count < 2) return;
  harmonics_.resize(count);
  look(pictures, rays, gates, pitches);
  if (waves_.size() < kEnough * count) return;
  const double memory = std::max(kMemory, 1.0 / (1 + sequences_++));
  for (std::size_t r = count - 1; r > 0; --r) {
    FringePitch& coarse = pitches[r - 1];
    FringePitch& fine = pitches[r];
    const float per_coarse = coarse.pitch_px / kTurn, per_fine = fine.pitch_px / kTurn;
    const double motion = kMotionPrior * fine.pitch_px;
    Unknowns prior;
    prior << motion, kOffsetPrior, kOffsetPrior, kHarmonicPrior, motion, motion, kOffsetPrior,
        kOffsetPrior, kHarmonicPrior;
    Unknowns found = Unknowns::Zero();
    for (int round = 0; round < kRounds; ++round) {
      Normal normal = prior.cwiseAbs2().cwiseInverse().asDiagonal();
      Unknowns right = Unknowns::Zero();
      const Row before = found.cast<float>();
      for (std::size_t i = 0; i < waves_.size(); i += count) {
        const Wave& c = waves_[i + r - 1];
        const Wave& f = waves_[i + r];
        Row row;
        row << 1, -per_coarse * c.per_modulation * c.cosine, per_coarse * c.per_modulation * c.sine,
            -per_coarse * c.sine_n, c.cosine * c.cosine - c.sine * c.sine, 2 * c.cosine * c.sine,
            per_fine * f.per_modulation * f.cosine, -per_fine * f.per_modulation * f.sine,
            per_fine * f.sine_n;
        float apart = f.column_px - c.column_px;
        // Which fringe it is, by what is known of the coarser pitch now.
        const float expected = before.dot(row);
        apart -= fine.pitch_px * std::round((apart - expected) / fine.pitch_px);
        const float sigma2 = c.sigma_px * c.sigma_px + f.sigma_px * f.sigma_px +
                             kUnmodelled * kUnmodelled * fine.pitch_px * fine.pitch_px;
        const float miss = apart - expected;
        const float doubt = 1 + miss * miss / (4 * sigma2);
        const float weight = 1 / (sigma2 * doubt * doubt);
        normal.noalias() += (weight * row * row.transpose()).cast<double>();
        right += (weight * apart * row).cast<double>();
      }
      found = normal.ldlt().solve(right);
    }
    const auto learn = [&](FringePitch& pitch, std::size_t which, int at) {
      pitch.bend.sine = static_cast<float>(found[at]);
      pitch.bend.cosine = static_cast<float>(found[at + 1]);
      harmonics_[which] += memory * (found[at + 2] - harmonics_[which]);
      pitch.bend.harmonic = static_cast<float>(harmonics_[which]) / kTurn;
    };
    learn(fine, r, 6);
    if (r == 1) learn(coarse, 0, 1);
  }
}

}  // namespace cusp
