#include "pipeline/reconstruction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "core/check.h"
#include "pipeline/noise_model.h"
#include "pipeline/packed_frame.h"
#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

using testing::above;
using testing::BumpyDisc;
using testing::empty_frame;
using testing::hand;
using testing::render;
using testing::small_camera;
using testing::small_options;

constexpr int kFrames = 60;
constexpr double kPoseLimitMm = 0.35;  // one voxel

const BumpyDisc& disc() {
  static const BumpyDisc scene;
  return scene;
}

// The hand's path is rendered once for all tests.
const std::vector<RawFrame>& path() {
  static const std::vector<RawFrame> frames = [] {
    std::vector<RawFrame> made;
    for (int k = 0; k < kFrames; ++k)
      made.push_back(render(disc(), hand(k), static_cast<std::uint64_t>(k)));
    return made;
  }();
  return frames;
}

Reconstruction scanner(ReconstructionOptions options = small_options()) {
  return {options, small_camera()};
}

// How far the pose is from the true one, at the middle of the scene.
double pose_error_mm(const Pose& pose, const RigidTransform& first, const RigidTransform& truth) {
  const Eigen::Vector3d middle = truth.inverse() * Eigen::Vector3d(0, 0, 4);
  return (first * (pose.model_from_sensor * middle) - truth * middle).norm();
}

void expect_true_or_lost(const FrameOutcome& outcome, const RigidTransform& truth) {
  if (!outcome.pose.usable()) return;
  EXPECT_LT(pose_error_mm(outcome.pose, hand(0), truth), kPoseLimitMm);
}

void scan_path(Reconstruction& scan) {
  for (const RawFrame& frame : path()) ASSERT_TRUE(scan.add(frame).ok());
}

bool same_bits(const Mesh& a, const Mesh& b) {
  return a.vertices_mm.size() == b.vertices_mm.size() && a.triangles == b.triangles &&
         std::memcmp(a.vertices_mm.data(), b.vertices_mm.data(),
                     a.vertices_mm.size() * sizeof(a.vertices_mm[0])) == 0;
}

TEST(Reconstruction, FollowsAHandAndMeasuresTheSurface) {
  Reconstruction scan = scanner();
  for (int k = 0; k < kFrames; ++k) {
    const auto outcome = scan.add(path()[static_cast<std::size_t>(k)]);
    ASSERT_TRUE(outcome.ok());
    ASSERT_EQ(outcome.value().pose.verdict, PoseVerdict::kTracked) << "frame " << k;
    EXPECT_LT(pose_error_mm(outcome.value().pose, hand(0), hand(k)), kPoseLimitMm);
  }
  EXPECT_EQ(scan.counts().tracked, kFrames);
  EXPECT_EQ(scan.counts().lost, 0U);

  const Mesh mesh = scan.mesh();
  ASSERT_GT(mesh.triangles.size(), 20000U);
  ASSERT_TRUE(validate(mesh).ok());
  EXPECT_GT(scan.triangle_estimate(), mesh.triangles.size() / 4);
  EXPECT_LT(scan.triangle_estimate(), mesh.triangles.size() * 4);
  // Rigid residue of the first frame's noise included: no best fit here.
  std::vector<double> errors;
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm)
    errors.push_back(std::abs(disc().distance_mm(hand(0) * vertex.cast<double>())));
  std::sort(errors.begin(), errors.end());
  const double median = errors[errors.size() / 2];
  const double p95 = errors[errors.size() * 95 / 100];
  std::printf("surface error: median %.1f um, 95 %% %.1f um\n", 1e3 * median, 1e3 * p95);
  EXPECT_LT(median, 0.04);
  EXPECT_LT(p95, 0.15);
}

