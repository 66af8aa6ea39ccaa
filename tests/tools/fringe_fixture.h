// A small wand over a plane or bumps, and means over the middle of what it sees.
#pragma once

#include <gtest/gtest.h>

#include <numbers>
#include <string>

#include "tests/tools/fringe_decode.h"
#include "tests/tools/shapes.h"
#include "tools/sim/fringe_renderer.h"
#include "tools/sim/wand_optics.h"

namespace cusp::sim {

inline constexpr double kPi = std::numbers::pi;
inline constexpr double kFocalPx = 300;  // of the small camera

inline Calibration small_wand(bool distortion = false) {
  WandOptics optics;
  optics.width_px = 320;
  optics.height_px = 240;
  optics.distortion = distortion;
  return wand_calibration(optics);
}

// From above, looking down at the plane z = 0.
inline RigidTransform above(double height_mm) {
  RigidTransform pose = RigidTransform::Identity();
  pose.linear() = Eigen::DiagonalMatrix<double, 3>(1, -1, -1);
  pose.translation() = Eigen::Vector3d(0, 0, height_mm);
  return pose;
}

// White stone stays below saturation.
inline constexpr double kExposure = 1.2;

inline FringeRenderer make(const Mesh& mesh, FringeEffects effects, Tissue tissue = Tissue::kStone,
                           const Calibration& calibration = small_wand(), std::uint64_t seed = 1) {
  effects.exposure = kExposure;
  auto renderer = FringeRenderer::create(mesh, {tissue, {}}, calibration, effects, seed);
  EXPECT_TRUE(renderer.ok());
  return std::move(renderer).value();
}

// Nowhere further than 4 mm from the plane z = 0.
inline Mesh bumps() {
  Mesh mesh = shapes::relief(15, 150);
  for (auto& vertex : mesh.vertices_mm) vertex.z() *= 0.5F;
  compute_normals(mesh);
  return mesh;
}

inline FringeEffects only(const std::string& name) {
  return parse_effects("none,+" + name).value();
}

inline std::vector<std::uint8_t> picture(FringeRenderer& renderer, const FringeShot& shot,
                                         int pattern = 0) {
  std::vector<std::uint8_t> grey(renderer.fringe_bytes());
  renderer.fringe(shot, pattern, grey);
  return grey;
}

inline std::size_t at(int x, int y) { return static_cast<std::size_t>(y * 320 + x); }
inline constexpr int kMiddleX = 160, kMiddleY = 120;

// Mean over a patch in the middle: rounding to counts averages out.
template <typename Value>
double in_the_middle(Value value) {
  double sum = 0;
  int count = 0;
  for (int y = kMiddleY - 20; y <= kMiddleY + 20; ++y)
    for (int x = kMiddleX - 30; x <= kMiddleX + 30; ++x, ++count) sum += value(at(x, y));
  return sum / count;
}
inline double middle_swing(const std::vector<fringe_decode::Fit>& fits) {
  return in_the_middle([&](std::size_t i) { return fits[i].swing; });
}
inline double middle_mean(const std::vector<fringe_decode::Fit>& fits) {
  return in_the_middle([&](std::size_t i) { return fits[i].mean; });
}

}  // namespace cusp::sim
