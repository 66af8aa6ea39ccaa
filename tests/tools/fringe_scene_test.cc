#include "tools/sim/fringe_scene.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/tools/shapes.h"
#include "tools/sim/virtual_scanner.h"

namespace cusp::sim {
namespace {

FringeSceneOptions small_options() {
  FringeSceneOptions options;
  WandOptics optics;
  optics.width_px = 160;
  optics.height_px = 120;
  options.calibration = wand_calibration(optics);
  options.motion.speed_mm_s = 20;
  options.tissues.everywhere = Tissue::kEnamel;
  return options;
}

Mesh some_teeth() { return shapes::ellipsoid({14, 6, 5}, 60); }

FringeScene make(const FringeSceneOptions& options) {
  auto scene = make_fringe_scene("teeth", some_teeth(), options);
  EXPECT_TRUE(scene.ok());
  return std::move(scene).value();
}

std::vector<std::uint8_t> picture(const FringeScene& scene, std::uint64_t frame, int pattern) {
  std::vector<std::uint8_t> bytes(pattern == 6 ? scene.colour_bytes : scene.fringe_bytes);
  EXPECT_TRUE(scene.picture(frame, {0, pattern, 6}, bytes));
  return bytes;
}

TEST(FringeScene, GivesFringesAndColourOfTheSizesItSays) {
  const FringeScene scene = make(small_options());
  EXPECT_EQ(scene.name, "teeth");
  EXPECT_GT(scene.frames, 100U);
  EXPECT_EQ(scene.fringe_bytes, 160U * 120U);
  EXPECT_EQ(scene.colour_bytes, 2 * scene.fringe_bytes);
  const std::vector<std::uint8_t> fringe = picture(scene, 20, 0), colour = picture(scene, 20, 6);
  EXPECT_GT(*std::max_element(fringe.begin(), fringe.end()), 60);
  EXPECT_GT(colour[2 * (60 * 160 + 80)], 60);
}

TEST(FringeScene, RefusesPicturesThatItHasNot) {
  const FringeScene scene = make(small_options());
  std::vector<std::uint8_t> bytes(scene.fringe_bytes);
  EXPECT_FALSE(scene.picture(0, {0, -1, 6}, bytes));
  EXPECT_FALSE(scene.picture(0, {0, 7, 6}, bytes));
  EXPECT_FALSE(scene.picture(0, {0, 8, 9}, bytes));
  EXPECT_FALSE(scene.picture(0, {0, 6, 6}, bytes));  // colour takes twice as much
  EXPECT_FALSE(scene.picture(0, {0, 0, 6}, std::span(bytes).first(100)));
}

TEST(FringeScene, DependsOnFrameAndSeedAlone) {
  FringeSceneOptions options = small_options();
  options.effects = parse_effects("all").value();
  const FringeScene one = make(options), other = make(options);
  const auto expected = picture(one, 40, 2);
  picture(other, 200, 6);
  picture(other, 3, 1);
  EXPECT_EQ(picture(other, 40, 2), expected);
  EXPECT_NE(picture(one, 41, 2), expected);
  options.seed = 2;
  EXPECT_NE(picture(make(options), 40, 2), expected);
}

TEST(FringeScene, TellsTheTruthOfEachPicture) {
  const FringeScene scene = make(small_options());
  std::vector<float> depth_mm;
  scene.depth(50, depth_mm);
  ASSERT_EQ(depth_mm.size(), scene.fringe_bytes);
  const RigidTransform pose = scene.pose(50);
  EXPECT_NE(pose.matrix(), scene.pose(60).matrix());
  // The middle's point lies on the ellipsoid.
  const double z = static_cast<double>(depth_mm[60 * 160 + 80]);
  ASSERT_GT(z, 0);
  const Eigen::Vector3d p = pose * Eigen::Vector3d(0.5 / 150 * z, 0.5 / 150 * z, z);
  const double level = std::pow(p.x() / 14, 2) + std::pow(p.y() / 6, 2) + std::pow(p.z() / 5, 2);
  EXPECT_NEAR(level, 1, 0.03);
}

TEST(FringeScene, HoldsTheLastPoseWithNewNoise) {
  const FringeScene scene = make(small_options());
  EXPECT_EQ(scene.pose(scene.frames + 7).matrix(), scene.pose(scene.frames - 1).matrix());
  EXPECT_NE(picture(scene, scene.frames + 7, 0), picture(scene, scene.frames + 8, 0));
}

TEST(FringeScene, LetsTongueAndCheekIntoPictureAndTruth) {
  FringeSceneOptions options = small_options();
  const FringeScene free = make(options);
  options.effects.soft_tissue = SoftTissue{.mean_period_s = 2};
  const FringeScene visited = make(options);
  int hidden_frames = 0;
  std::vector<float> without, with;
  for (std::uint64_t frame = 0; frame < free.frames; frame += 6) {
    free.depth(frame, without);
    visited.depth(frame, with);
    int hidden = 0;
    for (std::size_t i = 0; i < with.size(); ++i) {
      EXPECT_TRUE(without[i] == 0 || with[i] <= without[i]);
      hidden += with[i] != without[i] ? 1 : 0;
    }
    if (hidden > 500) {
      ++hidden_frames;
      EXPECT_NE(picture(visited, frame, 0), picture(free, frame, 0));
    }
  }
  EXPECT_GT(hidden_frames, 3);
}

TEST(FringeScene, RefusesWhatCannotBeScanned) {
  EXPECT_FALSE(make_fringe_scene("nothing", Mesh{}, small_options()).ok());
  FringeSceneOptions options = small_options();
  options.calibration.fringe.reset();
  EXPECT_FALSE(make_fringe_scene("no projector", some_teeth(), options).ok());
  options = small_options();
  options.motion.sweeps.clear();
  EXPECT_FALSE(make_fringe_scene("no motion", some_teeth(), options).ok());
}

// --- what depth cameras share ---

// So that something lies behind the teeth.
Mesh teeth_on_a_plate() {
  Mesh mesh = some_teeth();
  const Mesh plate = shapes::plane(25, 2);
  const auto base = static_cast<std::uint32_t>(mesh.vertices_mm.size());
  for (const auto& vertex : plate.vertices_mm)
    mesh.vertices_mm.emplace_back(vertex - Eigen::Vector3f(0, 0, 6));
  for (const auto& [a, b, c] : plate.triangles)
    mesh.triangles.push_back({base + a, base + b, base + c});
  return mesh;
}

SceneOptions depth_options() {
  SceneOptions options;
  options.camera = d405_intrinsics(160, 96);
  options.sweeps = SweepOptions{.rate_hz = 30, .standoff_mm = 76, .pauses = 0, .lifts = 0};
  options.with_noise = false;
  return options;
}

int differing_frames(const Scene& one, const Scene& other) {
  std::vector<std::uint16_t> a(160 * 96), b(160 * 96);
  int count = 0;
  for (std::uint64_t frame = 0; frame < one.frames; frame += 5) {
    one.measure(frame, a);
    other.measure(frame, b);
    count += a != b ? 1 : 0;
  }
  return count;
}

TEST(DepthScene, FollowsSweepsAtItsOwnStandOff) {
  const auto scene = make_mesh_scene("teeth", some_teeth(), depth_options());
  ASSERT_TRUE(scene.ok());
  std::vector<std::uint16_t> z16(160 * 96);
  scene->measure(scene->frames / 4, z16);
  EXPECT_NEAR(z16[48 * 160 + 80] * 0.1, 76, 4);
}

TEST(DepthScene, LetsTongueAndCheekIn) {
  SceneOptions options = depth_options();
  const auto free = make_mesh_scene("teeth", some_teeth(), options);
  options.soft_tissue = SoftTissue{.mean_period_s = 2};
  const auto visited = make_mesh_scene("teeth", some_teeth(), options);
  ASSERT_TRUE(free.ok() && visited.ok());
  EXPECT_EQ(differing_frames(*free, *free), 0);
  EXPECT_GT(differing_frames(*free, *visited), 3);
}

TEST(DepthScene, MeasuresIdealDepthWhenEachEffectOfItsNoiseIsOff) {
  SceneOptions options = depth_options();
  const auto ideal = make_mesh_scene("teeth", teeth_on_a_plate(), options);
  options.with_noise = true;
  options.noise.disparity_sigma_px = options.noise.incidence_gain = 0;
  options.noise.grazing_from_deg = 90;
  options.noise.grazing_to_deg = 91;
  options.noise.edge_gap_mm = std::numeric_limits<double>::infinity();
  options.noise.stereo_shadow = false;
  const auto all_off = make_mesh_scene("teeth", teeth_on_a_plate(), options);
  options.noise.stereo_shadow = true;
  const auto shadow_on = make_mesh_scene("teeth", teeth_on_a_plate(), options);
  ASSERT_TRUE(ideal.ok() && all_off.ok() && shadow_on.ok());
  EXPECT_EQ(differing_frames(*ideal, *all_off), 0);
  EXPECT_GT(differing_frames(*ideal, *shadow_on), 3);
}

}  // namespace
}  // namespace cusp::sim
