#include "tools/sim/sensor_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tools/sim/random.h"

namespace cusp::sim {
namespace {

constexpr int kWidth = 160, kHeight = 120;
constexpr std::size_t kPixels = std::size_t{kWidth} * kHeight;

struct Moments {
  double mean = 0, variance = 0;
};

Moments moments(const std::vector<double>& values) {
  Moments result;
  for (const double value : values) result.mean += value / static_cast<double>(values.size());
  for (const double value : values)
    result.variance +=
        (value - result.mean) * (value - result.mean) / static_cast<double>(values.size() - 1);
  return result;
}

std::vector<std::uint8_t> exposed(const SensorModel& sensor, float light, std::uint64_t frame,
                                  std::uint64_t lane = 0) {
  const std::vector<float> even(kPixels, light);
  std::vector<std::uint8_t> counts(kPixels);
  sensor.expose(even, frame, lane, counts);
  return counts;
}

// Mean of two frames, and their variance by the difference, which leaves out what a pixel owns:
// EMVA 1288, section 6.6.
Moments temporal(const SensorModel& sensor, float light) {
  const std::vector<std::uint8_t> a = exposed(sensor, light, 1), b = exposed(sensor, light, 2);
  std::vector<double> difference;
  double mean = 0;
  for (std::size_t i = 0; i < kPixels; ++i) {
    difference.push_back(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    mean += 0.5 * (a[i] + b[i]) / static_cast<double>(kPixels);
  }
  return {mean, 0.5 * moments(difference).variance};
}

TEST(SensorModel, HasThePhotonTransferCurveOfEmva1288) {
  const SensorNoise noise;
  const SensorModel sensor(noise, 1.0, kWidth, kHeight, 1);
  const double gain = (255 - noise.black_level) / noise.full_well_e;
  const double dark = gain * gain * noise.dark_e * noise.dark_e + 1.0 / 12;
  for (const float light : {0.1F, 0.25F, 0.5F, 0.8F}) {
    const Moments seen = temporal(sensor, light);
    EXPECT_NEAR(seen.mean, noise.black_level + (255 - noise.black_level) * light, 0.5);
    const double shot = gain * (seen.mean - noise.black_level);
    EXPECT_NEAR(seen.variance, shot + dark, 0.04 * (shot + dark)) << light;
  }
}

TEST(SensorModel, HasPixelsThatDifferAlwaysAlike) {
  SensorNoise noise;
  noise.dark_e = 0;
  noise.dsnu_e = 0;
  noise.prnu = 0.02;
  const SensorModel sensor(noise, 1.0, kWidth, kHeight, 1);
  // The mean of many frames keeps what the pixels own.
  constexpr int kFrames = 64;
  std::vector<double> mean(kPixels, 0.0), first_half(kPixels, 0.0);
  for (int frame = 0; frame < kFrames; ++frame) {
    const auto counts = exposed(sensor, 0.5F, static_cast<std::uint64_t>(frame));
    for (std::size_t i = 0; i < kPixels; ++i) {
      mean[i] += static_cast<double>(counts[i]) / kFrames;
      if (frame < kFrames / 2) first_half[i] += static_cast<double>(counts[i]) / (kFrames / 2);
    }
  }
  const Moments seen = moments(mean);
  const double shot =
      (255 - noise.black_level) / noise.full_well_e * (seen.mean - noise.black_level) / kFrames;
  const double expected = std::pow(0.02 * (seen.mean - noise.black_level), 2) + shot;
  EXPECT_NEAR(seen.variance, expected, 0.05 * expected);
  double together = 0;
  const Moments half = moments(first_half);
  for (std::size_t i = 0; i < kPixels; ++i)
    together += (first_half[i] - half.mean) * (mean[i] - seen.mean) / static_cast<double>(kPixels);
  EXPECT_GT(together / std::sqrt(half.variance * seen.variance), 0.95);
}

TEST(SensorModel, SaturatesAtItsFullWellWithoutNoise) {
  const SensorModel sensor(SensorNoise{}, 1.0, kWidth, kHeight, 1);
  EXPECT_EQ(exposed(sensor, 3.0F, 1), std::vector<std::uint8_t>(kPixels, 255));
  const auto dark = exposed(sensor, 0.0F, 1);
  EXPECT_EQ(*std::min_element(dark.begin(), dark.end()), 1);  // the black level keeps it off 0
}

TEST(SensorModel, RoundsLightToCountsAndNothingElseWithoutNoise) {
  const SensorModel sensor(std::nullopt, 2.0, kWidth, kHeight, 1);
  EXPECT_EQ(exposed(sensor, 0.25F, 1), std::vector<std::uint8_t>(kPixels, 128));
  EXPECT_EQ(exposed(sensor, 0.25F, 1), exposed(sensor, 0.25F, 99));
  EXPECT_EQ(exposed(sensor, 9.0F, 1), std::vector<std::uint8_t>(kPixels, 255));
}

TEST(SensorModel, DrawsAnewForEachFrameAndLaneAndTheSameForTheSame) {
  const SensorModel one(SensorNoise{}, 1.0, kWidth, kHeight, 1),
      again(SensorNoise{}, 1.0, kWidth, kHeight, 1), other(SensorNoise{}, 1.0, kWidth, kHeight, 2);
  EXPECT_EQ(exposed(one, 0.5F, 7), exposed(again, 0.5F, 7));
  EXPECT_NE(exposed(one, 0.5F, 7), exposed(one, 0.5F, 8));
  EXPECT_NE(exposed(one, 0.5F, 7, 0), exposed(one, 0.5F, 7, 1));
  EXPECT_NE(exposed(one, 0.5F, 7), exposed(other, 0.5F, 7));
}

TEST(NormalQuantiles, AreANormalVariableOfUnitVariance) {
  double mean = 0, variance = 0, beyond_one = 0;
  for (const float value : normal_quantiles()) {
    mean += value / kQuantiles;
    variance += value * value / kQuantiles;
    beyond_one += std::abs(value) > 1 ? 1.0 / kQuantiles : 0;
  }
  EXPECT_NEAR(mean, 0, 1e-6);
  EXPECT_NEAR(variance, 1, 1e-6);
  EXPECT_NEAR(beyond_one, 0.3173, 0.002);
}

}  // namespace
}  // namespace cusp::sim
