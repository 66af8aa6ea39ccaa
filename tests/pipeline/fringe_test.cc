#include "pipeline/fringe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numbers>
#include <random>

#include "pipeline/fringe_kernel.h"
#include "pipeline/fringe_tables.h"
#include "pipeline/lens.h"
#include "pipeline/packed_frame.h"
#include "pipeline/reconstruction.h"
#include "pipeline/refine.h"

namespace cusp {
namespace {

using std::numbers::pi;

constexpr double kNear = 10, kFar = 20;

// A short-range wand: 16 x 12 mm at 15 mm, the projector 5 mm aside and turned towards the camera.
Calibration wand(std::vector<FringeOptics::Pattern> patterns) {
  Calibration device{.id = "wand-test",
                     .baseline_mm = 5,
                     .depth = {.width_px = 320,
                               .height_px = 240,
                               .fx_px = 300,
                               .fy_px = 300,
                               .cx_px = 159.5,
                               .cy_px = 119.5}};
  FringeOptics fringe;
  fringe.projector = {.width_px = 456,
                      .height_px = 570,
                      .fx_px = 400,
                      .fy_px = 400,
                      .cx_px = 227.5,
                      .cy_px = 284.5};
  fringe.projector_from_camera.linear() =
      Eigen::AngleAxisd(0.3, Eigen::Vector3d::UnitY()).toRotationMatrix();
  fringe.projector_from_camera.translation() =
      fringe.projector_from_camera.linear() * Eigen::Vector3d(-5, 0.2, 0.4);
  fringe.patterns = std::move(patterns);
  device.fringe = fringe;
  return device;
}

std::vector<FringeOptics::Pattern> steps(int count, double pitch_px) {
  std::vector<FringeOptics::Pattern> patterns;
  for (int k = 0; k < count; ++k) patterns.push_back({pitch_px, 2 * pi * k / count});
  return patterns;
}

// z of a tooth-like bump in front of a slanted wall, along the ray (x, y, 1) of a sensor there.
double scene_depth(double x, double y,
                   const RigidTransform& scene_from_sensor = RigidTransform::Identity(),
                   double relief_mm = 0) {
  double z = 15;
  for (int i = 0; i < 20; ++i) {
    const Eigen::Vector3d p = scene_from_sensor * Eigen::Vector3d(x * z, y * z, z);
    z += 15 + 0.1 * p.x() + 0.05 * p.y() - 1.5 * std::exp(-(p.x() * p.x() + p.y() * p.y()) / 12) +
         relief_mm * std::sin(2.1 * p.x() + 0.5) * std::sin(1.7 * p.y()) - p.z();
  }
  return z;
}

struct Light {
  double ambient = 40;
  double power = 150;
  double read_noise = 0;  // counts
  double shot_noise = 0;  // counts squared a count
  double flicker = 0;     // counts that a lamp adds and takes
  double gamma = 1;       // of the projector
  double relief_mm = 0;   // of the surface
  double spots = 0;       // share of the light that the surface's darker places take
};

// scene_from_sensor of a picture of the sequence.
using Way = std::function<RigidTransform(int picture)>;
RigidTransform stands_still(int) { return RigidTransform::Identity(); }

std::vector<RawFrame> photograph(const Calibration& device, std::uint32_t sequence,
                                 const Light& light = {}, const Way& way = stands_still) {
  const FringeOptics& optics = *device.fringe;
  const Intrinsics& camera = device.depth;
  const auto count = static_cast<int>(optics.patterns.size());
  std::minstd_rand random(sequence);
  std::normal_distribution<double> normal;
  std::vector<RawFrame> frames;
  for (int k = 0; k < count; ++k)
    frames.push_back(
        {.sequence = sequence * static_cast<std::uint64_t>(count) + static_cast<std::uint64_t>(k),
         .format = PixelFormat::kGrey8,
         .width_px = camera.width_px,
         .height_px = camera.height_px,
         .fringe = FringeIndex{sequence, k, count}});
  for (int row = 0; row < camera.height_px; ++row)
    for (int column = 0; column < camera.width_px; ++column) {
      const Eigen::Vector2d ray =
          *undistort(optics.camera_distortion,
                     {(column - camera.cx_px) / camera.fx_px, (row - camera.cy_px) / camera.fy_px});
      for (int k = 0; k < count; ++k) {
        const RigidTransform scene_from_sensor = way(k);
        const Eigen::Vector3d point =
            scene_depth(ray.x(), ray.y(), scene_from_sensor, light.relief_mm) * ray.homogeneous();
        const Eigen::Vector2d lit = distort(optics.projector_distortion,
                                            (optics.projector_from_camera * point).hnormalized());
        const double u = lit.x() * optics.projector.fx_px + optics.projector.cx_px;
        const Eigen::Vector3d at = scene_from_sensor * point;
        const double white =
            1 - light.spots * (0.5 + 0.5 * std::sin(3 * at.x()) * std::sin(3 * at.y()));
        const auto& pattern = optics.patterns[static_cast<std::size_t>(k)];
        const double shine =
            0.5 * (1 + std::cos(2 * pi * u / pattern.pitch_px - pattern.phase_rad));
        const double lamp = light.flicker * std::sin(2 * pi * 100 / 120 * k + sequence);
        const double mean =
            white * (light.ambient + light.power * std::pow(shine, light.gamma)) + lamp;
        const double value =
            mean + std::sqrt(light.read_noise * light.read_noise + light.shot_noise * mean) *
                       normal(random);
        frames[static_cast<std::size_t>(k)].bytes.push_back(
            static_cast<std::uint8_t>(std::clamp(std::lround(value), 0L, 255L)));
      }
    }
  return frames;
}

// A picture in grey whose brightness tells where on the surface it is.
int painted(const Eigen::Vector3d& at) {
  return static_cast<int>(std::lround(120 + 60 * std::sin(1.1 * at.x()) + 30 * std::sin(at.y())));
}
RawFrame colour_picture(const Calibration& device, std::uint64_t number,
                        const RigidTransform& scene_from_sensor) {
  const Intrinsics& camera = device.depth;
  const auto patterns = static_cast<int>(device.fringe->patterns.size());
  RawFrame frame{.sequence = number,
                 .format = PixelFormat::kYuy2,
                 .width_px = camera.width_px,
                 .height_px = camera.height_px,
                 .fringe = FringeIndex{0, patterns, patterns}};
  for (int row = 0; row < camera.height_px; ++row)
    for (int column = 0; column < camera.width_px; ++column) {
      const Eigen::Vector3d ray((column - camera.cx_px) / camera.fx_px,
                                (row - camera.cy_px) / camera.fy_px, 1);
      const double z = scene_depth(ray.x(), ray.y(), scene_from_sensor);
      frame.bytes.push_back(static_cast<std::uint8_t>(painted(scene_from_sensor * (z * ray))));
      frame.bytes.push_back(128);
    }
  return frame;
}
struct Errors {
  std::size_t measured = 0;
  double rms_um = 0;
  double worst_um = 0;
  double rms_sigmas = 0;  // in what was expected of each pixel
};

Errors compare(const Calibration& device, const DepthFrame& depth) {
  Errors errors;
  double sum = 0;
  double sum_sigmas = 0;
  const Intrinsics& camera = device.depth;
  for (int row = 0; row < camera.height_px; ++row)
    for (int column = 0; column < camera.width_px; ++column) {
      const auto i = static_cast<std::size_t>(row * camera.width_px + column);
      const float z = depth.depth_mm[i];
      EXPECT_EQ(z == 0, depth.sigma_mm[i] == 0);
      if (z == 0) continue;
      const double truth =
          scene_depth((column - camera.cx_px) / camera.fx_px, (row - camera.cy_px) / camera.fy_px);
      const double um = 1000 * std::abs(z - truth);
      sum += um * um;
      sum_sigmas += um * um / (1e6 * depth.sigma_mm[i] * depth.sigma_mm[i]);
      errors.worst_um = std::max(errors.worst_um, um);
      ++errors.measured;
    }
  const auto count = static_cast<double>(std::max<std::size_t>(errors.measured, 1));
  errors.rms_um = std::sqrt(sum / count);
  errors.rms_sigmas = std::sqrt(sum_sigmas / count);
  return errors;
}

class FringeTest : public testing::Test {
 protected:
  FringeDecoder make(const Calibration& device, double near = kNear, double far = kFar) {
    auto decoder = FringeDecoder::create(device, {.min_depth_mm = near, .max_depth_mm = far});
    EXPECT_TRUE(decoder.ok()) << decoder.error().message;
    return std::move(*decoder);
  }
  std::optional<DepthFrame> add_all(FringeDecoder& decoder, const std::vector<RawFrame>& frames) {
    std::optional<DepthFrame> last;
    for (const RawFrame& frame : frames) {
      auto depth = decoder.add(frame, pool_);
      EXPECT_TRUE(depth.ok()) << depth.error().message;
      last.reset();
      if (depth.ok() && *depth != nullptr) last = **depth;
    }
    return last;
  }
  WorkerPool pool_{2};
};

// 256 grey levels bound what can be told: a few micrometres at these pitches.
TEST_F(FringeTest, ThreeStepsMeasureATooth) {
  const Calibration device = wand(steps(3, 120));
  FringeDecoder decoder = make(device);
  const auto depth = add_all(decoder, photograph(device, 7));
  ASSERT_TRUE(depth);
  EXPECT_EQ(depth->sequence, 7u);
  const Errors errors = compare(device, *depth);
  EXPECT_GT(errors.measured, 70'000u);
  EXPECT_LT(errors.rms_um, 15);
  EXPECT_LT(errors.worst_um, 60);
}

TEST_F(FringeTest, FourStepsMeasureATooth) {
  const Calibration device = wand(steps(4, 120));
  FringeDecoder decoder = make(device);
  const auto depth = add_all(decoder, photograph(device, 1));
  ASSERT_TRUE(depth);
  EXPECT_LT(compare(device, *depth).rms_um, 12);
}

TEST_F(FringeTest, CoarseFringesTellFineOnesApart) {
  auto patterns = steps(3, 16);
  const auto cue = steps(3, 160);
  patterns.insert(patterns.end(), cue.begin(), cue.end());
  const Calibration device = wand(patterns);
  FringeDecoder decoder = make(device);
  const auto depth = add_all(decoder, photograph(device, 1));
  ASSERT_TRUE(depth);
  const Errors errors = compare(device, *depth);
  EXPECT_GT(errors.measured, 70'000u);
  EXPECT_LT(errors.rms_um, 2.5);
  EXPECT_LT(errors.worst_um, 12);

  // Without the cue several fringes fit the range: nothing is guessed.
  const Calibration fine_alone = wand(steps(3, 16));
  FringeDecoder unsure = make(fine_alone);
  const auto nothing = add_all(unsure, photograph(fine_alone, 1));
  ASSERT_TRUE(nothing);
  EXPECT_EQ(compare(fine_alone, *nothing).measured, 0u);
}

TEST_F(FringeTest, BothLensesAreTakenOut) {
  auto patterns = steps(3, 16);
  const auto cue = steps(3, 160);
  patterns.insert(patterns.end(), cue.begin(), cue.end());
  Calibration device = wand(patterns);
  device.fringe->camera_distortion = {.k1 = -0.12, .k2 = 0.05, .p1 = 0.001, .p2 = -0.002};
  device.fringe->projector_distortion = {.k1 = -0.08, .k2 = 0.02, .p1 = -0.001, .p2 = 0.001};
  FringeDecoder decoder = make(device);
  const auto depth = add_all(decoder, photograph(device, 1));
  ASSERT_TRUE(depth);
  const Errors errors = compare(device, *depth);
  EXPECT_GT(errors.measured, 65'000u);
  EXPECT_LT(errors.rms_um, 4);
}

// 8 mm/s and 20 degrees/s at 120 pictures/s, over a spotted surface.
TEST_F(FringeTest, MotionOfTheSensorIsTakenOutOnceItIsKnown) {
  for (const int fine_steps : {3, 4}) {
    auto patterns = steps(fine_steps, 16);
    const auto cue = steps(3, 160);
    patterns.insert(patterns.end(), cue.begin(), cue.end());
    Calibration device = wand(patterns);
    device.fringe->camera_distortion = {.k1 = -0.12, .k2 = 0.05, .p1 = 0.001, .p2 = -0.002};
    device.fringe->projector_distortion = {.k1 = -0.08, .k2 = 0.02, .p1 = -0.001, .p2 = 0.001};
    const auto count = static_cast<int>(patterns.size());
    const auto moved = [](double pictures) {
      RigidTransform motion = RigidTransform::Identity();
      motion.linear() =
          Eigen::AngleAxisd(0.003 * pictures, Eigen::Vector3d(1, -2, 2) / 3.0).toRotationMatrix();
      motion.translation() = pictures * Eigen::Vector3d(-0.04, 0.05, 0.04);
      return motion;
    };
    const auto way = [&](int picture) { return moved(picture - 0.5 * (fine_steps - 1)); };
    FringeDecoder decoder = make(device);
    ASSERT_TRUE(add_all(decoder, photograph(device, 0)));
    const auto as_if_still = add_all(decoder, photograph(device, 1, {.spots = 0.3}, way));
    ASSERT_TRUE(as_if_still);
    const Errors before = compare(device, *as_if_still);
    const DepthFrame followed = *decoder.follow(moved(count), pool_);
    const Errors after = compare(device, followed);
    EXPECT_EQ(followed.sequence, as_if_still->sequence);
    EXPECT_GT(after.measured, before.measured * 95 / 100);
    EXPECT_GT(before.rms_um, 15);
    EXPECT_LT(after.rms_um, 0.45 * before.rms_um);
    EXPECT_LT(after.worst_um, 100);

    // A wand that stood still is decoded as before.
    const auto still = add_all(decoder, photograph(device, 2));
    const Errors at_rest = compare(device, *still);
    const Errors at_rest_followed = compare(device, *decoder.follow(moved(0), pool_));
    EXPECT_NEAR(at_rest_followed.rms_um, at_rest.rms_um, 0.1);
  }
}

// So fast that the fringes stay where they are on the surface: no picture tells them apart there,
// and what was decoded as if it stood still is left.
TEST_F(FringeTest, MotionThatHoldsTheFringesOnTheSurfaceLosesNoPixels) {
  auto patterns = steps(3, 16);
  const auto cue = steps(3, 160);
  patterns.insert(patterns.end(), cue.begin(), cue.end());
  const Calibration device = wand(patterns);
  for (const double step_mm : {-0.2, 0.2}) {  // a third of a pitch
    const auto way = [&](int picture) {
      return RigidTransform(Eigen::Translation3d((picture - 1) * step_mm, 0, 0));
    };
    FringeDecoder decoder = make(device);
    ASSERT_TRUE(add_all(decoder, photograph(device, 0)));
    const auto as_if_still = add_all(decoder, photograph(device, 1, {}, way));
    ASSERT_TRUE(as_if_still);
    const std::size_t before = compare(device, *as_if_still).measured;
    const RigidTransform motion(Eigen::Translation3d(6 * step_mm, 0, 0));
    const Errors after = compare(device, *decoder.follow(motion, pool_));
    EXPECT_GT(after.measured, before * 9 / 10);
    EXPECT_LT(after.rms_um, 150);
    EXPECT_LT(after.rms_sigmas, 2) << "who can't be followed is not as sure as at rest";
  }
}

// Whatever counts the pictures: the device's clock tells how long the motion took.
TEST_F(FringeTest, MotionIsSpreadOverTheTimeThatItTook) {
  auto patterns = steps(3, 16);
  const auto cue = steps(3, 160);
  patterns.insert(patterns.end(), cue.begin(), cue.end());
  const Calibration device = wand(patterns);
  constexpr double kPictureNs = 1e9 / 120;
  const Eigen::Vector3d step_mm(0.05, 0.05, 0.05);
  const auto way = [&](int picture) {
    return RigidTransform(Eigen::Translation3d(step_mm * (picture - 1)));
  };
  const auto timed = [&](std::uint32_t sequence, double first_picture, const Way& moving) {
    auto frames = photograph(device, sequence, {}, moving);
    for (std::size_t k = 0; k < frames.size(); ++k)
      frames[k].device_time = std::chrono::nanoseconds(
          std::llround((first_picture + static_cast<double>(k)) * kPictureNs));
    return frames;
  };
  // Between one sequence's middle and the next's: no colour picture, one that takes as long as
  // three and is counted as one, a pause of two seconds.
  for (const double pictures : {6.0, 9.0, 246.0}) {
    FringeDecoder decoder = make(device);
    ASSERT_TRUE(add_all(decoder, timed(1, 0, stands_still)));
    const auto as_if_still = add_all(decoder, timed(2, pictures, way));
    ASSERT_TRUE(as_if_still);
    const RigidTransform motion(Eigen::Translation3d(step_mm * pictures));
    const DepthFrame* const followed = decoder.follow(motion, pool_);
    ASSERT_NE(followed, nullptr);
    const Errors before = compare(device, *as_if_still), after = compare(device, *followed);
    EXPECT_GT(before.rms_um, 10);
    EXPECT_LT(after.rms_um, 0.4 * before.rms_um) << pictures;
  }
  // As fast a hand gives as sure a depth, however long the sequence before is past.
  std::vector<DepthFrame> as_fast;
  for (const double pictures : {6.0, 246.0}) {
    FringeDecoder decoder = make(device);
    ASSERT_TRUE(add_all(decoder, timed(1, 0, stands_still)));
    ASSERT_TRUE(add_all(decoder, timed(2, pictures, way)));
    as_fast.push_back(
        *decoder.follow(RigidTransform(Eigen::Translation3d(step_mm * pictures)), pool_));
  }
  for (std::size_t i = 0; i < as_fast[0].depth_mm.size(); ++i) {
    ASSERT_NEAR(as_fast[0].depth_mm[i], as_fast[1].depth_mm[i], 1e-3);
    ASSERT_NEAR(as_fast[0].sigma_mm[i], as_fast[1].sigma_mm[i], 1e-3);
  }
  // A hand that moved in the pause and rests now.
  FringeDecoder decoder = make(device);
  ASSERT_TRUE(add_all(decoder, timed(1, 0, stands_still)));
  ASSERT_TRUE(add_all(decoder, timed(2, 246, stands_still)));
  const DepthFrame* const rests =
      decoder.follow(RigidTransform(Eigen::Translation3d(0.8, 0, 0)), pool_);
  ASSERT_NE(rests, nullptr);
  EXPECT_LT(compare(device, *rests).rms_um, 5);
}

TEST_F(FringeTest, MotionOfWhichTheTimeIsNotKnownIsLeft) {
  const Calibration device = wand(steps(3, 120));
  const RigidTransform motion(Eigen::Translation3d(0.3, 0, 0));
  FringeDecoder decoder = make(device);
  const auto timed = [&](std::uint32_t sequence, std::int64_t first_ns, std::int64_t step_ns) {
    auto frames = photograph(device, sequence);
    for (std::size_t k = 0; k < frames.size(); ++k)
      frames[k].device_time =
          std::chrono::nanoseconds(first_ns + static_cast<std::int64_t>(k) * step_ns);
    return frames;
  };
  ASSERT_TRUE(add_all(decoder, timed(1, 1000, 10)));
  EXPECT_EQ(decoder.follow(motion, pool_), nullptr) << "there is none before";
  ASSERT_TRUE(add_all(decoder, timed(2, 500, 10)));
  EXPECT_EQ(decoder.follow(motion, pool_), nullptr) << "the clock began anew";
  ASSERT_TRUE(add_all(decoder, timed(3, 540, 1'000'000)));
  EXPECT_EQ(decoder.follow(motion, pool_), nullptr) << "a sequence longer than since the last";
  ASSERT_TRUE(add_all(decoder, timed(3, 5'000'000, 0)));
  EXPECT_EQ(decoder.follow(motion, pool_), nullptr) << "one time for all of its pictures";
  ASSERT_TRUE(add_all(decoder, timed(3, 6'000'000, -10)));
  EXPECT_EQ(decoder.follow(motion, pool_), nullptr) << "the last before the first";
  ASSERT_TRUE(add_all(decoder, photograph(device, 4)));
  EXPECT_EQ(decoder.follow(motion, pool_), nullptr) << "by another clock";
  ASSERT_TRUE(add_all(decoder, photograph(device, 5)));
  EXPECT_NE(decoder.follow(motion, pool_), nullptr);
}

// Motion, a lamp, light that is not linear, noise: each pixel still knows how far it may be off.
TEST_F(FringeTest, WhatIsFollowedKnowsHowFarItMayBeOff) {
  const auto of = [](std::initializer_list<double> phases_deg, double pitch_px) {
    std::vector<FringeOptics::Pattern> patterns;
    for (const double phase : phases_deg) patterns.push_back({pitch_px, phase * pi / 180});
    return patterns;
  };
  const Light noisy{.read_noise = 1.5, .shot_noise = 0.03};
  const Light all{.read_noise = 1.5, .shot_noise = 0.03, .flicker = 4, .gamma = 1.2};
  struct Case {
    std::vector<FringeOptics::Pattern> patterns;
    Light light;
    double step_mm;
    double least, most;
  };
  for (const Case& c :
       {Case{of({0, 60, 120}, 120), noisy, 1e-9, 0.9, 1.1},
        Case{of({0, 45, 90}, 120), noisy, 1e-9, 0.9, 1.1},
        Case{steps(3, 16), noisy, 0.04, 0.9, 1.4}, Case{steps(3, 16), all, 0.04, 0.9, 1.6},
        Case{steps(4, 16), all, -0.04, 0.9, 1.6}}) {
    auto patterns = c.patterns;
    if (patterns.front().pitch_px < 100) {
      const auto cue = steps(3, 160);
      patterns.insert(patterns.end(), cue.begin(), cue.end());
    }
    const Calibration device = wand(patterns);
    const auto count = static_cast<int>(patterns.size());
    const auto fine = static_cast<double>(c.patterns.size());
    const auto way = [&](int picture) {
      return RigidTransform(Eigen::Translation3d((picture - 0.5 * (fine - 1)) * c.step_mm *
                                                 Eigen::Vector3d(1, 1, 1)));
    };
    auto decoder = FringeDecoder::create(
        device,
        {.min_depth_mm = kNear, .max_depth_mm = kFar, .read_noise = 1.5, .shot_noise = 0.03});
    ASSERT_TRUE(decoder.ok());
    ASSERT_TRUE(add_all(*decoder, photograph(device, 0, c.light)));
    ASSERT_TRUE(add_all(*decoder, photograph(device, 1, c.light, way)));
    const RigidTransform motion(Eigen::Translation3d(count * c.step_mm * Eigen::Vector3d(1, 1, 1)));
    const Errors errors = compare(device, *decoder->follow(motion, pool_));
    EXPECT_GT(errors.measured, 60'000u);
    EXPECT_GT(errors.rms_sigmas, c.least);
    EXPECT_LT(errors.rms_sigmas, c.most);
  }
}

// Nonsense must stay inside the pictures.
TEST_F(FringeTest, AnyMotionAtAllIsSurvived) {
  const Calibration device = wand(steps(3, 120));
  FringeDecoder decoder = make(device);
  ASSERT_TRUE(add_all(decoder, photograph(device, 0)));
  ASSERT_TRUE(add_all(decoder, photograph(device, 1)));
  for (const double mm : {1e-12, 3.0, 1e6, 1e300, std::numeric_limits<double>::infinity(),
                          std::numeric_limits<double>::quiet_NaN()}) {
    const RigidTransform motion(Eigen::Translation3d(mm, -mm, mm));
    EXPECT_GT(compare(device, *decoder.follow(motion, pool_)).measured, 50'000U) << mm;
  }
}

// A scan, from pictures to the model: the hand rests, moves, and then stops for two seconds in
// which the wand is moved and sends nothing, or many sequences are lost on the way.
TEST_F(FringeTest, ScanOfAMovingWandIsAsGoodAsOfOneThatRests) {
  auto patterns = steps(3, 16);
  const auto cue = steps(3, 160);
  patterns.insert(patterns.end(), cue.begin(), cue.end());
  const Calibration device = wand(patterns);
  constexpr double kPerSecond = 120, kReliefMm = 0.3;
  constexpr int kRests = 2, kMoves = 7, kRestsAgain = 2;
  struct Case {
    double speed_mm_s;         // while it moves,
    double pause_s, pause_mm;  // after that, which no number tells,
    std::uint32_t missing;     // or sequences that are lost, while it goes on at a fifth of that
    double most_um;
  };
  for (const Case& c : {Case{8, 0, 0, 0, 3.5}, Case{2, 2, 0.8, 0, 1.9}, Case{5, 0, 0, 12, 1.9}}) {
    Reconstruction reconstruction(
        {.voxel_mm = 0.1, .min_depth_mm = kNear, .max_depth_mm = kFar, .threads = 2}, device);
    const double moving_from_s = kRests * 6 / kPerSecond;
    const double moving_to_s = (kRests + kMoves) * 6 / kPerSecond;
    const double lost_s = c.missing * 6 / kPerSecond;
    const auto place = [&](double seconds) {
      double x_mm =
          c.speed_mm_s * (std::clamp(seconds, moving_from_s, moving_to_s) - moving_from_s);
      if (seconds > moving_to_s)
        x_mm += c.pause_mm +
                0.2 * c.speed_mm_s * std::min(seconds - moving_to_s, c.missing > 0 ? 10.0 : 0.0);
      return RigidTransform(Eigen::Translation3d(x_mm, 0.5 * x_mm, 0));
    };
    int fused = 0;
    double worst_mm = 0;
    for (int i = 0; i < kRests + kMoves + kRestsAgain; ++i) {
      const bool after = i >= kRests + kMoves;
      const double start_s = i * 6 / kPerSecond + (after ? c.pause_s + lost_s : 0);
      const auto way = [&](int k) { return place(start_s + k / kPerSecond); };
      const auto sequence = static_cast<std::uint32_t>(i) + (after ? c.missing : 0);
      auto pictures = photograph(
          device, sequence, {.read_noise = 1, .shot_noise = 0.02, .relief_mm = kReliefMm}, way);
      for (std::size_t k = 0; k < pictures.size(); ++k) {
        pictures[k].device_time = std::chrono::nanoseconds(
            std::llround(1e9 * (start_s + static_cast<double>(k) / kPerSecond)));
        const auto outcome = reconstruction.add(pictures[k]);
        ASSERT_TRUE(outcome.ok()) << outcome.error().message;
        if (!outcome->fused) continue;
        ++fused;
        worst_mm =
            std::max(worst_mm,
                     (outcome->pose.model_from_sensor.translation() - way(1).translation()).norm());
      }
    }
    double sum_um2 = 0;
    const Mesh mesh = reconstruction.mesh();
    for (const Eigen::Vector3f& v : mesh.vertices_mm) {
      const Eigen::Vector3d p = v.cast<double>();
      const double um = 1000 * (p.z() - scene_depth(p.x() / p.z(), p.y() / p.z(),
                                                    RigidTransform::Identity(), kReliefMm));
      sum_um2 += um * um;
    }
    const double rms_um = std::sqrt(sum_um2 / static_cast<double>(mesh.vertices_mm.size()));
    EXPECT_EQ(fused, kRests + kMoves + kRestsAgain);
    EXPECT_LT(worst_mm, 0.004);
    EXPECT_LT(rms_um, c.most_um);
  }
}

// One sequence in four has a colour picture before it; all of them are kept.
TEST_F(FringeTest, ScanOfAWandIsFinishedInItsColours) {
  auto patterns = steps(3, 16);
  const auto cue = steps(3, 160);
  patterns.insert(patterns.end(), cue.begin(), cue.end());
  const Calibration device = wand(patterns);
  const ReconstructionOptions options{
      .voxel_mm = 0.1, .min_depth_mm = kNear, .max_depth_mm = kFar, .threads = 2};
  Reconstruction reconstruction(options, device);
  const auto place = [](int picture) {
    return RigidTransform(Eigen::Translation3d(0.004 * picture, 0.002 * picture, 0));
  };
  int picture = 0, coloured = 0;
  for (std::uint32_t i = 0; i < 24; ++i) {
    if (i % 4 == 3) {
      ++picture;
      const auto taken = static_cast<std::uint64_t>(picture);
      ASSERT_TRUE(reconstruction.add(colour_picture(device, taken, place(picture))).ok());
      ++picture;
      ++coloured;
    }
    const int first = picture;
    auto frames = photograph(device, i, {.read_noise = 1, .shot_noise = 0.02, .relief_mm = 0.3},
                             [&](int k) { return place(first + k); });
    for (RawFrame& frame : frames) {
      frame.sequence = static_cast<std::uint64_t>(picture++);
      ASSERT_TRUE(reconstruction.add(frame).ok());
    }
  }
  EXPECT_EQ(reconstruction.counts().lost, 0u);
  int kept = 0;
  for (const ScanEntry& entry : reconstruction.log().entries())
    if (const auto* frame = std::get_if<KeptFrame>(&entry))
      kept += unpack(*frame->packed)->rgb.empty() ? 0 : 1;
  EXPECT_EQ(kept, coloured);

  const auto refined = refine(reconstruction.log(), options, device);
  ASSERT_TRUE(refined.ok()) << refined.error().message;
  const std::vector<Rgb> colours = refined->colours.of(refined->mesh, pool_);
  ASSERT_EQ(colours.size(), refined->mesh.vertices_mm.size());
  double sum = 0;
  for (std::size_t i = 0; i < colours.size(); ++i) {
    const double off =
        colours[i][1] - 255.0 / 219 * (painted(refined->mesh.vertices_mm[i].cast<double>()) - 16);
    sum += off * off;
  }
  EXPECT_LT(std::sqrt(sum / static_cast<double>(colours.size())), 6);
}

// A few frames, none of which counts as much as a usual one: yet each knows the surface to a part
// of a voxel.
TEST_F(FringeTest, ScanInFaintLightIsFinishedWithAllThatWasSeen) {
  auto patterns = steps(3, 16);
  const auto cue = steps(3, 160);
  patterns.insert(patterns.end(), cue.begin(), cue.end());
  const Calibration device = wand(patterns);
  const ReconstructionOptions options{
      .voxel_mm = 0.1, .min_depth_mm = kNear, .max_depth_mm = kFar, .threads = 2};
  Reconstruction reconstruction(options, device);
  for (std::uint32_t i = 0; i < 7; ++i)
    for (const RawFrame& frame : photograph(
             device, i, {.power = 17, .read_noise = 0.6, .shot_noise = 0.005, .relief_mm = 0.3}))
      ASSERT_TRUE(reconstruction.add(frame).ok());
  EXPECT_EQ(reconstruction.counts().lost, 0u);
  const auto refined = refine(reconstruction.log(), options, device);
  ASSERT_TRUE(refined.ok()) << refined.error().message;
  // Of 16 x 12 mm at two triangles a voxel.
  EXPECT_GT(refined->mesh.triangles.size(), 25'000u);
}

TEST_F(FringeTest, WhatIsTooDarkOrTooBrightIsNotMeasured) {
  const Calibration device = wand(steps(3, 120));
  FringeDecoder decoder = make(device);
  const auto dark = add_all(decoder, photograph(device, 1, {.ambient = 40, .power = 4}));
  ASSERT_TRUE(dark);
  EXPECT_EQ(compare(device, *dark).measured, 0u);
  const auto bright = add_all(decoder, photograph(device, 2, {.ambient = 250, .power = 250}));
  ASSERT_TRUE(bright);
  EXPECT_EQ(compare(device, *bright).measured, 0u);
}

// Over bright and dark parts, near and far ones, and for both ways of stepping.
TEST_F(FringeTest, TellsOfEachPixelHowFarItMayBeOff) {
  auto with_cue = steps(4, 16);
  const auto cue = steps(3, 160);
  with_cue.insert(with_cue.end(), cue.begin(), cue.end());
  for (const auto& patterns : {steps(3, 120), with_cue}) {
    const Calibration device = wand(patterns);
    auto decoder = FringeDecoder::create(
        device,
        {.min_depth_mm = kNear, .max_depth_mm = kFar, .read_noise = 1.5, .shot_noise = 0.03});
    ASSERT_TRUE(decoder.ok());
    for (const double power : {60.0, 180.0}) {
      const auto depth = add_all(
          *decoder, photograph(device, 1, {.power = power, .read_noise = 1.5, .shot_noise = 0.03}));
      ASSERT_TRUE(depth);
      const Errors errors = compare(device, *depth);
      EXPECT_GT(errors.measured, 60'000u);
      EXPECT_NEAR(errors.rms_sigmas, 1, 0.1) << "power " << power;
    }
  }
}

// Two pitches tell each other what is not the surface's.
TEST_F(FringeTest, LampThatFlickersAndLightThatIsNotLinearAreTakenOut) {
  auto with_cue = steps(3, 16);
  const auto cue = steps(3, 160);
  with_cue.insert(with_cue.end(), cue.begin(), cue.end());
  const Light calm{.read_noise = 1, .shot_noise = 0.02};
  for (const Light& light :
       {Light{.read_noise = 1, .shot_noise = 0.02, .flicker = 4},
        Light{.read_noise = 1, .shot_noise = 0.02, .gamma = 1.2},
        Light{.read_noise = 1, .shot_noise = 0.02, .flicker = 4, .gamma = 1.2}}) {
    const Calibration device = wand(with_cue);
    FringeDecoder decoder = make(device), at_rest = make(device);
    for (std::uint32_t sequence = 1; sequence < 4; ++sequence) {
      const auto disturbed = add_all(decoder, photograph(device, sequence, light));
      const auto undisturbed = add_all(at_rest, photograph(device, sequence, calm));
      ASSERT_TRUE(disturbed && undisturbed);
      EXPECT_LT(compare(device, *disturbed).rms_um, 1.2 * compare(device, *undisturbed).rms_um);
      EXPECT_GT(compare(device, *disturbed).measured, 70'000u);
    }
  }
  // One pitch alone has nothing to be told by.
  const Calibration alone = wand(steps(3, 120));
  FringeDecoder decoder = make(alone), at_rest = make(alone);
  const auto disturbed = add_all(decoder, photograph(alone, 1, {.flicker = 4}));
  const auto undisturbed = add_all(at_rest, photograph(alone, 1));
  ASSERT_TRUE(disturbed && undisturbed);
  EXPECT_GT(compare(alone, *disturbed).rms_um, 2 * compare(alone, *undisturbed).rms_um);
}

// A cue that is unambiguous over the wall behind as well: nothing of it is taken for the object.
TEST_F(FringeTest, WhatLiesOutsideTheRangeIsNotMeasured) {
  auto patterns = steps(3, 16);
  const auto cue = steps(3, 160);
  patterns.insert(patterns.end(), cue.begin(), cue.end());
  const Calibration device = wand(patterns);
  const auto all = photograph(device, 1);
  FringeDecoder wide = make(device);
  const auto whole = add_all(wide, all);
  FringeDecoder decoder = make(device, 14, 15);
  const auto part = add_all(decoder, all);
  ASSERT_TRUE(whole && part);
  std::size_t within = 0;
  for (std::size_t i = 0; i < whole->depth_mm.size(); ++i) {
    const float z = whole->depth_mm[i];
    if (z > 14.01F && z < 14.99F) {
      ++within;
      EXPECT_NEAR(part->depth_mm[i], z, 2e-3);
    } else if (z < 13.99F || z > 15.01F) {
      EXPECT_EQ(part->depth_mm[i], 0);
    }
  }
  EXPECT_GT(within, 10'000u);
}

TEST_F(FringeTest, SequenceThatLacksAPictureIsCountedAndNeverMixedWithAnother) {
  const Calibration device = wand(steps(3, 120));
  FringeDecoder decoder = make(device);
  const auto first = photograph(device, 1);
  const auto second = photograph(device, 2);
  EXPECT_FALSE(add_all(decoder, {first[0], first[2], second[0], second[1]}));
  EXPECT_EQ(decoder.incomplete(), 1u);
  EXPECT_TRUE(add_all(decoder, {second[2]}));
  EXPECT_EQ(decoder.incomplete(), 1u);
}

// Root mean square error of what a frame's pixels were painted with, ITU-R BT.601; infinite when
// fewer than nine of ten have a colour.
double colour_error(const DepthFrame& depth) {
  const Intrinsics& camera = depth.intrinsics;
  double sum = 0;
  std::size_t measured = 0, coloured = 0;
  for (int row = 0; row < camera.height_px; ++row)
    for (int column = 0; column < camera.width_px; ++column) {
      const auto i = static_cast<std::size_t>(row * camera.width_px + column);
      const double z = depth.depth_mm[i];
      if (z == 0) continue;
      ++measured;
      if (depth.rgb.empty() || depth.rgb[3 * i] == 0) continue;
      ++coloured;
      const Eigen::Vector3d at((column - camera.cx_px) / camera.fx_px * z,
                               (row - camera.cy_px) / camera.fy_px * z, z);
      const double off = depth.rgb[3 * i] - 255.0 / 219 * (painted(at) - 16);
      sum += off * off;
    }
  if (10 * coloured < 9 * measured) return std::numeric_limits<double>::infinity();
  return std::sqrt(sum / static_cast<double>(coloured));
}

// It was taken at another time, from another place.
TEST_F(FringeTest, ColoursAreThoseOfThePictureInBetween) {
  const Calibration device = wand(steps(3, 120));
  const Eigen::Vector3d step_mm(0.06, 0.03, 0.02);  // a picture
  // The second sequence is pictures 8 to 10, seen at 9; a colour picture is somewhere before.
  const auto place = [&](double picture) -> RigidTransform {
    return Eigen::Translation3d(step_mm * (picture - 9)) *
           Eigen::AngleAxisd(0.008 * (picture - 9), Eigen::Vector3d(1, 2, 3).normalized());
  };
  const auto sequence = [&](std::uint32_t which, int first) {
    auto frames =
        photograph(device, which, {}, [&](int k) { return place(static_cast<double>(first + k)); });
    for (std::size_t k = 0; k < frames.size(); ++k)
      frames[k].sequence = static_cast<std::uint64_t>(first) + k;
    return frames;
  };
  const RigidTransform motion = place(1).inverse() * place(9);
  for (const int taken : {1, 3, 5, 7}) {
    FringeDecoder decoder = make(device);
    ASSERT_TRUE(add_all(decoder, sequence(0, 0)));
    const auto number = static_cast<std::uint64_t>(taken);
    ASSERT_TRUE(decoder.add(colour_picture(device, number, place(taken)), pool_));
    const auto first = add_all(decoder, sequence(1, 8));
    ASSERT_TRUE(first);
    EXPECT_TRUE(first->rgb.empty()) << "nobody knows yet from where the picture was taken";
    const DepthFrame* followed = decoder.follow(motion, pool_);
    ASSERT_NE(followed, nullptr);
    EXPECT_LT(colour_error(*followed), 4) << taken;
    ASSERT_NE(followed = decoder.follow(RigidTransform::Identity(), pool_), nullptr);
    EXPECT_TRUE(followed->rgb.empty()) << "a picture is used once";
  }
  // By another motion than it was, it does not fit.
  FringeDecoder decoder = make(device);
  ASSERT_TRUE(add_all(decoder, sequence(0, 0)));
  ASSERT_TRUE(decoder.add(colour_picture(device, 3, place(3)), pool_));
  ASSERT_TRUE(add_all(decoder, sequence(1, 8)));
  EXPECT_GT(colour_error(*decoder.follow(RigidTransform::Identity(), pool_)), 10);
}

TEST_F(FringeTest, ColoursOfNoKnownPlaceAreLeft) {
  const Calibration device = wand(steps(3, 120));
  const RigidTransform rests = RigidTransform::Identity();
  const auto numbered = [&](std::uint32_t which) {
    auto frames = photograph(device, which);
    for (std::size_t k = 0; k < frames.size(); ++k) frames[k].sequence = 10 * which + k;
    return frames;
  };
  // Before the first sequence, or after the last; of another clock.
  RawFrame by_clock = colour_picture(device, 15, rests);
  by_clock.device_time = std::chrono::nanoseconds(15);
  for (const RawFrame& picture :
       {colour_picture(device, 9, rests), colour_picture(device, 22, rests), by_clock}) {
    FringeDecoder decoder = make(device);
    ASSERT_TRUE(add_all(decoder, numbered(1)));
    ASSERT_TRUE(decoder.add(picture, pool_));
    ASSERT_TRUE(add_all(decoder, numbered(2)));
    const DepthFrame* const followed = decoder.follow(rests, pool_);
    ASSERT_NE(followed, nullptr);
    EXPECT_TRUE(followed->rgb.empty());
  }
}

TEST_F(FringeTest, ColourPictureThatIsNotWholeIsRefused) {
  const Calibration device = wand(steps(3, 120));
  FringeDecoder decoder = make(device);
  RawFrame cut = colour_picture(device, 7, RigidTransform::Identity());
  cut.bytes.pop_back();
  const auto refused = decoder.add(cut, pool_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("frame 7"));
  EXPECT_TRUE(add_all(decoder, photograph(device, 1))) << "the depth is whole";
}

// Replays of one recording on two machines give one model.
TEST_F(FringeTest, SameBitsWithAndWithoutTheProcessorsVectors) {
  constexpr std::size_t kWidth = 331;  // neither a multiple of a vector nor of a chunk
  constexpr std::size_t kPictures = 7, kRows = 6, kFirstRow = 2;
  std::minstd_rand random(3);
  std::uniform_real_distribution<float> anywhere(-0.4F, 0.4F);
  std::vector<FringeRays> rays(kWidth / kFringeLanes + 1);
  for (FringeRays& eight : rays)
    eight = {.lit = random() % 256,  // some of them nowhere
             .middle_px = {260 + 100 * anywhere(random), anywhere(random)},
             .reach_px = {80 + 70 * anywhere(random), anywhere(random)},
             .low_powers = {{{0.07F, 1e-4F * anywhere(random), 1e-7F * anywhere(random)},
                             {1e-3F * anywhere(random), 1e-6F * anywhere(random),
                              1e-8F * anywhere(random)}}},
             .high_powers = {{{5e-7F * anywhere(random), 1e-9F * anywhere(random)},
                              {3e-7F * anywhere(random), 0}}},
             .fourth_power = 2e-7F * anywhere(random)};
  // Four of one pitch, and three of another, of which one has no partner.
  std::vector<FringePitch> pitches = {
      {.pitch_px = 160,
       .pairs = {{{0, 1}, {32766, 0}, {0, 32766}, {1, 1}},
                 {{2, 3}, {-32766, 0}, {0, -32766}, {1, 1}}},
       .per_weight = 0.5F / 32766,
       .pictures = 4,
       .phase_noise = 0.7F,
       .bend = {.cosine = 0.7F, .sine = -1.2F, .order = 4, .harmonic = -0.01F}},
      {.pitch_px = 16,
       .pairs = {{{4, 5}, {32766, -16383}, {0, 28376}, {1, 1}},
                 {{6, 6}, {-16383, 0}, {-28376, 0}, {1, 0}}},
       .per_weight = 2.0F / 3 / 32766,
       .pictures = 3,
       .phase_noise = 0.8F,
       .bend = {.cosine = -2, .sine = 0.4F, .order = 3, .harmonic = 0.02F}}};
  for (FringePitch& pitch : pitches)
    for (std::size_t k = 0; k < pitch.pictures; ++k) {
      const float turns = static_cast<float>(k) / static_cast<float>(pitch.pictures);
      const std::size_t picture = pitch.pitch_px > 100 ? k : 4 + k;
      pitch.steps.push_back({.picture = picture,
                             .cosine = std::cos(2 * static_cast<float>(pi) * turns),
                             .sine = std::sin(2 * static_cast<float>(pi) * turns),
                             .turns = turns,
                             .time = static_cast<float>(picture) - 5});
    }
  // From rest to beyond the pictures.
  std::vector<FringeFlow> flows(rays.size());
  for (FringeFlow& flow : flows)
    flow = {.column = {{{6 * anywhere(random), 0.1F * anywhere(random)}, {anywhere(random), 0}}},
            .row = {{{0.2F * anywhere(random), 0.01F * anywhere(random)}, {0, 0}}},
            .fringe = {{{6 * anywhere(random), 0.1F * anywhere(random)},
                        {anywhere(random), 0},
                        {0.1F * anywhere(random), 0}}}};
  const FringeGates gates{
      .min_modulation = 6, .saturated_from = 254, .read_noise = 1, .shot_noise = 0.02F};
  // The lens: mostly neighbours of neighbours, but jumps over rows and wide steps as well.
  std::vector<FringeSources> sources;
  for (std::size_t i = 0; i < kWidth; i += kFringeLanes) {
    const float middle = static_cast<float>(i) + fringe_way(kFringeLanes - 1);
    const bool fits = 1.3F * static_cast<float>(i + kFringeLanes) < kWidth;
    const float stretch = i < 150 || !fits ? 0.98F : 1.3F;
    sources.push_back({.seen = i + kFringeLanes > kWidth ? 7U : random() % 256,
                       .column = {stretch * middle, stretch, 1e-3F},
                       .row = {0.003F * middle, 0.003F, -1e-5F}});
  }
  std::size_t measured = 0, straightened = 0, sampled = 0, changed = 0;
  for (int round = 0; round < 50; ++round) {
    std::vector<std::uint8_t> pictures(kPictures * kRows * kWidth + kFringeLanes);
    // Dark stretches, too.
    for (std::size_t i = 0; i < pictures.size(); ++i)
      pictures[i] = static_cast<std::uint8_t>(i % kWidth < 60 ? 9 : random() % 256);
    const auto decode = [&](const FringeKernel& kernel, bool moves) {
      constexpr std::size_t kSize = 3 * kWidth + kFringeLanes;
      std::vector<float> all(2 * kSize + 2 * kWidth);
      float* const depth = all.data() + 2 * kSize;
      for (std::size_t y = 0; y < 2; ++y) {
        std::vector<const std::uint8_t*> rows;
        for (std::size_t k = 0; k < kPictures; ++k)
          rows.push_back(pictures.data() + (kRows * k + kFirstRow + y) * kWidth);
        const FringeFlows of_row{.flows = flows.data(),
                                 .y = static_cast<std::int32_t>(kFirstRow + y),
                                 .width = kWidth,
                                 .height = kRows,
                                 .middle = 0.07F,
                                 .per_reach = 50};
        kernel.decode(pitches, rows.data(), rays.data(), moves ? &of_row : nullptr, kWidth, gates,
                      all.data() + y * kWidth, all.data() + kSize + y * kWidth);
      }
      const BentDepth bent{.inverse_depth = all.data(),
                           .inverse_sigma = all.data() + kSize,
                           .width = kWidth,
                           .pixel_at_1mm = 0.002F};
      kernel.straighten(bent, sources.data(), kWidth, depth, depth + kWidth);
      return all;
    };
    const auto plain = decode(baseline_fringe_kernel(), false);
    const auto quick = decode(fringe_kernel(), false);
    ASSERT_EQ(std::memcmp(plain.data(), quick.data(), plain.size() * sizeof(float)), 0);
    const auto followed = decode(baseline_fringe_kernel(), true);
    const auto quickly_followed = decode(fringe_kernel(), true);
    ASSERT_EQ(
        std::memcmp(followed.data(), quickly_followed.data(), followed.size() * sizeof(float)), 0);
    for (std::size_t i = 0; i < kWidth; ++i) changed += followed[i] != plain[i] ? 1 : 0;
    const auto sample = [&](const FringeKernel& kernel) {
      std::vector<const std::uint8_t*> row;
      for (std::size_t k = 0; k < kPictures; ++k)
        row.push_back(pictures.data() + kRows * k * kWidth);
      std::vector<FringeWaves> all;
      for (std::size_t i = 0; i < kWidth / kFringeLanes; ++i) {
        std::vector<FringeWaves> waves(pitches.size());
        if (kernel.sample(pitches, row.data(), rays[i], i * kFringeLanes, gates, waves.data()))
          all.insert(all.end(), waves.begin(), waves.end());
      }
      return all;
    };
    const auto plain_waves = sample(baseline_fringe_kernel());
    const auto quick_waves = sample(fringe_kernel());
    ASSERT_EQ(plain_waves.size(), quick_waves.size());
    ASSERT_EQ(std::memcmp(plain_waves.data(), quick_waves.data(),
                          plain_waves.size() * sizeof(FringeWaves)),
              0);
    sampled += plain_waves.size();
    const auto seen = [](float z) { return z > 0; };
    measured +=
        static_cast<std::size_t>(std::count_if(plain.begin(), plain.begin() + 2 * kWidth, seen));
    straightened += static_cast<std::size_t>(
        std::count_if(plain.end() - 2 * kWidth, plain.end() - kWidth, seen));
  }
  EXPECT_GT(measured, 1000u) << "a test of zeros shows nothing";
  EXPECT_GT(straightened, 500u);
  EXPECT_GT(sampled, 500u);
  EXPECT_GT(changed, measured / 4);
}

TEST_F(FringeTest, SameBitsWithAnyNumberOfThreads) {
  auto patterns = steps(3, 16);
  const auto cue = steps(3, 160);
  patterns.insert(patterns.end(), cue.begin(), cue.end());
  const Calibration device = wand(patterns);
  const auto way = [](int picture) {
    return RigidTransform(Eigen::Translation3d(0.04 * picture, 0.02 * picture, 0));
  };
  const Light light{.read_noise = 1, .shot_noise = 0.02, .flicker = 4, .gamma = 1.2};
  const auto first = photograph(device, 1, light), second = photograph(device, 2, light, way);
  const auto measured = [&](int threads) {
    WorkerPool pool(threads);
    FringeDecoder decoder = make(device);
    std::vector<DepthFrame> frames;
    for (const auto& pictures : {first, second})
      for (const RawFrame& picture : pictures)
        if (const auto depth = decoder.add(picture, pool); *depth != nullptr)
          frames.push_back(**depth);
    frames.push_back(*decoder.follow(way(6), pool));
    return frames;
  };
  const auto one = measured(1);
  ASSERT_EQ(one.size(), 3u);
  EXPECT_NE(one[1].depth_mm, one[2].depth_mm);
  for (const int threads : {2, 3, 7}) {
    const auto many = measured(threads);
    for (std::size_t i = 0; i < one.size(); ++i) {
      EXPECT_EQ(one[i].depth_mm, many[i].depth_mm) << threads;
      EXPECT_EQ(one[i].sigma_mm, many[i].sigma_mm) << threads;
    }
  }
}

TEST_F(FringeTest, PicturesThatDoNotFitTheCalibrationAreRefused) {
  const Calibration device = wand(steps(3, 120));
  FringeDecoder decoder = make(device);
  RawFrame frame = photograph(device, 1).front();
  RawFrame no_fringe = frame;
  no_fringe.fringe.reset();
  EXPECT_EQ(decoder.add(no_fringe, pool_).error().code, ErrorCode::kInvalidArgument);
  RawFrame other = frame;
  other.fringe->patterns = 4;
  EXPECT_THAT(decoder.add(other, pool_).error().message, testing::HasSubstr("wand-test"));
  RawFrame beyond = frame;
  beyond.fringe->pattern = 4;
  EXPECT_FALSE(decoder.add(beyond, pool_).ok());
  RawFrame cut = frame;
  cut.bytes.pop_back();
  EXPECT_FALSE(decoder.add(cut, pool_).ok());
}

TEST_F(FringeTest, CalibrationsThatFixNoDepthAreRefused) {
  const auto refused = [](const Calibration& device) {
    const auto made = FringeDecoder::create(device, {.min_depth_mm = 10, .max_depth_mm = 20});
    return !made.ok() && made.error().code == ErrorCode::kInvalidArgument &&
           made.error().message.find("wand-test") != std::string::npos;
  };
  EXPECT_TRUE(refused(wand({})));
  EXPECT_TRUE(refused(wand(steps(2, 100))));
  EXPECT_TRUE(refused(wand({{100, 0}, {100, 0}, {100, 0}})));
  EXPECT_TRUE(refused(wand(steps(3, 0))));
  EXPECT_TRUE(refused(wand(steps(3, std::nan("")))));
  Calibration no_projector = wand(steps(3, 100));
  no_projector.fringe.reset();
  EXPECT_TRUE(refused(no_projector));
  Calibration together = wand(steps(3, 100));
  together.fringe->projector_from_camera.setIdentity();
  EXPECT_TRUE(refused(together));
  Calibration flat = wand(steps(3, 100));
  flat.depth.fx_px = 0;
  EXPECT_TRUE(refused(flat));
}

// What is looked up instead of two lenses and a baseline.
TEST_F(FringeTest, DepthIsLookedUpWithinMillionthsOfItself) {
  Calibration device = wand(steps(3, 120));
  device.fringe->camera_distortion = {.k1 = -0.12, .k2 = 0.05, .p1 = 0.001, .p2 = -0.002};
  device.fringe->projector_distortion = {.k1 = -0.08, .k2 = 0.02, .p1 = -0.001, .p2 = 0.001};
  const auto tables = FringeTables::create(device, kNear, kFar);
  ASSERT_TRUE(tables.ok()) << tables.error().message;
  EXPECT_LT(tables->misses, 3e-6);
  EXPECT_GT(tables->misses, 0) << "nothing was looked at";

  // A lens that folds its picture over can't be looked up.
  device.fringe->projector_distortion = {.k1 = 2, .k2 = -5};
  const auto folded = FringeDecoder::create(device, {.min_depth_mm = kNear, .max_depth_mm = kFar});
  ASSERT_FALSE(folded.ok());
  EXPECT_THAT(folded.error().message, testing::HasSubstr("wand-test"));
}

}  // namespace
}  // namespace cusp