// Voxels of several pixels: everything sees squares of four, and the log the sensor's pixels.
TEST(Reconstruction, FollowsAHandByBinnedPixelsAndMakesItsModelAgain) {
  ReconstructionOptions options = small_options();
  options.voxel_mm = 0.45;
  ASSERT_EQ(NoiseModel(options, small_camera()).binning(), 2);
  Reconstruction scan = scanner(options);
  for (int k = 0; k < kFrames; ++k) {
    const auto outcome = scan.add(path()[static_cast<std::size_t>(k)]);
    ASSERT_TRUE(outcome.ok());
    ASSERT_EQ(outcome.value().pose.verdict, PoseVerdict::kTracked) << "frame " << k;
    EXPECT_LT(pose_error_mm(outcome.value().pose, hand(0), hand(k)), kPoseLimitMm);
  }
  const auto& entries = scan.log().entries();
  const auto frame = unpack(*std::get<KeptFrame>(entries.front()).packed);
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(frame->intrinsics, small_camera().depth);

  const auto again = Reconstruction::go_on(options, small_camera(), scan.log());
  ASSERT_TRUE(again.ok()) << again.error().message;
  for (const Mesh& mesh : {scan.mesh(), again->mesh()}) {
    ASSERT_GT(mesh.triangles.size(), 10000U);
    std::vector<double> errors;
    for (const Eigen::Vector3f& vertex : mesh.vertices_mm)
      errors.push_back(std::abs(disc().distance_mm(hand(0) * vertex.cast<double>())));
    std::ranges::sort(errors);
    EXPECT_LT(errors[errors.size() / 2], 0.04);
    EXPECT_LT(errors[errors.size() * 95 / 100], 0.15);
  }
}

// The sigma that the log's last kept frame carries over that of one frame, in its median.
double noise_share(const Reconstruction& scan) {
  const NoiseModel noise(small_options(), small_camera());
  const auto& entries = scan.log().entries();
  const auto last = std::find_if(entries.rbegin(), entries.rend(), [](const ScanEntry& entry) {
    return std::holds_alternative<KeptFrame>(entry);
  });
  const auto frame = unpack(*std::get<KeptFrame>(*last).packed);
  CUSP_CHECK(frame.ok(), "a kept frame can be read");
  std::vector<double> shares;
  for (std::size_t i = 0; i < frame->depth_mm.size(); ++i)
    if (const float z = frame->depth_mm[i]; z > 0)
      shares.push_back(frame->sigma_mm.empty() ? 1 : frame->sigma_mm[i] / noise.sigma_mm(z));
  std::ranges::sort(shares);
  return shares[shares.size() / 2];
}

TEST(Reconstruction, KeptFramesHoldWhatWasMeasuredBetweenThemButNotBeforeALoss) {
  Reconstruction scan = scanner();
  std::uint64_t kept = 0;
  int fused = 0;          // since one was kept, or since the loss
  bool was_lost = false;  // after that
  int along = 0, after_a_loss = 0;
  for (int k = 0; k < kFrames; ++k) {
    if (k >= 20 && fused == 1 && !was_lost) {
      ASSERT_FALSE(
          scan.add(empty_frame(path()[static_cast<std::size_t>(k)].sequence)).value().fused);
      was_lost = true;
      fused = 0;
      continue;
    }
    const auto outcome = scan.add(path()[static_cast<std::size_t>(k)]);
    ASSERT_TRUE(outcome.ok());
    fused += outcome->fused ? 1 : 0;
    if (scan.log().frames() == kept) continue;
    kept = scan.log().frames();
    // Packing keeps sigma within 7 %.
    EXPECT_NEAR(noise_share(scan) * std::sqrt(fused), 1, 0.1) << "frame " << k;
    ++(was_lost ? after_a_loss : along);
    fused = 0;
    was_lost = false;
  }
  EXPECT_GT(along, 5);
  EXPECT_GT(after_a_loss, 1);
}

