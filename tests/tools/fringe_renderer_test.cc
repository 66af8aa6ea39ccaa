#include "tools/sim/fringe_renderer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/tools/fringe_fixture.h"

namespace cusp::sim {
namespace {

using fringe_decode::Fit;
using fringe_decode::Triangulation;

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
    EXPECT_LT(accuracy.rms_um, 4) << height_mm;  // 8 bits
    EXPECT_LT(accuracy.worst_um, 25) << height_mm;
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
