#include "tools/sim/tremor.h"

#include <cmath>
#include <numbers>
#include <random>

namespace cusp::sim {
namespace {

// Amplitudes at 1 Hz; they fall with the frequency, so that each band adds the same speed.
constexpr double kMmPerUnit = 0.15;
constexpr double kRadPerUnit = 0.10 * (std::numbers::pi / 180);
constexpr std::array<double, 5> kBandsHz = {0.7, 1.5, 3.0, 6.0, 9.0};

}  // namespace

Tremor::Tremor(std::uint64_t seed, double scale) {
  std::mt19937_64 random(seed);
  const auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  for (auto& axis : axes_)
    for (std::size_t i = 0; i < kWaves; ++i) {
      const double low = kBandsHz[i], high = kBandsHz[i + 1];
      const double hertz = low + (high - low) * uniform();
      axis[i] = {2 * std::numbers::pi * hertz, 2 * std::numbers::pi * uniform(), scale / hertz};
    }
}

RigidTransform Tremor::at(double seconds) const {
  Eigen::Matrix<double, 6, 1> sway;
  for (std::size_t i = 0; i < 6; ++i) {
    double sum = 0;
    for (const Wave& wave : axes_[i])
      sum += wave.amplitude * std::sin(wave.rate * seconds + wave.phase);
    sway[static_cast<Eigen::Index>(i)] = sum;
  }
  const Eigen::Vector3d turn = kRadPerUnit * sway.tail<3>();
  RigidTransform motion = RigidTransform::Identity();
  motion.translation() = kMmPerUnit * sway.head<3>();
  if (turn.norm() > 1e-12)
    motion.linear() = Eigen::AngleAxisd(turn.norm(), turn.normalized()).toRotationMatrix();
  return motion;
}

}  // namespace cusp::sim