TEST(Reconstruction, SurvivesDroppedFramesBecauseSequenceTellsTheGap) {
  Reconstruction scan = scanner();
  for (int k = 0; k < kFrames; k += k % 2 == 0 ? 3 : 1) {
    const auto outcome = scan.add(path()[static_cast<std::size_t>(k)]);
    ASSERT_TRUE(outcome.ok());
    ASSERT_TRUE(outcome.value().pose.usable()) << "frame " << k;
    EXPECT_LT(pose_error_mm(outcome.value().pose, hand(0), hand(k)), kPoseLimitMm);
  }
}

TEST(Reconstruction, IsNeverWrongWhenTheCameraIsTeleported) {
  Reconstruction scan = scanner();
  scan_path(scan);
  const RigidTransform last = hand(kFrames - 1);
  std::uint64_t sequence = kFrames;
  const Eigen::Vector2d jumps[] = {{12, 0}, {-9, 9}, {0, -15}, {20, 4}, {-25, -3}};
  for (const Eigen::Vector2d& jump : jumps) {
    for (const double turn : {0.0, 0.35}) {
      RigidTransform far = above(76, 0.2, -0.1 + turn, jump);
      for (int k = 0; k < 2; ++k) {
        const auto outcome = scan.add(render(disc(), far, sequence++));
        ASSERT_TRUE(outcome.ok());
        expect_true_or_lost(outcome.value(), far);
      }
      ASSERT_TRUE(scan.add(empty_frame(sequence++)).ok());
    }
  }
  // Back where it was: found again, then followed and fused again.
  const auto found = scan.add(render(disc(), last, sequence++));
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found.value().pose.verdict, PoseVerdict::kRelocalised);
  EXPECT_FALSE(found.value().fused);
  EXPECT_LT(pose_error_mm(found.value().pose, hand(0), last), kPoseLimitMm);
  const auto confirmed = scan.add(render(disc(), last, sequence++));
  ASSERT_TRUE(confirmed.ok());
  EXPECT_EQ(confirmed.value().pose.verdict, PoseVerdict::kRelocalised);
  EXPECT_FALSE(confirmed.value().fused);
  const auto followed = scan.add(render(disc(), last, sequence++));
  ASSERT_TRUE(followed.ok());
  EXPECT_EQ(followed.value().pose.verdict, PoseVerdict::kTracked);
  EXPECT_TRUE(followed.value().fused);
}

TEST(Reconstruction, IsLostWhileCoveredAndFindsItselfElsewhereOnThePath) {
  Reconstruction scan = scanner();
  scan_path(scan);
  const std::uint64_t lost_before = scan.counts().lost;
  std::uint64_t sequence = kFrames;
  RawFrame glove = empty_frame(0);
  // A flat thing close to the lens.
  for (std::size_t i = 0; i < glove.bytes.size(); i += 2) {
    const auto counts = static_cast<std::uint16_t>(50.0 / small_camera().depth_unit_mm);
    glove.bytes[i] = static_cast<std::uint8_t>(counts & 0xff);
    glove.bytes[i + 1] = static_cast<std::uint8_t>(counts >> 8);
  }
  const std::size_t bytes_before = scan.volume_bytes();
  for (int k = 0; k < 5; ++k) {
    glove.sequence = sequence++;
    const auto outcome = scan.add(glove);
    ASSERT_TRUE(outcome.ok());
    EXPECT_EQ(outcome.value().pose.verdict, PoseVerdict::kLost);
    EXPECT_FALSE(outcome.value().fused);
  }
  EXPECT_EQ(scan.counts().lost, lost_before + 5);
  EXPECT_EQ(scan.volume_bytes(), bytes_before);
  // Uncovered at a pose of a second ago.
  const auto found = scan.add(render(disc(), hand(20), sequence));
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found.value().pose.verdict, PoseVerdict::kRelocalised);
  EXPECT_LT(pose_error_mm(found.value().pose, hand(0), hand(20)), kPoseLimitMm);
}

