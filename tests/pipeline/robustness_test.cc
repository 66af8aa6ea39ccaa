// What goes wrong in a mouth: the state and the words must be right, and the model never wrong.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>

#include "pipeline/reconstruction.h"
#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

using testing::above;
using testing::BumpyDisc;
using testing::hand;
using testing::small_camera;
using testing::small_options;

constexpr int kFrames = 24;
constexpr double kPoseLimitMm = 0.5;

const BumpyDisc& disc() {
  static const BumpyDisc scene;
  return scene;
}

// Every second pixel of the small camera, for speed.
Calibration half_camera() {
  Calibration camera = small_camera();
  camera.depth = {.width_px = 160,
                  .height_px = 120,
                  .fx_px = 150,
                  .fy_px = 150,
                  .cx_px = 79.75,
                  .cy_px = 59.75};
  return camera;
}

void put(RawFrame& frame, std::size_t pixel, double depth_mm) {
  const auto counts = static_cast<std::uint16_t>(depth_mm / small_camera().depth_unit_mm);
  frame.bytes[2 * pixel] = static_cast<std::uint8_t>(counts & 0xff);
  frame.bytes[2 * pixel + 1] = static_cast<std::uint8_t>(counts >> 8);
}

RawFrame blank(std::uint64_t sequence, std::uint8_t byte = 0) {
  RawFrame frame;
  frame.sequence = sequence;
  frame.width_px = 160;
  frame.height_px = 120;
  frame.bytes.assign(2 * 160 * 120, byte);
  return frame;
}

RawFrame seen_from(const RigidTransform& pose, std::uint64_t sequence) {
  RawFrame frame = blank(sequence);
  const Intrinsics in = half_camera().depth;
  std::mt19937 random(static_cast<std::uint32_t>(sequence) + 1);
  for (int y = 0; y < in.height_px; ++y)
    for (int x = 0; x < in.width_px; ++x) {
      const Eigen::Vector3d ray((x - in.cx_px) / in.fx_px, (y - in.cy_px) / in.fy_px, 1);
      const double z = disc().depth_mm(pose.translation(), pose.linear() * ray);
      const double noise = 0.1 * (static_cast<double>(random()) / 4294967296.0 - 0.5);
      if (z > 0) put(frame, static_cast<std::size_t>(y * in.width_px + x), z + noise);
    }
  return frame;
}

const std::vector<RawFrame>& path() {
  static const std::vector<RawFrame> frames = [] {
    std::vector<RawFrame> made;
    for (int k = 0; k < kFrames; ++k)
      made.push_back(seen_from(hand(k), static_cast<std::uint64_t>(k)));
    return made;
  }();
  return frames;
}

Reconstruction scanner() {
  ReconstructionOptions options = small_options();
  options.voxel_mm = 0.5;
  return {options, half_camera()};
}

FrameOutcome added(Reconstruction& scan, RawFrame frame, std::uint64_t sequence) {
  frame.sequence = sequence;
  const auto outcome = scan.add(frame);
  EXPECT_TRUE(outcome.ok());
  return outcome.ok() ? outcome.value() : FrameOutcome{};
}

// How far from the disc the vertices are; first: pose of the first frame.
double farthest_mm(const Mesh& mesh, const RigidTransform& first) {
  double farthest = 0;
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm) {
    const Eigen::Vector3d p = first * vertex.cast<double>();
    if (p.head<2>().norm() > testing::kRadiusMm - 2) continue;
    farthest = std::max(farthest, std::abs(disc().distance_mm(p)));
  }
  return farthest;
}

double median_mm(const Mesh& mesh, const RigidTransform& first) {
  std::vector<double> errors;
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm)
    errors.push_back(std::abs(disc().distance_mm(first * vertex.cast<double>())));
  std::sort(errors.begin(), errors.end());
  return errors.empty() ? 1e9 : errors[errors.size() / 2];
}

// A round thing of `radius_px` that stands `height_mm` above what the frame shows.
void cover(RawFrame& frame, double at_x, double at_y, double radius_px, double height_mm) {
  for (int y = 0; y < 120; ++y)
    for (int x = 0; x < 160; ++x) {
      const double off = std::hypot(x - at_x, y - at_y) / radius_px;
      if (off < 1)
        put(frame, static_cast<std::size_t>(y * 160 + x),
            70 - height_mm * std::sqrt(1 - off * off));
    }
}

