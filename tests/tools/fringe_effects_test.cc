#include "tools/sim/fringe_effects.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/tools/fringe_fixture.h"
#include "tools/sim/fringe_shading.h"

namespace cusp::sim {
namespace {

using fringe_decode::Fit;
using fringe_decode::Triangulation;

TEST(FringeEffects, EachChangesThePictureAndOffRestoresItBitForBit) {
  const Mesh mesh = bumps();
  const FringeShot shot{.scene_from_sensor = above(12), .frame = 3, .time_s = 2.25};
  FringeRenderer plain = make(mesh, FringeEffects::none(), Tissue::kEnamel);
  const std::vector<std::uint8_t> expected = picture(plain, shot);
  // Soft tissue is a matter of the scene, which hands its ellipsoids to the renderer.
  for (const std::string name : {"projector_blur", "projector_gamma", "vignetting", "camera_blur",
                                 "speculars", "translucency", "fog", "ambient", "sensor_noise"}) {
    FringeRenderer with = make(mesh, only(name), Tissue::kEnamel);
    EXPECT_NE(picture(with, shot), expected) << name;
    FringeRenderer off =
        make(mesh, parse_effects("none,+" + name + ",-" + name).value(), Tissue::kEnamel);
    EXPECT_EQ(picture(off, shot), expected) << name;
  }
}

TEST(FringeEffects, AreNamedOrRefused) {
  EXPECT_TRUE(parse_effects("all")->fog.has_value());
  EXPECT_FALSE(parse_effects("all,-fog")->fog.has_value());
  EXPECT_TRUE(parse_effects("default,+soft_tissue")->soft_tissue.has_value());
  EXPECT_FALSE(parse_effects("none")->sensor_noise.has_value());
  for (const std::string text : {"", "fog", "default,fog", "default,+mist", "default,+"}) {
    const auto effects = parse_effects(text);
    ASSERT_FALSE(effects.ok()) << text;
    EXPECT_EQ(effects.error().code, ErrorCode::kInvalidArgument) << text;
  }
}

TEST(FringeEffects, ProjectorBlurTakesTheContrastOfItsPointSpread) {
  const Mesh mesh = shapes::plane(20, 2);
  FringeEffects effects = only("projector_blur");
  effects.projector_blur->sigma_px = 3;
  effects.projector_blur->aperture_mm = 0;
  const FringeShot shot{.scene_from_sensor = above(15)};
  FringeRenderer plain = make(mesh, FringeEffects::none()), blurred = make(mesh, effects);
  const double variance = 3 * 3 + 1.0 / 12;  // the lens, and a pixel's width
  const double expected = std::exp(-2 * kPi * kPi * variance / (24 * 24));
  const double sharp = middle_swing(fringe_decode::fits(plain, shot));
  EXPECT_NEAR(middle_swing(fringe_decode::fits(blurred, shot)) / sharp, expected, 0.01);

  // Out of focus: the circle of confusion of a thin lens, sigma a quarter of its diameter.
  effects.projector_blur->sigma_px = 0;
  effects.projector_blur->aperture_mm = 0.6;
  FringeRenderer defocused = make(mesh, effects);
  const FringeShot near{.scene_from_sensor = above(10)};
  const double depth_mm = 10 * 15 / std::hypot(5.5, 15.0) + 5.5 * 5.5 / std::hypot(5.5, 15.0);
  const double sigma = 620 * 0.6 / 4 * (1 / depth_mm - 1.0 / 15);
  const double lost = std::exp(-2 * kPi * kPi * (sigma * sigma + 1.0 / 12) / (24 * 24));
  const double near_sharp = middle_swing(fringe_decode::fits(plain, near));
  EXPECT_NEAR(middle_swing(fringe_decode::fits(defocused, near)) / near_sharp, lost, 0.01);
  EXPECT_LT(lost, 0.95);
}

TEST(FringeEffects, GammaLowersTheMeanAsItsSeriesSays) {
  const Mesh mesh = shapes::plane(20, 2);
  FringeEffects effects = only("projector_gamma");
  effects.projector_gamma->exponent = 2;  // ((1 + c) / 2)^2 = 3/8 + c/2 + cos(2 phase)/8
  const FringeShot shot{.scene_from_sensor = above(15)};
  FringeRenderer plain = make(mesh, FringeEffects::none()), curved = make(mesh, effects);
  const double ratio = middle_mean(fringe_decode::fits(curved, shot)) /
                       middle_mean(fringe_decode::fits(plain, shot));
  EXPECT_NEAR(ratio, 0.75, 0.01);
}

TEST(FringeEffects, VignettingFallsWithTheFourthPowerOfTheCosine) {
  const Mesh mesh = shapes::plane(40, 2);
  FringeEffects effects = only("vignetting");
  effects.vignetting->projector = false;
  const FringeShot shot{.scene_from_sensor = above(15)};
  FringeRenderer plain = make(mesh, FringeEffects::none()), dark = make(mesh, effects);
  const std::vector<Fit> before = fringe_decode::fits(plain, shot, 3);
  const std::vector<Fit> after = fringe_decode::fits(dark, shot, 3);
  for (const auto& [x, y] : {std::pair{160, 120}, {300, 120}, {300, 220}}) {
    const double tangent2 =
        (std::pow(x - 159.5, 2) + std::pow(y - 119.5, 2)) / (kFocalPx * kFocalPx);
    EXPECT_NEAR(after[at(x, y)].mean / before[at(x, y)].mean, 1 / std::pow(1 + tangent2, 2), 0.01);
  }
}

// Distance, incidence and pupil together: a projector lights a plane across its axis by cos^4.
TEST(FringeEffects, AProjectorLightsAPlaneAcrossItsAxisByTheFourthPowerOfTheCosine) {
  Calibration calibration = small_wand();
  calibration.fringe->projector_from_camera.linear().setIdentity();
  FringeEffects effects = only("vignetting");
  effects.vignetting->camera = false;
  const auto camera = FringeCamera::create(shapes::plane(40, 2), {Tissue::kStone, {}}, calibration);
  ASSERT_TRUE(camera.ok());
  FringeView view;
  camera->look(above(15), {}, view);
  FringeShading shading(*camera, effects);
  shading.prepare(view);
  // Three steps of one pitch add up to even light.
  std::vector<float> sum(view.depth_mm.size(), 0.0F), light(sum.size());
  for (std::size_t step = 0; step < 3; ++step) {
    shading.fringe(view,
                   FringePattern(calibration.fringe->patterns[step],
                                 calibration.fringe->projector.width_px, effects),
                   light);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += light[i];
  }
  const auto projector = camera->projector_mm();
  const auto cosine4 = [&](std::size_t i) {
    const auto& ray = camera->rays()[i];
    const Eigen::Vector3f way = view.depth_mm[i] * Eigen::Vector3f(ray.x(), ray.y(), 1) - projector;
    return std::pow(way.z() / way.norm(), 4);
  };
  double darkest = 1, brightest = 0;
  for (int y = 10; y < 240; y += 20)
    for (int x = 10; x < 320; x += 20) {
      const std::size_t i = at(x, y);
      if (view.irradiance[i] <= 0) continue;
      const double factor = sum[i] / cosine4(i);
      darkest = std::min(darkest, cosine4(i));
      brightest = std::max(brightest, cosine4(i));
      EXPECT_NEAR(factor / (sum[at(kMiddleX, kMiddleY)] / cosine4(at(kMiddleX, kMiddleY))), 1, 0.01)
          << x << " " << y;
    }
  EXPECT_LT(darkest, 0.8 * brightest);
}

TEST(FringeEffects, CameraBlurTakesContrastByDepth) {
  const Mesh mesh = shapes::plane(20, 2);
  FringeEffects effects = only("camera_blur");
  effects.camera_blur->sigma_px = 0.8;
  effects.camera_blur->aperture_mm = 0.8;
  FringeRenderer plain = make(mesh, FringeEffects::none()), blurred = make(mesh, effects);
  const Calibration calibration = small_wand();
  const Triangulation triangulation(calibration);
  for (const double depth_mm : {15.0, 11.0}) {
    const FringeShot shot{.scene_from_sensor = above(depth_mm)};
    const double columns_px =
        triangulation.column(at(161, 120), depth_mm) - triangulation.column(at(160, 120), depth_mm);
    const double period_px = 24 / std::abs(columns_px);
    const double sigma = std::hypot(0.8, kFocalPx * 0.8 / 4 * std::abs(1 / depth_mm - 1.0 / 15));
    const double expected = std::exp(-2 * std::pow(kPi * sigma / period_px, 2));
    const double ratio = middle_swing(fringe_decode::fits(blurred, shot)) /
                         middle_swing(fringe_decode::fits(plain, shot));
    EXPECT_NEAR(ratio, expected, 0.02) << depth_mm;
  }
}

TEST(FringeEffects, SpecularsAreWhereWetTissueMirrorsTheProjector) {
  const Mesh mesh = shapes::plane(20, 2);
  const FringeShot shot{.scene_from_sensor = above(15)};
  FringeEffects effects = only("speculars");
  FringeRenderer plain = make(mesh, FringeEffects::none(), Tissue::kGingiva),
                 wet = make(mesh, effects, Tissue::kGingiva);
  const std::vector<Fit> before = fringe_decode::fits(plain, shot, 3);
  const std::vector<Fit> after = fringe_decode::fits(wet, shot, 3);
  int brightest = 0;
  double most = 0;
  for (int x = 0; x < 320; ++x)
    if (const double gain = after[at(x, 120)].mean - before[at(x, 120)].mean; gain > most) {
      most = gain;
      brightest = x;
    }
  EXPECT_GT(most, 20);
  // Half way to the projector: x = 2.75 mm.
  EXPECT_NEAR(brightest, 159.5 + kFocalPx * 2.75 / 15, 5);
  EXPECT_LT(after[at(20, 120)].mean - before[at(20, 120)].mean, 2);

  FringeRenderer dry = make(mesh, effects), dry_plain = make(mesh, FringeEffects::none());
  EXPECT_EQ(picture(dry, shot), picture(dry_plain, shot));  // stone has no film of saliva
}

TEST(FringeEffects, TranslucencyTakesContrastAndMovesFringesAwayFromTheProjector) {
  const Mesh mesh = shapes::plane(20, 2);
  const FringeShot shot{.scene_from_sensor = above(15)};
  FringeRenderer plain = make(mesh, FringeEffects::none(), Tissue::kEnamel),
                 deep = make(mesh, only("translucency"), Tissue::kEnamel);
  const Triangulation triangulation(small_wand());
  const TissueOptics& enamel = optics_of(Tissue::kEnamel);
  for (const auto& [first, pitch] : {std::pair{0, 24.0}, {3, 240.0}}) {
    const std::vector<Fit> before = fringe_decode::fits(plain, shot, first);
    const std::vector<Fit> after = fringe_decode::fits(deep, shot, first);
    // Light that comes back from along a slanted beam, summed step by step, at the picture's
    // middle.
    const double angle = std::asin(std::sin(std::atan2(5.5, 15.0)) / enamel.refractive_index);
    const double px_mm =
        (triangulation.column(at(160, 120), 15) - triangulation.column(at(159, 120), 15)) *
        kFocalPx / 15;
    const double wave = 2 * kPi * px_mm / pitch;  // rad / mm along x
    const double mu_a = enamel.absorption_per_mm, mu_t = mu_a + enamel.reduced_scattering_per_mm;
    const auto sum = [&](double k) {
      const double decay = std::sqrt(3 * mu_a * mu_t + k * k);
      const double n = enamel.refractive_index;
      const double reflected = 0.0636 * n + 0.668 + 0.71 / n - 1.44 / (n * n);
      const double edge = 3 * (1 - reflected) / (2 * (1 + reflected));
      double real = 0, imaginary = 0;
      constexpr double kStep = 2e-4;
      for (double s = 0.5 * kStep; s < 12 / mu_t; s += kStep) {
        const double weight = kStep * mu_t * std::exp(-mu_t * s - decay * s * std::cos(angle));
        real += weight * std::cos(k * s * std::sin(angle));
        imaginary += weight * std::sin(k * s * std::sin(angle));
      }
      return std::pair{real / (decay / mu_t + edge), imaginary / (decay / mu_t + edge)};
    };
    const double share = enamel.surface_share, all = sum(0).first;
    const double real = share + (1 - share) * sum(wave).first / all;
    const double imaginary = (1 - share) * sum(wave).second / all;
    EXPECT_NEAR(after[at(160, 120)].swing / before[at(160, 120)].swing, std::hypot(real, imaginary),
                0.02)
        << pitch;
    EXPECT_NEAR(after[at(160, 120)].mean / before[at(160, 120)].mean, 1, 0.02) << pitch;
    // The phase seen is that of light which entered nearer to the projector, at larger x: the
    // surface seems to lie deeper.
    const double moved = in_the_middle(
        [&](std::size_t i) { return std::remainder(after[i].phase - before[i].phase, 2 * kPi); });
    EXPECT_NEAR(moved, std::atan2(imaginary, real), 0.01) << pitch;
    EXPECT_GT(moved, 0.0005) << pitch;
    const double truth = triangulation.column(at(160, 120), 15);
    EXPECT_GT(triangulation.depth_mm(at(160, 120), truth + moved / (2 * kPi) * pitch), 15) << pitch;
  }
}

TEST(FringeEffects, FogGrowsAndClearsTakesContrastAndLaysAVeil) {
  const Fog fog;
  EXPECT_EQ(fog_density(fog, 0.5), 0);
  EXPECT_NEAR(fog_density(fog, 2.0), fog.densest, 1e-9);
  EXPECT_LT(fog_density(fog, 10.0), 0.5 * fog.densest);
  EXPECT_LT(fog_density(fog, 60.0), 0.001);

  const Mesh mesh = shapes::plane(20, 2);
  FringeRenderer plain = make(mesh, FringeEffects::none()), fogged = make(mesh, only("fog"));
  const FringeShot shot{.scene_from_sensor = above(15), .time_s = 1.5};
  const double clear = 1 - fog_density(fog, 1.5);
  const std::vector<Fit> before = fringe_decode::fits(plain, shot);
  const std::vector<Fit> after = fringe_decode::fits(fogged, shot);
  EXPECT_NEAR(middle_swing(after) / middle_swing(before), clear * clear, 0.01);
  EXPECT_NEAR(middle_mean(after),
              clear * clear * middle_mean(before) + 255 * kExposure * fog.veil * (1 - clear), 1);
  const FringeShot early{.scene_from_sensor = above(15), .time_s = 0.2};
  EXPECT_EQ(picture(fogged, early), picture(plain, early));
}

TEST(FringeEffects, AmbientLightAddsAndRipplesWithTheMains) {
  const Mesh mesh = shapes::plane(20, 2);
  FringeEffects effects = only("ambient");
  effects.exposure_ms = 1e-3;
  FringeRenderer plain = make(mesh, FringeEffects::none()), lit = make(mesh, effects);
  const double albedo = optics_of(Tissue::kStone).albedo.z();
  const double level = 255 * kExposure * albedo * effects.ambient->level;
  double least = 1e9, most = 0, sum = 0;
  for (int i = 0; i < 10; ++i) {  // one period of 10 ms
    const FringeShot shot{.scene_from_sensor = above(15), .time_s = 0.001 * i};
    const std::vector<Fit> before = fringe_decode::fits(plain, shot);
    const std::vector<Fit> after = fringe_decode::fits(lit, shot);
    EXPECT_NEAR(middle_swing(after), middle_swing(before), 0.3);
    const double added = middle_mean(after) - middle_mean(before);
    least = std::min(least, added);
    most = std::max(most, added);
    sum += added / 10;
  }
  EXPECT_NEAR(sum, level, 0.3);
  EXPECT_NEAR(most - least, 2 * effects.ambient->ripple * level, 0.3 * level * 0.4 + 0.3);

  effects.exposure_ms = 10;  // a whole period: no ripple is left
  FringeRenderer slow = make(mesh, effects);
  EXPECT_EQ(picture(slow, {.scene_from_sensor = above(15), .time_s = 0.001}),
            picture(slow, {.scene_from_sensor = above(15), .time_s = 0.004}));
}

}  // namespace
}  // namespace cusp::sim