TEST(Reconstruction, FollowsATurnThatBeginsAtOnceAndWaitsForOneFrameToConfirmIt) {
  Reconstruction scan = scanner();
  scan_path(scan);
  RigidTransform turned = hand(kFrames - 1);
  turned.rotate(Eigen::AngleAxisd(0.12, Eigen::Vector3d(1, 2, 0).normalized()));
  using enum PoseVerdict;
  std::uint64_t sequence = kFrames;
  for (const PoseVerdict expected : {kRelocalised, kTracked, kTracked}) {
    const auto outcome = scan.add(render(disc(), turned, sequence++));
    ASSERT_TRUE(outcome.ok());
    EXPECT_EQ(outcome->pose.verdict, expected) << sequence;
    EXPECT_EQ(outcome->fused, expected == kTracked);
    EXPECT_LT(pose_error_mm(outcome->pose, hand(0), turned), kPoseLimitMm);
  }
  EXPECT_EQ(scan.counts().lost, 0U);
}

TEST(Reconstruction, LooksNoFartherThanAFringeScannerIsMadeFor) {
  Calibration device = small_camera();
  ReconstructionOptions options = small_options();
  options.min_depth_mm = 5;
  options.max_depth_mm = 200;
  EXPECT_EQ(within_range_of(options, device).max_depth_mm, 200) << "it has no projector";
  device.fringe = FringeOptics{.min_depth_mm = 10, .max_depth_mm = 20};
  EXPECT_EQ(within_range_of(options, device).min_depth_mm, 10);
  EXPECT_EQ(within_range_of(options, device).max_depth_mm, 20);
  options.max_depth_mm = 15;
  EXPECT_EQ(within_range_of(options, device).max_depth_mm, 15);
  options.max_depth_mm = 8;
  EXPECT_EQ(within_range_of(options, device).min_depth_mm, 5) << "nothing would be left";
  device.fringe->max_depth_mm = 0;
  options.max_depth_mm = 200;
  EXPECT_EQ(within_range_of(options, device).max_depth_mm, 200) << "it does not say";
}

// Angular velocities whose mean from frame to frame is the path's turn, or another number of it.
class Gyro {
 public:
  explicit Gyro(double factor) : factor_(factor) {}
  RawFrame with_sample(RawFrame frame, const RigidTransform& scene_from_sensor) {
    constexpr double kFrame_s = 1.0 / 30;
    if (before_) {
      const Eigen::AngleAxisd turn(before_->linear().transpose() * scene_from_sensor.linear());
      rad_s_ = 2 * turn.angle() / kFrame_s * turn.axis() - rad_s_;
    }
    before_ = scene_from_sensor;
    frame.device_time = std::chrono::nanoseconds(
        std::llround(1e9 * kFrame_s * static_cast<double>(frame.sequence)));
    const Eigen::Vector3f told = (factor_ * rad_s_).cast<float>();
    frame.imu = ImuSample{.angular_velocity_rad_s = {told.x(), told.y(), told.z()}};
    return frame;
  }

 private:
  double factor_;
  std::optional<RigidTransform> before_;
  Eigen::Vector3d rad_s_ = Eigen::Vector3d::Zero();
};

TEST(Reconstruction, GyroscopeForetellsATurnAndABrokenOneIsNotHeeded) {
  using enum PoseVerdict;
  for (const double factor : {1.0, -1.0, 0.0, 1000.0}) {
    Gyro gyro(factor);
    Reconstruction scan = scanner();
    for (int k = 0; k < kFrames; ++k)
      ASSERT_TRUE(scan.add(gyro.with_sample(path()[static_cast<std::size_t>(k)], hand(k))).ok());
    EXPECT_EQ(scan.counts().tracked, static_cast<std::uint64_t>(kFrames)) << factor;
    RigidTransform turned = hand(kFrames - 1);
    turned.rotate(Eigen::AngleAxisd(0.12, Eigen::Vector3d(1, 2, 0).normalized()));
    const auto outcome = scan.add(gyro.with_sample(render(disc(), turned, kFrames), turned));
    ASSERT_TRUE(outcome.ok());
    EXPECT_EQ(outcome->pose.verdict, factor == 1 ? kTracked : kRelocalised) << factor;
    EXPECT_LT(pose_error_mm(outcome->pose, hand(0), turned), kPoseLimitMm);
  }
}

