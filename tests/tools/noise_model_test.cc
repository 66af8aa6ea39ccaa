#include "tools/sim/noise_model.h"

#include <gtest/gtest.h>

#include <cmath>

namespace cusp::sim {
namespace {

// A wall that faces the camera.
DepthImage wall(const Intrinsics& camera, float depth_mm, float cos_incidence = 1.0F) {
  const auto pixels =
      static_cast<std::size_t>(camera.width_px) * static_cast<std::size_t>(camera.height_px);
  DepthImage image;
  image.intrinsics = camera;
  image.depth_mm.assign(pixels, depth_mm);
  image.cos_incidence.assign(pixels, cos_incidence);
  image.triangle.assign(pixels, 0);
  return image;
}

std::vector<std::uint16_t> measure(StereoNoise& noise, const DepthImage& image,
                                   std::uint64_t frame) {
  std::vector<std::uint16_t> z16(image.depth_mm.size());
  noise.measure(image, frame, z16);
  return z16;
}

struct Statistics {
  double mean_mm = 0, sigma_mm = 0, neighbour_correlation = 0, measured_share = 0;
};

Statistics statistics(const std::vector<std::uint16_t>& z16, int width, double unit_mm) {
  double sum = 0, squares = 0, products = 0;
  std::size_t count = 0, pairs = 0;
  for (const std::uint16_t z : z16)
    if (z != 0) {
      sum += z * unit_mm;
      ++count;
    }
  const double mean = sum / static_cast<double>(count);
  for (std::size_t i = 0; i < z16.size(); ++i) {
    if (z16[i] == 0) continue;
    const double off = z16[i] * unit_mm - mean;
    squares += off * off;
    if ((i + 1) % static_cast<std::size_t>(width) == 0 || z16[i + 1] == 0) continue;
    products += off * (z16[i + 1] * unit_mm - mean);
    ++pairs;
  }
  const double variance = squares / static_cast<double>(count);
  return {mean, std::sqrt(variance), products / static_cast<double>(pairs) / variance,
          static_cast<double>(count) / static_cast<double>(z16.size())};
}

TEST(StereoNoise, SpreadsAsTheFormulaSaysAtEveryDistance) {
  const Intrinsics camera = d405_intrinsics(848, 480);
  StereoNoiseOptions options;
  options.depth_unit_mm = 0.01;  // quantisation out of the way
  StereoNoise noise(options, camera);
  for (const double z : {75.0, 100.0, 150.0, 300.0}) {
    const double expected =
        z * z * options.disparity_sigma_px / (camera.fx_px * options.baseline_mm);
    EXPECT_NEAR(noise.sigma_mm(z), expected, 1e-12);
    const auto measured =
        statistics(measure(noise, wall(camera, static_cast<float>(z)), 3), camera.width_px, 0.01);
    EXPECT_NEAR(measured.sigma_mm, expected, 0.03 * expected) << "at " << z << " mm";
    EXPECT_NEAR(measured.mean_mm, z, 0.05 * expected);
  }
}

TEST(StereoNoise, IsSharedByNeighboursWithinAMatchingWindow) {
  const Intrinsics camera = d405_intrinsics(848, 480);
  StereoNoiseOptions options;
  options.depth_unit_mm = 0.01;
  StereoNoise correlated(options, camera);
  // A box of n pixels overlaps its neighbour's in n - 1 of n.
  EXPECT_NEAR(
      statistics(measure(correlated, wall(camera, 100), 0), 848, 0.01).neighbour_correlation, 0.8,
      0.03);
  options.window_px = 1;
  StereoNoise white(options, camera);
  EXPECT_NEAR(statistics(measure(white, wall(camera, 100), 0), 848, 0.01).neighbour_correlation,
              0.0, 0.02);
}

TEST(StereoNoise, GrowsWithIncidenceAndLosesGrazingPixels) {
  const Intrinsics camera = d405_intrinsics(424, 240);
  StereoNoiseOptions options;
  options.depth_unit_mm = 0.01;
  StereoNoise noise(options, camera);
  const auto at = [&](double degrees) {
    const auto cosine = static_cast<float>(std::cos(degrees * M_PI / 180));
    return measure(noise, wall(camera, 100, cosine), 1);
  };
  const Statistics straight = statistics(at(0), 424, 0.01), oblique = statistics(at(60), 424, 0.01);
  // theta^2 / (pi/2 - theta)^2 is 4 at 60 degrees.
  EXPECT_NEAR(oblique.sigma_mm / straight.sigma_mm, 1 + 4 * options.incidence_gain, 0.05);
  EXPECT_NEAR(statistics(at(76), 424, 0.01).measured_share / straight.measured_share, 0.5, 0.05);
  for (const std::uint16_t z : at(85)) EXPECT_EQ(z, 0);
}

TEST(StereoNoise, DependsOnSeedAndFrameAndOnNothingElse) {
  const Intrinsics camera = d405_intrinsics(424, 240);
  const DepthImage image = wall(camera, 100);
  StereoNoise first({}, camera);
  const auto frame_7 = measure(first, image, 7);
  const auto frame_8 = measure(first, image, 8);
  EXPECT_NE(frame_7, frame_8);

  StereoNoise second({}, camera);
  EXPECT_EQ(measure(second, image, 8), frame_8);  // without 7 before it
  EXPECT_EQ(measure(second, image, 7), frame_7);

  StereoNoiseOptions other;
  other.seed = 2;
  StereoNoise third(other, camera);
  EXPECT_NE(measure(third, image, 7), frame_7);
}

TEST(StereoNoise, CountsInDepthUnits) {
  const Intrinsics camera = d405_intrinsics(64, 64);
  std::vector<std::uint16_t> z16(64 * 64);
  quantise(wall(camera, 87.26F), 0.1, z16);
  for (const std::uint16_t z : z16) EXPECT_EQ(z, 873);
  quantise(wall(camera, 7000.0F), 0.1, z16);  // more than 16 bits hold
  for (const std::uint16_t z : z16) EXPECT_EQ(z, 65535);
  quantise(wall(camera, 0.0F), 0.1, z16);
  for (const std::uint16_t z : z16) EXPECT_EQ(z, 0);
}

TEST(StereoNoise, MeasuresNothingNearerThanTheResolutionAllows) {
  for (const auto& [width, height, published_mm] :
       {std::tuple{1280, 720, 100.0}, {848, 480, 70.0}, {640, 360, 55.0}, {480, 270, 45.0}}) {
    const Intrinsics camera = d405_intrinsics(width, height);
    StereoNoise noise({}, camera);
    EXPECT_NEAR(noise.least_depth_mm(), published_mm, 0.16 * published_mm) << width;
    const auto nearer = static_cast<float>(noise.least_depth_mm()) - 1;
    for (const std::uint16_t z : measure(noise, wall(camera, nearer), 0)) ASSERT_EQ(z, 0);
    EXPECT_GT(statistics(measure(noise, wall(camera, nearer + 2), 0), width, 0.1).measured_share,
              0.5);
  }
}

TEST(StereoNoise, LosesTheStripThatTheRightImagerCannotSee) {
  const Intrinsics camera = d405_intrinsics(848, 480);
  StereoNoise noise({}, camera);
  const auto z16 = measure(noise, wall(camera, 100), 0);
  const int strip = static_cast<int>(camera.fx_px * 18.0 / 100);  // the disparity
  for (int x = 0; x < camera.width_px; ++x)
    EXPECT_EQ(z16[static_cast<std::size_t>(240 * 848 + x)] != 0, x > strip) << x;
}

TEST(StereoNoise, LosesOrSmearsPixelsAtAStepAndShadowsBehindIt) {
  const Intrinsics camera = d405_intrinsics(848, 480);
  DepthImage image = wall(camera, 110);
  constexpr int kStep = 500;  // right of it a nearer wall
  for (int y = 0; y < 480; ++y)
    for (int x = kStep; x < 848; ++x) image.depth_mm[static_cast<std::size_t>(y * 848 + x)] = 90;
  StereoNoise noise({}, camera);
  const auto z16 = measure(noise, image, 0);
  // What the near wall hides from the right imager: the difference of the disparities.
  const int shadow = static_cast<int>(camera.fx_px * 18 / 90 - camera.fx_px * 18 / 110);
  int lost = 0, smeared = 0, true_to_one = 0;
  for (int y = 10; y < 470; ++y) {
    for (int x = kStep - shadow + 1; x < kStep; ++x)
      EXPECT_EQ(z16[static_cast<std::size_t>(y * 848 + x)], 0);
    const double z = z16[static_cast<std::size_t>(y * 848 + kStep)] * 0.1;
    if (z == 0)
      ++lost;
    else if (z > 91 && z < 109)
      ++smeared;
    else
      ++true_to_one;
  }
  EXPECT_NEAR(lost, 0.75 * 460, 40);
  EXPECT_GT(smeared, 50);
  EXPECT_LT(true_to_one, 30);
}

}  // namespace
}  // namespace cusp::sim
