#include "pipeline/surface_colour.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "pipeline/fuse.h"
#include "pipeline/fuse_colour.h"
#include "pipeline/mesh.h"
#include "pipeline/noise_model.h"
#include "pipeline/preprocess.h"
#include "tests/pipeline/scene.h"
#include "tests/pipeline/shapes.h"

namespace cusp {
namespace {

constexpr float kDistance_mm = 70;

// A wall at z = 70, seen once, and what each place of it is painted with; black: not seen.
using Paint = std::function<Rgb(double x_mm, double y_mm)>;
class SurfaceColour : public ::testing::Test {
 protected:
  Volume wall(const Paint& paint) {
    DepthFrame frame = testing::tilted_plane({0, 0, -1}, -kDistance_mm);
    const Intrinsics& in = frame.intrinsics;
    if (paint)
      for (int v = 0; v < in.height_px; ++v)
        for (int u = 0; u < in.width_px; ++u) {
          const Rgb rgb = paint((u - in.cx_px) / in.fx_px * kDistance_mm,
                                (v - in.cy_px) / in.fy_px * kDistance_mm);
          frame.rgb.insert(frame.rgb.end(), rgb.begin(), rgb.end());
        }
    const NoiseModel noise(testing::small_options(), testing::small_camera());
    const MeasuredSurface surface = preprocess(frame, noise, pool_);
    Volume volume(0.3, 1.2, std::size_t{1} << 28);
    const auto report = fuse(surface, RigidTransform::Identity(), volume, pool_);
    EXPECT_TRUE(report.ok());
    fuse_colour(surface, RigidTransform::Identity(), report->changed, volume, pool_);
    return volume;
  }
  WorkerPool pool_{2};
};

std::uint8_t level(double value) { return static_cast<std::uint8_t>(std::lround(value)); }

TEST_F(SurfaceColour, IsWhatWasSeenThere) {
  const auto paint = [](double x, double y) {
    return Rgb{level(120 + 4 * x), level(120 + 60 * std::sin(y / 3)), level(120 - 2 * x + 2 * y)};
  };
  const Volume volume = wall(paint);
  const ColourMap map(volume, pool_);
  const Mesh mesh = extract_mesh(volume, 0, pool_);
  const std::vector<Rgb> colours = map.of(mesh, pool_);
  ASSERT_EQ(colours.size(), mesh.vertices_mm.size());
  ASSERT_GT(colours.size(), 10000u);
  std::size_t checked = 0;
  for (std::size_t i = 0; i < colours.size(); ++i) {
    const Eigen::Vector3d p = mesh.vertices_mm[i].cast<double>();
    if (p.head<2>().cwiseAbs().maxCoeff() > 15) continue;  // pixels end farther out
    const Rgb wanted = paint(p.x(), p.y());
    for (std::size_t c = 0; c < 3; ++c) ASSERT_NEAR(colours[i][c], wanted[c], 3) << p.transpose();
    ++checked;
  }
  EXPECT_GT(checked, 5000u);
}

TEST_F(SurfaceColour, OfWhatWasNotSeenIsThatOfItsNeighboursAndFarAwayTheMean) {
  // A stripe without colours between red and blue, and nothing below.
  const Volume volume = wall([](double x, double y) -> Rgb {
    if (std::abs(x) < 2 || y > 5) return {0, 0, 0};
    return x < 0 ? Rgb{200, 40, 40} : Rgb{40, 40, 200};
  });
  const Mesh mesh = extract_mesh(volume, 0, pool_);
  Mesh with_island = mesh;
  testing::add(with_island, testing::sphere(2, {0, 0, 20}));
  const std::vector<Rgb> colours = ColourMap(volume, pool_).of(with_island, pool_);
  std::size_t left = 0, right = 0;
  for (std::size_t i = 0; i < mesh.vertices_mm.size(); ++i) {
    const Eigen::Vector3f& p = mesh.vertices_mm[i];
    EXPECT_NE(colours[i], (Rgb{0, 0, 0}));
    if (std::abs(p.x()) > 1.8F || std::abs(p.x()) < 0.4F || p.y() > 4) continue;
    EXPECT_EQ(colours[i][p.x() < 0 ? 0 : 2], 200) << p.transpose();
    (p.x() < 0 ? left : right) += 1;
  }
  EXPECT_GT(left, 100u);
  EXPECT_GT(right, 100u);
  const Rgb island = colours.back();
  EXPECT_EQ(colours[mesh.vertices_mm.size()], island);
  EXPECT_NEAR(island[0], 120, 20);
  EXPECT_EQ(island[1], 40);
  EXPECT_NEAR(island[2], 120, 20);
}

TEST_F(SurfaceColour, OfNothingIsNone) {
  const Volume grey = wall({});
  const ColourMap map(grey, pool_);
  EXPECT_TRUE(map.empty());
  EXPECT_TRUE(map.of(extract_mesh(grey, 0, pool_), pool_).empty());
  EXPECT_TRUE(ColourMap().of(testing::sphere(2, {0, 0, 0}), pool_).empty());
  const ColourMap red(wall([](double, double) { return Rgb{200, 1, 1}; }), pool_);
  EXPECT_FALSE(red.empty());
  EXPECT_TRUE(red.of({}, pool_).empty());
  EXPECT_TRUE(red.of(testing::sphere(2, {900, 0, 0}), pool_).empty()) << "none of it was seen";
}

TEST_F(SurfaceColour, HasTheSameBitsWithAnyNumberOfThreads) {
  const Volume volume = wall([](double x, double y) {
    return y > 3 ? Rgb{0, 0, 0} : Rgb{level(120 + 4 * x), level(100 + 3 * y), 90};
  });
  const Mesh mesh = extract_mesh(volume, 0, pool_);
  WorkerPool one(1), three(3);
  EXPECT_EQ(ColourMap(volume, one).of(mesh, one), ColourMap(volume, three).of(mesh, three));
}

}  // namespace
}  // namespace cusp