// Also while the hand turns all the time, where one that is turned round does the most harm.
TEST(Reconstruction, HandThatTurnsSteadilyIsFollowedWhateverAGyroscopeSays) {
  const auto spun = [](int k) {
    RigidTransform pose = above(80, 0.1, 0.1);
    // Begun slowly, as fast as can be followed without a gyroscope.
    pose.rotate(Eigen::AngleAxisd(0.0025 * std::min(k, 30) * k, Eigen::Vector3d::UnitZ()));
    return pose;
  };
  for (const double factor : {1.0, -1.0, 1000.0}) {
    Gyro gyro(factor);
    Reconstruction scan = scanner();
    for (int k = 0; k < 45; ++k) {
      const auto sequence = static_cast<std::uint64_t>(k);
      const auto outcome = scan.add(gyro.with_sample(render(disc(), spun(k), sequence), spun(k)));
      ASSERT_TRUE(outcome.ok());
      EXPECT_EQ(outcome->pose.verdict, PoseVerdict::kTracked) << factor << " " << k;
      EXPECT_LT(pose_error_mm(outcome->pose, spun(0), spun(k)), kPoseLimitMm) << factor;
    }
  }
}

// A hand that turns about what it scans shifts the sensor too, of which a gyroscope knows nothing.
TEST(Reconstruction, GyroscopeNeverLosesWhatIsTrackedWithoutIt) {
  for (const double angle : {0.06, 0.12, 0.18})
    for (const double distance_mm : {0.0, 40.0, 80.0}) {
      bool tracked[2] = {};
      for (const bool has_gyro : {false, true}) {
        Gyro gyro(1);
        Reconstruction scan = scanner();
        const auto seen = [&](RawFrame frame, const RigidTransform& from) {
          return has_gyro ? gyro.with_sample(std::move(frame), from) : frame;
        };
        for (int k = 0; k < kFrames; ++k)
          ASSERT_TRUE(scan.add(seen(path()[static_cast<std::size_t>(k)], hand(k))).ok());
        RigidTransform turned = hand(kFrames - 1);
        turned.translate(Eigen::Vector3d(0, 0, distance_mm));
        turned.rotate(Eigen::AngleAxisd(angle, Eigen::Vector3d(1, 2, 0).normalized()));
        turned.translate(Eigen::Vector3d(0, 0, -distance_mm));
        const auto outcome = scan.add(seen(render(disc(), turned, kFrames), turned));
        ASSERT_TRUE(outcome.ok());
        tracked[has_gyro ? 1 : 0] = outcome->pose.verdict == PoseVerdict::kTracked;
      }
      EXPECT_GE(tracked[1], tracked[0]) << angle << " rad about " << distance_mm << " mm";
      EXPECT_TRUE(tracked[1] || distance_mm > 0) << angle;
    }
}

TEST(Reconstruction, CallsAPlaneLostBecauseItCanSlideOnItself) {
  Reconstruction scan = scanner();
  const auto wall = [](std::uint64_t sequence) {
    RawFrame frame = empty_frame(sequence);
    const auto counts = static_cast<std::uint16_t>(80.0 / small_camera().depth_unit_mm);
    for (std::size_t i = 0; i < frame.bytes.size(); i += 2) {
      frame.bytes[i] = static_cast<std::uint8_t>(counts & 0xff);
      frame.bytes[i + 1] = static_cast<std::uint8_t>(counts >> 8);
    }
    return frame;
  };
  ASSERT_TRUE(scan.add(wall(0)).ok());
  for (std::uint64_t k = 1; k < 5; ++k) {
    const auto outcome = scan.add(wall(k));
    ASSERT_TRUE(outcome.ok());
    EXPECT_EQ(outcome.value().pose.verdict, PoseVerdict::kLost);
  }
}

