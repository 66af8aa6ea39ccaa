#include "pipeline/align_colour.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "pipeline/lens.h"

namespace cusp {
namespace {

constexpr Intrinsics kDepthCamera{160, 120, 150, 150, 79.5, 59.5};
constexpr Intrinsics kColourCamera{320, 240, 310, 305, 160, 121};

Calibration camera() {
  Calibration calibration{.id = "test", .depth_unit_mm = 0.1, .depth = kDepthCamera};
  calibration.colour =
      ColourOptics{.intrinsics = kColourCamera,
                   .distortion = {.k1 = 0.05, .k2 = -0.02, .p1 = 0.001, .p2 = 0.002}};
  calibration.colour->colour_from_depth.linear() =
      Eigen::AngleAxisd(0.02, Eigen::Vector3d::UnitY()).toRotationMatrix();
  calibration.colour->colour_from_depth.translation() = Eigen::Vector3d(15, 0.5, -1);
  return calibration;
}

// A grey picture whose brightness is its column, in steps of two counts over 105 columns, so that
// neighbours differ.
int brightness(int u) { return 20 + 2 * (u % 105); }
RawFrame with_picture(int width_px = 320, int height_px = 240) {
  RawFrame frame;
  frame.colour = ColourPicture{.width_px = width_px, .height_px = height_px};
  for (int v = 0; v < height_px; ++v)
    for (int u = 0; u < width_px; ++u) {
      frame.colour->bytes.push_back(static_cast<std::uint8_t>(brightness(u)));
      frame.colour->bytes.push_back(128);
    }
  return frame;
}
// ITU-R BT.601 of a grey.
int level(int luma) { return (298 * (luma - 16) + 128) >> 8; }

DepthFrame wall(float z_mm) {
  return {.intrinsics = kDepthCamera, .depth_mm = std::vector<float>(160 * 120, z_mm)};
}
std::size_t at(int u, int v) {
  return static_cast<std::size_t>(v) * 160 + static_cast<std::size_t>(u);
}
std::array<int, 3> colour_at(const DepthFrame& depth, int u, int v) {
  const std::uint8_t* rgb = &depth.rgb[3 * at(u, v)];
  return {rgb[0], rgb[1], rgb[2]};
}

// Where the colour camera sees a depth pixel, computed without align_colour's shortcuts.
Eigen::Vector2d expected_pixel(const Calibration& device, int u, int v, double z_mm) {
  const Eigen::Vector3d point((u - 79.5) / 150 * z_mm, (v - 59.5) / 150 * z_mm, z_mm);
  const Eigen::Vector3d p = device.colour->colour_from_depth * point;
  const Eigen::Vector2d bent = distort(device.colour->distortion, p.head<2>() / p.z());
  return {310 * bent.x() + 160, 305 * bent.y() + 121};
}

TEST(AlignColour, TakesThePixelThatTheColourCameraSawThroughItsLens) {
  const Calibration device = camera();
  DepthFrame depth = wall(250);
  ASSERT_TRUE(align_colour(depth, with_picture(), device));
  ASSERT_EQ(depth.rgb.size(), 3u * 160 * 120);
  int checked = 0;
  for (int v = 0; v < 120; v += 7)
    for (int u = 0; u < 160; u += 5) {
      const Eigen::Vector2d pixel = expected_pixel(device, u, v, 250);
      if (pixel.x() < 0 || pixel.x() > 319 || pixel.y() < 0 || pixel.y() > 239) continue;
      const double rest = pixel.x() + 0.5 - std::floor(pixel.x() + 0.5);
      if (rest < 0.01 || rest > 0.99) continue;  // either neighbour is right
      const int grey = level(brightness(static_cast<int>(std::lround(pixel.x()))));
      EXPECT_EQ(colour_at(depth, u, v), (std::array{grey, grey, grey})) << u << " " << v;
      ++checked;
    }
  EXPECT_GT(checked, 300);
}

TEST(AlignColour, IsBlackWhereNothingWasMeasuredOrThePictureEnds) {
  const Calibration device = camera();
  DepthFrame depth = wall(250);
  depth.depth_mm[at(80, 60)] = 0;
  ASSERT_TRUE(align_colour(depth, with_picture(), device));
  EXPECT_EQ(colour_at(depth, 80, 60), (std::array{0, 0, 0}));
  EXPECT_NE(colour_at(depth, 81, 60), (std::array{0, 0, 0}));
  // The right edge of the depth image lies outside of the colour picture, which looks from aside.
  ASSERT_GT(expected_pixel(device, 159, 60, 250).x(), 320);
  EXPECT_EQ(colour_at(depth, 159, 60), (std::array{0, 0, 0}));
}

TEST(AlignColour, IsBlackWhereSomethingNearerHidesThePoint) {
  const Calibration device = camera();
  DepthFrame depth = wall(400);
  for (int v = 30; v < 90; ++v)
    for (int u = 60; u < 90; ++u) depth.depth_mm[at(u, v)] = 120;
  ASSERT_TRUE(align_colour(depth, with_picture(), device));
  // The colour camera looks past the object's left side and not its right one.
  int hidden = 0, seen_left = 0;
  for (int u = 90; u < 110; ++u) {
    const Eigen::Vector2d pixel = expected_pixel(device, u, 60, 400);
    const bool behind = pixel.x() < expected_pixel(device, 89, 60, 120).x() - 6 &&
                        pixel.x() > expected_pixel(device, 60, 60, 120).x() + 6;
    if (!behind) continue;
    EXPECT_EQ(colour_at(depth, u, 60), (std::array{0, 0, 0})) << u;
    ++hidden;
  }
  for (int u = 20; u < 55; ++u) seen_left += colour_at(depth, u, 60)[0] > 0 ? 1 : 0;
  EXPECT_GT(hidden, 3);
  EXPECT_EQ(seen_left, 35);
  for (int u = 62; u < 88; ++u) EXPECT_GT(colour_at(depth, u, 60)[0], 0) << u;
}

TEST(AlignColour, ReadsBothPixelsOfAPairAndTheirColour) {
  Calibration device = camera();
  device.colour = ColourOptics{.intrinsics = kDepthCamera, .distortion = {}};
  RawFrame frame;
  frame.colour = ColourPicture{.width_px = 160, .height_px = 120};
  // Red, as BT.601 has it: Y 81, Cb 90, Cr 240; the second pixel of each pair is brighter.
  for (int i = 0; i < 160 * 120 / 2; ++i)
    frame.colour->bytes.insert(frame.colour->bytes.end(), {81, 90, 110, 240});
  DepthFrame depth = wall(300);
  ASSERT_TRUE(align_colour(depth, frame, device));
  EXPECT_EQ(colour_at(depth, 20, 20), (std::array{255, 0, 0}));
  EXPECT_EQ(colour_at(depth, 21, 20), (std::array{255, 33, 33}));
}

TEST(AlignColour, LeavesFramesWithoutColourAlone) {
  DepthFrame depth = wall(250);
  EXPECT_TRUE(align_colour(depth, RawFrame{}, camera()));
  EXPECT_TRUE(depth.rgb.empty());
  Calibration without = camera();
  without.colour.reset();
  EXPECT_TRUE(align_colour(depth, with_picture(), without));
  EXPECT_TRUE(depth.rgb.empty());
  RawFrame jpeg = with_picture();
  jpeg.colour->format = PixelFormat::kMjpeg;
  EXPECT_TRUE(align_colour(depth, jpeg, camera()));
  EXPECT_TRUE(depth.rgb.empty());
}

TEST(AlignColour, RefusesAPictureThatTheCalibrationDoesNotDescribe) {
  DepthFrame depth = wall(250);
  const auto other = align_colour(depth, with_picture(640, 240), camera());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(other.error().message, testing::HasSubstr("640x240"));
  RawFrame cut = with_picture();
  cut.colour->bytes.pop_back();
  EXPECT_EQ(align_colour(depth, cut, camera()).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(depth.rgb.empty());
}

}  // namespace
}  // namespace cusp
