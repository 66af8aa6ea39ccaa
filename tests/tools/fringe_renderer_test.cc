#include "tools/sim/fringe_renderer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/tools/fringe_decode.h"
#include "tests/tools/shapes.h"
#include "tools/sim/wand_optics.h"

namespace cusp::sim {
namespace {

using fringe_decode::Fit;
using fringe_decode::Triangulation;

constexpr double kPi = std::numbers::pi;
constexpr double kFocalPx = 300;  // of the small camera

Calibration small_wand(bool distortion = false) {
  WandOptics optics;
  optics.width_px = 320;
  optics.height_px = 240;
  optics.distortion = distortion;
  return wand_calibration(optics);
}

// From above, looking down at the plane z = 0.
RigidTransform above(double height_mm) {
  RigidTransform pose = RigidTransform::Identity();
  pose.linear() = Eigen::DiagonalMatrix<double, 3>(1, -1, -1);
  pose.translation() = Eigen::Vector3d(0, 0, height_mm);
  return pose;
}

// White stone stays below saturation.
constexpr double kExposure = 1.2;

FringeRenderer make(const Mesh& mesh, FringeEffects effects, Tissue tissue = Tissue::kStone,
                    const Calibration& calibration = small_wand(), std::uint64_t seed = 1) {
  effects.exposure = kExposure;
  auto renderer = FringeRenderer::create(mesh, {tissue, {}}, calibration, effects, seed);
  EXPECT_TRUE(renderer.ok());
  return std::move(renderer).value();
}

// Nowhere further than 4 mm from the plane z = 0.
Mesh bumps() {
  Mesh mesh = shapes::relief(15, 150);
  for (auto& vertex : mesh.vertices_mm) vertex.z() *= 0.5F;
  compute_normals(mesh);
  return mesh;
}

FringeEffects only(const std::string& name) { return parse_effects("none,+" + name).value(); }

std::vector<std::uint8_t> picture(FringeRenderer& renderer, const FringeShot& shot,
                                  int pattern = 0) {
  std::vector<std::uint8_t> grey(renderer.fringe_bytes());
  renderer.fringe(shot, pattern, grey);
  return grey;
}

std::size_t at(int x, int y) { return static_cast<std::size_t>(y * 320 + x); }
constexpr int kMiddleX = 160, kMiddleY = 120;

// Mean over a patch in the middle: rounding to counts averages out.
template <typename Value>
double in_the_middle(Value value) {
  double sum = 0;
  int count = 0;
  for (int y = kMiddleY - 20; y <= kMiddleY + 20; ++y)
    for (int x = kMiddleX - 30; x <= kMiddleX + 30; ++x, ++count) sum += value(at(x, y));
  return sum / count;
}
double middle_swing(const std::vector<Fit>& fits) {
  return in_the_middle([&](std::size_t i) { return fits[i].swing; });
}
double middle_mean(const std::vector<Fit>& fits) {
  return in_the_middle([&](std::size_t i) { return fits[i].mean; });
}

// --- geometry ---

struct Accuracy {
  double rms_um = 0, worst_um = 0;
  int points = 0;
};

Accuracy decode(FringeRenderer& renderer, const Calibration& calibration, const FringeShot& shot) {
  const std::vector<Fit> fine = fringe_decode::fits(renderer, shot, 0);
  const std::vector<Fit> coarse = fringe_decode::fits(renderer, shot, 3);
  const double fine_pitch = calibration.fringe->patterns[0].pitch_px;
  const double coarse_pitch = calibration.fringe->patterns[3].pitch_px;
  const FringeView& view = renderer.view(shot);
  const Triangulation triangulation(calibration);
  Accuracy accuracy;
  for (std::size_t i = 0; i < fine.size(); ++i) {
    if (fine[i].swing < 25) continue;
    const auto column = triangulation.coarse_column(i, coarse[i].phase, coarse_pitch);
    if (!column) continue;
    const double exact = Triangulation::fine_column(*column, fine[i].phase, fine_pitch);
    const double miss_um =
        1000 * (triangulation.depth_mm(i, exact) - static_cast<double>(view.depth_mm[i]));
    accuracy.rms_um += miss_um * miss_um;
    accuracy.worst_um = std::max(accuracy.worst_um, std::abs(miss_um));
    ++accuracy.points;
  }
  accuracy.rms_um = std::sqrt(accuracy.rms_um / std::max(accuracy.points, 1));
  return accuracy;
}

TEST(FringeRenderer, ShowsFringesThatTriangulateBackToTheSurface) {
  const Calibration calibration = small_wand(true);
  FringeRenderer renderer = make(bumps(), FringeEffects::none(), Tissue::kStone, calibration);
  for (const double height_mm : {14.0, 16.0}) {
    const Accuracy accuracy =
        decode(renderer, calibration, {.scene_from_sensor = above(height_mm)});
    EXPECT_GT(accuracy.points, 30'000) << height_mm;
    EXPECT_LT(accuracy.rms_um, 2.5) << height_mm;  // 8 bits
    EXPECT_LT(accuracy.worst_um, 15) << height_mm;
  }
}

TEST(FringeRenderer, KeepsTheColumnsWhereTheProjectorsPixelsAreFinite) {
  const Calibration calibration = small_wand();
  FringeRenderer renderer =
      make(shapes::plane(20, 2), only("projector_blur"), Tissue::kStone, calibration);
  const FringeShot shot{.scene_from_sensor = above(15)};
  const std::vector<Fit> fine = fringe_decode::fits(renderer, shot, 0);
  const Triangulation triangulation(calibration);
  const double pitch = calibration.fringe->patterns[0].pitch_px;
  const double bias_px = in_the_middle([&](std::size_t i) {
    const double truth = triangulation.column(i, 15);
    return Triangulation::fine_column(truth, fine[i].phase, pitch) - truth;
  });
  EXPECT_NEAR(bias_px, 0, 0.01);  // 0.6 um of depth
}

TEST(FringeRenderer, LightsAWhiteSurfaceByCosineAndDistance) {
  const Calibration calibration = small_wand();
  FringeRenderer renderer = make(shapes::plane(40, 2), FringeEffects::none());
  const FringeShot shot{.scene_from_sensor = above(15)};
  const std::vector<Fit> fits = fringe_decode::fits(renderer, shot, 0);
  const double albedo = optics_of(Tissue::kStone).albedo.z();
  for (const int x : {100, 160, 220}) {
    const double x_mm = (x - calibration.depth.cx_px) / kFocalPx * 15;
    const double distance = std::hypot(x_mm - 5.5, 15.0);
    const double expected =
        255 * kExposure * albedo * 0.5 * (15 / distance) * std::pow(15 / distance, 2);
    EXPECT_NEAR(fits[at(x, kMiddleY)].mean, expected, 1.0) << x;
    EXPECT_NEAR(fits[at(x, kMiddleY)].swing, expected, 1.0) << x;
  }
}

TEST(FringeRenderer, LeavesShadowsDark) {
  Mesh mesh = shapes::plane(30, 2);
  const auto base = static_cast<std::uint32_t>(mesh.vertices_mm.size());
  // A wall at x = 1 mm, 4 mm high: the projector stands at x = 5.5.
  for (const float z : {0.0F, 4.0F})
    for (const float y : {-20.0F, 20.0F}) mesh.vertices_mm.emplace_back(1.0F, y, z);
  mesh.triangles.push_back({base, base + 1, base + 2});
  mesh.triangles.push_back({base + 1, base + 3, base + 2});
  FringeRenderer renderer = make(mesh, FringeEffects::none());
  const FringeShot shot{.scene_from_sensor = above(15)};
  const FringeView& view = renderer.view(shot);
  // Its shadow on the floor: from x = 1 to 1 - 4 * 4.5 / 11.
  const auto irradiance_at = [&](double x_mm) {
    return view.irradiance[at(static_cast<int>(std::lround(159.5 + kFocalPx * x_mm / 15)), 120)];
  };
  EXPECT_GT(irradiance_at(-0.9), 0);
  EXPECT_EQ(irradiance_at(-0.4), 0);
  EXPECT_EQ(irradiance_at(0.3), 0);
}

TEST(FringeRenderer, HidesTheTeethBehindATongueAndInItsShadow) {
  FringeRenderer renderer = make(shapes::plane(30, 2), FringeEffects::none());
  Occluder ball;
  ball.radii_mm = Eigen::Vector3d::Constant(2);
  ball.scene_from_body.translation() = Eigen::Vector3d(0, 0, 5);
  const std::vector<Occluder> occluders{ball};
  const FringeShot shot{.scene_from_sensor = above(15), .occluders = occluders};
  const FringeView& view = renderer.view(shot);
  EXPECT_NEAR(view.depth_mm[at(160, 120)], 8, 0.01);
  EXPECT_EQ(view.tissue[at(160, 120)], Tissue::kMucosa);
  EXPECT_NEAR(view.depth_mm[at(20, 120)], 15, 1e-3);
  EXPECT_EQ(view.tissue[at(20, 120)], Tissue::kStone);
  // The projector's ray through its middle meets the floor at x = -2.75.
  const std::size_t shadow = at(static_cast<int>(159.5 - kFocalPx * 2.75 / 15), 120);
  EXPECT_EQ(view.irradiance[shadow], 0);
  const FringeShot without{.scene_from_sensor = above(15)};
  EXPECT_GT(renderer.view(without).irradiance[shadow], 0);
  EXPECT_NEAR(renderer.view(without).depth_mm[at(160, 120)], 15, 1e-3);
}

// --- effects ---

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

// --- the rest ---

TEST(FringeRenderer, IsTheSameForTheSameSeedWhateverWasRenderedBefore) {
  const Mesh mesh = bumps();
  const FringeEffects effects = parse_effects("all").value();
  FringeRenderer one = make(mesh, effects, Tissue::kEnamel),
                 other = make(mesh, effects, Tissue::kEnamel),
                 different = make(mesh, effects, Tissue::kEnamel, small_wand(), 2);
  const FringeShot shot{.scene_from_sensor = above(13), .frame = 9, .time_s = 1.7};
  std::vector<std::uint8_t> colour(one.colour_bytes()), colour_again(one.colour_bytes());
  picture(other, {.scene_from_sensor = above(17), .frame = 1}, 4);
  other.colour({.scene_from_sensor = above(13), .frame = 2}, colour);
  EXPECT_EQ(picture(one, shot, 2), picture(other, shot, 2));
  EXPECT_NE(picture(one, shot, 2), picture(different, shot, 2));
  EXPECT_NE(picture(one, shot, 2),
            picture(one, {.scene_from_sensor = above(13), .frame = 10, .time_s = 1.7}, 2));
  one.colour(shot, colour);
  other.colour(shot, colour_again);
  EXPECT_EQ(colour, colour_again);
}

TEST(FringeRenderer, GivesTissuesTheirColours) {
  const Mesh mesh = shapes::plane(20, 2);
  const FringeShot shot{.scene_from_sensor = above(15)};
  struct Colour {
    int luma, blue, red;
  };
  const auto colour_of = [&](Tissue tissue) {
    FringeRenderer renderer = make(mesh, FringeEffects::none(), tissue);
    std::vector<std::uint8_t> yuy2(renderer.colour_bytes());
    renderer.colour(shot, yuy2);
    const std::size_t pair = 2 * at(160, 120);
    return Colour{yuy2[pair], yuy2[pair + 1], yuy2[pair + 3]};
  };
  const Colour stone = colour_of(Tissue::kStone), enamel = colour_of(Tissue::kEnamel),
               gum = colour_of(Tissue::kGingiva);
  EXPECT_NEAR(stone.red, 128, 6);
  EXPECT_LT(enamel.blue, stone.blue - 8);  // yellow
  EXPECT_GT(gum.red, enamel.red + 10);     // red
  EXPECT_GT(enamel.luma, gum.luma + 40);
  EXPECT_GE(gum.luma, 16);
}

TEST(FringeRenderer, ShowsNothingWhereNothingIs) {
  FringeRenderer renderer = make(shapes::plane(1, 2), FringeEffects::none());
  RigidTransform away = above(15);
  away.translation().x() = 100;
  const std::vector<std::uint8_t> grey = picture(renderer, {.scene_from_sensor = away});
  EXPECT_EQ(std::count(grey.begin(), grey.end(), 0), static_cast<std::ptrdiff_t>(grey.size()));
}

TEST(FringeRenderer, RefusesWhatItCannotRender) {
  const FringeEffects effects;
  EXPECT_EQ(FringeRenderer::create(Mesh{}, {}, small_wand(), effects, 1).error().code,
            ErrorCode::kInvalidArgument);
  Calibration no_projector = small_wand();
  no_projector.fringe.reset();
  EXPECT_EQ(FringeRenderer::create(shapes::plane(5, 2), {}, no_projector, effects, 1).error().code,
            ErrorCode::kInvalidArgument);
  TissueMap too_few{Tissue::kEnamel, {Tissue::kEnamel}};
  EXPECT_EQ(
      FringeRenderer::create(shapes::plane(5, 2), too_few, small_wand(), effects, 1).error().code,
      ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace cusp::sim