TEST(Reconstruction, WaitsForAFrameThatShowsSomething) {
  Reconstruction scan = scanner();
  for (std::uint64_t k = 0; k < 3; ++k) {
    const auto outcome = scan.add(empty_frame(k));
    ASSERT_TRUE(outcome.ok());
    EXPECT_EQ(outcome.value().pose.verdict, PoseVerdict::kLost);
  }
  EXPECT_TRUE(scan.mesh().empty());
  const auto first = scan.add(render(disc(), hand(0), 3));
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(first.value().fused);
  EXPECT_EQ(scan.counts().frames, 4U);
  EXPECT_EQ(scan.counts().lost, 3U);
}

TEST(Reconstruction, GivesUpAFirstFrameThatNothingFits) {
  Reconstruction scan = scanner();
  // The wand lies on its side for one frame, then the scan begins.
  ASSERT_TRUE(scan.add(render(disc(), above(60, 0.9, 0.9, {10, 10}), 0)).ok());
  std::uint64_t fused = 0;
  for (int k = 0; k < kFrames; ++k) {
    const auto outcome = scan.add(path()[static_cast<std::size_t>(k)]);
    ASSERT_TRUE(outcome.ok());
    fused += outcome.value().fused;
  }
  EXPECT_GT(fused, 30U);
}

TEST(Reconstruction, GivesTheSameBitsEveryTimeAndWithAnyNumberOfThreads) {
  ReconstructionOptions one = small_options();
  one.threads = 1;
  ReconstructionOptions three = small_options();
  three.threads = 3;
  Reconstruction first = scanner();
  Reconstruction again = scanner();
  Reconstruction alone = scanner(one);
  Reconstruction many = scanner(three);
  for (Reconstruction* scan : {&first, &again, &alone, &many})
    for (std::size_t k = 0; k < 20; ++k) ASSERT_TRUE(scan->add(path()[k]).ok());
  const Mesh mesh = first.mesh();
  ASSERT_FALSE(mesh.empty());
  EXPECT_TRUE(same_bits(mesh, again.mesh()));
  EXPECT_TRUE(same_bits(mesh, alone.mesh()));
  EXPECT_TRUE(same_bits(mesh, many.mesh()));
}

TEST(Reconstruction, RefusesAFrameThatDoesNotFitTheCalibration) {
  Reconstruction scan = scanner();
  RawFrame frame = path()[0];
  frame.bytes.pop_back();
  auto outcome = scan.add(frame);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::kInvalidArgument);

  frame = path()[0];
  frame.width_px = 848;
  outcome = scan.add(frame);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::kInvalidArgument);

  frame = path()[0];
  frame.format = PixelFormat::kYuy2;
  outcome = scan.add(frame);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(scan.counts().frames, 0U);
}

TEST(Reconstruction, RefusesFramesOfACalibrationThatCannotBeUsed) {
  for (const double focal : {0.0, -300.0, std::nan("")}) {
    Calibration broken = small_camera();
    broken.depth.fx_px = focal;
    Reconstruction scan(small_options(), broken);
    const auto outcome = scan.add(path()[0]);
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(Reconstruction, SaysWhenTheVolumeIsFullAndKeepsWhatItHas) {
  ReconstructionOptions options = small_options();
  Reconstruction whole = scanner();
  for (std::size_t k = 0; k < 6; ++k) ASSERT_TRUE(whole.add(path()[k]).ok());
  options.max_volume_bytes = whole.volume_bytes();
  Reconstruction scan = scanner(options);
  bool full = false;
  for (const RawFrame& frame : path()) {
    const auto outcome = scan.add(frame);
    if (outcome.ok()) continue;
    EXPECT_EQ(outcome.error().code, ErrorCode::kNoSpace);
    full = true;
  }
  EXPECT_TRUE(full);
  EXPECT_LE(scan.volume_bytes(), options.max_volume_bytes);
  EXPECT_GT(scan.mesh().triangles.size(), 10000U);
}

}  // namespace
}  // namespace cusp