TEST(Robustness, MakesNothingOfFramesWithoutAPictureAndGoesOnAfterwards) {
  Reconstruction scan = scanner();
  for (const RawFrame& frame : path()) ASSERT_TRUE(scan.add(frame).ok());
  ASSERT_EQ(scan.counts().lost, 0U);
  const Mesh before = scan.mesh();
  ASSERT_GT(before.triangles.size(), 5000U);

  std::uint64_t sequence = kFrames;
  std::mt19937 random(1);
  for (int k = 0; k < 3; ++k) {
    RawFrame noise = blank(0);
    for (std::size_t i = 0; i < 160 * 120; ++i) put(noise, i, 45 + 85.0 * (random() % 1000) / 1000);
    for (const RawFrame& frame : {blank(0), blank(0, 0xff), noise}) {
      const FrameOutcome outcome = added(scan, frame, sequence++);
      EXPECT_EQ(outcome.pose.verdict, PoseVerdict::kLost);
      EXPECT_FALSE(outcome.fused);
    }
  }
  const Mesh after = scan.mesh();
  EXPECT_EQ(before.triangles, after.triangles);

  // Found again, confirmed, and only then fused.
  std::vector<PoseVerdict> verdicts;
  std::vector<bool> fused;
  for (int k = 0; k < 4; ++k) {
    const FrameOutcome outcome = added(scan, path()[kFrames - 4], sequence++);
    verdicts.push_back(outcome.pose.verdict);
    fused.push_back(outcome.fused);
  }
  using enum PoseVerdict;
  EXPECT_EQ(verdicts, (std::vector{kRelocalised, kRelocalised, kTracked, kTracked}));
  EXPECT_EQ(fused, (std::vector{false, false, true, true}));
}

TEST(Robustness, IsLostOrRightWhenTheHandIsTooFast) {
  for (const int step : {3, 8, 20}) {
    Reconstruction scan = scanner();
    for (int k = 0; k < 8; ++k) {
      const RigidTransform truth = hand(k * step);
      const FrameOutcome outcome =
          added(scan, seen_from(truth, 100), static_cast<std::uint64_t>(k));
      if (!outcome.pose.usable()) continue;
      const Eigen::Vector3d middle = truth.inverse() * Eigen::Vector3d(0, 0, 4);
      EXPECT_LT((hand(0) * (outcome.pose.model_from_sensor * middle) - truth * middle).norm(),
                kPoseLimitMm)
          << step << ' ' << k;
    }
    EXPECT_LT(farthest_mm(scan.mesh(), hand(0)), 1.0) << step;
  }
}

TEST(Robustness, IsLostWhenTooFarAway) {
  Reconstruction scan = scanner();
  for (std::size_t k = 0; k < 8; ++k) ASSERT_TRUE(scan.add(path()[k]).ok());
  const FrameOutcome outcome = added(scan, seen_from(above(190, 0, 0), 0), 8);
  EXPECT_EQ(outcome.pose.verdict, PoseVerdict::kLost);
}

TEST(Robustness, KeepsATongueOutOfTheModel) {
  Reconstruction scan = scanner();
  for (std::size_t k = 0; k < 10; ++k) ASSERT_TRUE(scan.add(path()[k]).ok());
  // It wanders over the view for a second, small at first, then over most of it.
  double most_kept_out = 0;
  std::uint64_t sequence = 10;
  for (int k = 0; k < 30; ++k, ++sequence) {
    RawFrame frame = path()[static_cast<std::size_t>(10 + k % 5)];
    cover(frame, 40 + 2.5 * k, 60 + 20 * std::sin(0.4 * k), 14 + 1.6 * k, 6);
    most_kept_out = std::max(most_kept_out, added(scan, frame, sequence).kept_out);
  }
  EXPECT_GT(most_kept_out, 0.02);
  for (std::size_t k = 10; k < 20; ++k, ++sequence) added(scan, path()[k], sequence);
  EXPECT_LT(farthest_mm(scan.mesh(), hand(0)), 1.0);
  EXPECT_LT(median_mm(scan.mesh(), hand(0)), 0.05);
}

TEST(Robustness, MeasuresTheSameSurfaceInWhateverOrderTheFramesCome) {
  Reconstruction forwards = scanner();
  for (const RawFrame& frame : path()) ASSERT_TRUE(forwards.add(frame).ok());
  Reconstruction backwards = scanner();
  for (int k = kFrames - 1; k >= 0; --k)
    added(backwards, path()[static_cast<std::size_t>(k)],
          static_cast<std::uint64_t>(kFrames - 1 - k));
  EXPECT_EQ(backwards.counts().lost, 0U);
  EXPECT_LT(median_mm(forwards.mesh(), hand(0)), 0.04);
  EXPECT_LT(median_mm(backwards.mesh(), hand(kFrames - 1)), 0.04);
}

TEST(Robustness, SaysWhichCalibrationCannotBeUsed) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  using Break = std::function<void(Calibration&, double)>;
  const Break ways[] = {[](Calibration& c, double v) { c.depth.fx_px = v; },
                        [](Calibration& c, double v) { c.depth.fy_px = v; },
                        [](Calibration& c, double v) { c.depth.cx_px = v; },
                        [](Calibration& c, double v) { c.depth.cy_px = v; },
                        [](Calibration& c, double v) { c.depth_unit_mm = v; },
                        [](Calibration& c, double v) { c.baseline_mm = v; }};
  for (const Break& way : ways)
    for (const double value : {nan, infinity, -infinity}) {
      Calibration broken = half_camera();
      way(broken, value);
      Reconstruction scan(small_options(), broken);
      const auto outcome = scan.add(blank(0));
      ASSERT_FALSE(outcome.ok());
      EXPECT_EQ(outcome.error().code, ErrorCode::kInvalidArgument);
      EXPECT_NE(outcome.error().message.find("test-camera"), std::string::npos);
    }
}

}  // namespace
}  // namespace cusp
