#include "pipeline/adjust.h"

#include <gtest/gtest.h>

#include <Eigen/Geometry>
#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <string>
#include <utility>

#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

using testing::BumpyDisc;

constexpr double kStandoffMm = 26;
constexpr double kNoiseMm = 0.01;
const Intrinsics kCamera{160, 120, 150, 150, 79.5, 59.5};

// A device that is out of calibration: not a polynomial; no mean, no tilt to speak of. True depth
// minus measured depth.
double device_error_mm(int x, int y, double size_mm) {
  const double s = (2 * x + 1) / 160.0 - 1, t = (2 * y + 1) / 120.0 - 1;
  return size_mm * (std::cos(1.8 * s) - 0.541 - 0.6 * (std::cos(1.5 * t) - 0.665));
}

DepthFrame photograph(const BumpyDisc& scene, const RigidTransform& scene_from_sensor,
                      double error_mm, unsigned seed) {
  DepthFrame frame{.intrinsics = kCamera, .depth_mm = std::vector<float>(160 * 120, 0.0F)};
  std::mt19937 random(seed + 1);
  for (int y = 0; y < kCamera.height_px; ++y)
    for (int x = 0; x < kCamera.width_px; ++x) {
      const Eigen::Vector3d ray((x - kCamera.cx_px) / kCamera.fx_px,
                                (y - kCamera.cy_px) / kCamera.fy_px, 1);
      const double z =
          scene.depth_mm(scene_from_sensor.translation(), scene_from_sensor.linear() * ray);
      double noise = -6;
      for (int k = 0; k < 12; ++k) noise += static_cast<double>(random()) / 4294967296.0;
      if (z <= 0) continue;
      frame.depth_mm[static_cast<std::size_t>(y * kCamera.width_px + x)] =
          static_cast<float>(z - device_error_mm(x, y, error_mm) + noise * kNoiseMm);
    }
  return frame;
}

MeasuredSurface measured(const DepthFrame& frame, double voxel_mm = 0.05) {
  ReconstructionOptions options;
  Calibration calibration;
  calibration.depth = kCamera;
  options.voxel_mm = voxel_mm;
  options.min_depth_mm = 10;
  options.max_depth_mm = 60;
  WorkerPool pool(2);
  return preprocess(frame, NoiseModel(options, calibration), pool);
}

// A pass along x and one back, with the camera turned by a right angle and leaning the other way.
std::vector<RigidTransform> two_passes() {
  std::vector<RigidTransform> poses;
  for (int pass = 0; pass < 2; ++pass)
    for (int k = 0; k < 7; ++k) {
      const double x = (pass == 0 ? 1 : -1) * (-15.0 + 5 * k);
      RigidTransform pose = testing::above(kStandoffMm, 0.05, pass == 0 ? 0.25 : -0.25, {x, 0});
      pose.rotate(Eigen::AngleAxisd(pass * std::numbers::pi / 2, Eigen::Vector3d::UnitZ()));
      poses.push_back(pose);
    }
  return poses;
}

struct Scan {
  std::vector<RigidTransform> truth, given;
  std::vector<MeasuredSurface> surfaces;
};

// Poses that drifted: each motion a little wrong, as a tracker's are; the second pass found the
// first again.
Scan scan(double error_mm, double drift_mm, double voxel_mm = 0.05) {
  static const BumpyDisc scene;
  Scan result{.truth = two_passes(), .given = {}, .surfaces = {}};
  std::mt19937 random(5);
  const auto small = [&] {
    Eigen::Vector3d v;
    for (int axis = 0; axis < 3; ++axis) v[axis] = static_cast<double>(random()) / 2147483648.0 - 1;
    return v;
  };
  RigidTransform error = RigidTransform::Identity();
  for (std::size_t k = 0; k < result.truth.size(); ++k) {
    if (k > 0) {
      const Eigen::Vector3d turn = 0.03 * drift_mm * small();
      error.rotate(Eigen::AngleAxisd(turn.norm(), turn.stableNormalized()));
      error.translation() += drift_mm * small();
    }
    result.given.push_back(error * result.truth[k]);
    result.surfaces.push_back(
        measured(photograph(scene, result.truth[k], error_mm, static_cast<unsigned>(k)), voxel_mm));
  }
  return result;
}

Adjustment adjustment_of(const Scan& scan, bool estimate_warp) {
  Adjustment adjustment({.search_mm = 0.8, .sigma_mm = 0.05, .estimate_warp = estimate_warp});
  WorkerPool pool(2);
  for (std::size_t k = 0; k < scan.surfaces.size(); ++k)
    adjustment.add(scan.surfaces[k], scan.given[k], pool);
  return adjustment;
}

Result<AdjustReport> run(Adjustment& adjustment, int threads = 2) {
  WorkerPool pool(threads);
  return adjustment.run(pool, {}, [](double) {});
}

// How far from the truth the frames put what they saw: rms after the best rigid fit.
double error_um(const std::vector<RigidTransform>& poses,
                const std::vector<RigidTransform>& truth) {
  Eigen::Matrix3Xd from(3, 5 * static_cast<Eigen::Index>(poses.size()));
  Eigen::Matrix3Xd to = from;
  Eigen::Index column = 0;
  for (std::size_t k = 0; k < poses.size(); ++k)
    for (const auto& [x, y] : {std::pair{0, 0}, {6, 0}, {-6, 0}, {0, 6}, {0, -6}}) {
      from.col(column) = poses[k] * Eigen::Vector3d(x, y, kStandoffMm);
      to.col(column++) = truth[k] * Eigen::Vector3d(x, y, kStandoffMm);
    }
  const Eigen::Isometry3d fit(Eigen::umeyama(from, to, false));
  return 1e3 * std::sqrt(((fit * from) - to).colwise().squaredNorm().mean());
}

TEST(Adjustment, BringsDriftedPosesBack) {
  const Scan drifted = scan(0, 0.08);
  Adjustment adjustment = adjustment_of(drifted, true);
  const auto report = run(adjustment);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_GT(error_um(drifted.given, drifted.truth), 100);
  EXPECT_LT(error_um(adjustment.poses(), drifted.truth), 4);
  EXPECT_LT(adjustment.warp().rms_um(), 2);
  EXPECT_EQ(adjustment.poses().front().matrix(), drifted.given.front().matrix());
  EXPECT_EQ(report->frames, 14U);
  EXPECT_EQ(report->loose_frames, 0U);
  EXPECT_GT(report->cross_pairs, 0U);
  EXPECT_GT(report->drift_um, 100);
  EXPECT_LT(report->rms_after_um, 0.2 * report->rms_before_um);
  EXPECT_GT(report->pose_sigma_um, 0);
  EXPECT_LT(report->pose_sigma_um, 100);
}

TEST(Adjustment, StraightensWhatAWarpedDeviceBent) {
  const Scan bent = scan(0.06, 0.03);
  Adjustment poses_alone = adjustment_of(bent, false);
  Adjustment both = adjustment_of(bent, true);
  ASSERT_TRUE(run(poses_alone).ok());
  const auto report = run(both);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_LT(error_um(both.poses(), bent.truth), 12);
  EXPECT_GT(error_um(poses_alone.poses(), bent.truth), 3 * error_um(both.poses(), bent.truth));
  EXPECT_LT(poses_alone.warp().rms_um(), 1e-3);

  double squares = 0, left = 0;
  for (int y = 0; y < kCamera.height_px; ++y)
    for (int x = 0; x < kCamera.width_px; ++x) {
      const double truth = device_error_mm(x, y, 0.06);
      squares += truth * truth;
      left += std::pow(truth - both.warp().at(x, y), 2);
    }
  EXPECT_LT(std::sqrt(left), 0.25 * std::sqrt(squares));
  EXPECT_NEAR(report->warp_rms_um, 1e3 * std::sqrt(squares / (160 * 120)), 6);
  EXPECT_GT(report->warp_max_um, report->warp_rms_um);
}

TEST(Adjustment, TellsTheSensorsWarpFromBinnedPixels) {
  const Scan bent = scan(0.06, 0.03, 0.5);
  ASSERT_EQ(bent.surfaces.front().binning, 2);
  Adjustment both = adjustment_of(bent, true);
  ASSERT_TRUE(run(both).ok());
  EXPECT_TRUE(both.warp().fits(kCamera));
  EXPECT_LT(error_um(both.poses(), bent.truth), 12);
  double squares = 0, left = 0;
  for (int y = 0; y < kCamera.height_px; ++y)
    for (int x = 0; x < kCamera.width_px; ++x) {
      const double truth = device_error_mm(x, y, 0.06);
      squares += truth * truth;
      left += std::pow(truth - both.warp().at(x, y), 2);
    }
  EXPECT_LT(std::sqrt(left), 0.25 * std::sqrt(squares));
}

TEST(Adjustment, GivesTheSameBitsWithAnyNumberOfThreads) {
  const Scan drifted = scan(0.03, 0.03);
  Adjustment one = adjustment_of(drifted, true);
  Adjustment three = adjustment_of(drifted, true);
  ASSERT_TRUE(run(one, 1).ok());
  ASSERT_TRUE(run(three, 3).ok());
  for (std::size_t k = 0; k < one.poses().size(); ++k)
    EXPECT_EQ(one.poses()[k].matrix(), three.poses()[k].matrix()) << k;
  EXPECT_EQ(one.warp().coefficients_um(), three.warp().coefficients_um());
}

TEST(Adjustment, GoesOnFromWhereItWasWhenFramesAreAdded) {
  const Scan drifted = scan(0.03, 0.03);
  Adjustment adjustment({.search_mm = 0.8, .sigma_mm = 0.05});
  WorkerPool pool(2);
  for (std::size_t k = 0; k < drifted.surfaces.size(); ++k) {
    adjustment.add(drifted.surfaces[k], drifted.given[k], pool);
    if (k == 9) {
      ASSERT_TRUE(run(adjustment).ok());
    }
  }
  ASSERT_TRUE(run(adjustment).ok());
  EXPECT_LT(error_um(adjustment.poses(), drifted.truth), 10);
  EXPECT_LT(adjustment.bytes(), 14 * 240e3);
}

TEST(Adjustment, LeavesAFrameAloneThatSeesNothingOfTheOthers) {
  Scan drifted = scan(0, 0.03);
  drifted.surfaces.push_back(
      measured({.intrinsics = kCamera, .depth_mm = std::vector<float>(160 * 120)}));
  drifted.given.push_back(testing::above(kStandoffMm, 0, 0));
  drifted.surfaces.push_back(drifted.surfaces.front());
  drifted.given.push_back(testing::above(kStandoffMm, 0, 0, {500, 0}));
  Adjustment adjustment = adjustment_of(drifted, true);
  const auto report = run(adjustment);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->loose_frames, 2U);
  for (std::size_t k = 14; k < 16; ++k)
    EXPECT_EQ(adjustment.poses()[k].matrix(), drifted.given[k].matrix());
}

TEST(Adjustment, RefusesWhatCannotBeAdjusted) {
  const MeasuredSurface seen = measured(photograph(BumpyDisc(), two_passes()[3], 0, 1));
  const MeasuredSurface nothing =
      measured({.intrinsics = kCamera, .depth_mm = std::vector<float>(160 * 120)});
  RigidTransform not_a_number = RigidTransform::Identity();
  not_a_number.translation().x() = std::numeric_limits<double>::quiet_NaN();
  struct Case {
    std::vector<std::pair<const MeasuredSurface*, RigidTransform>> frames;
    std::string words;
  };
  const RigidTransform here = RigidTransform::Identity();
  RigidTransform far = here;
  far.translation().x() = 1000;
  const std::vector<Case> cases = {
      {{}, "0 keyframes are too few"},
      {{{&seen, here}}, "1 keyframes are too few"},
      {{{&nothing, here}, {&nothing, here}}, "no two of 2 keyframes see the same surface"},
      {{{&seen, here}, {&seen, far}}, "no two of 2 keyframes see the same surface"},
      {{{&seen, here}, {&seen, not_a_number}}, "the pose of keyframe 1 is not a number"}};
  for (const Case& wrong : cases) {
    Adjustment adjustment({.search_mm = 0.5, .sigma_mm = 0.01});
    WorkerPool pool(1);
    for (const auto& [surface, pose] : wrong.frames) adjustment.add(*surface, pose, pool);
    const auto report = run(adjustment);
    ASSERT_FALSE(report.ok()) << wrong.words;
    EXPECT_EQ(report.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(report.error().message.find(wrong.words), std::string::npos)
        << report.error().message;
  }
}

TEST(Adjustment, StopsOnRequestAndLeavesThePosesAsTheyWere) {
  const Scan drifted = scan(0, 0.03);
  Adjustment adjustment = adjustment_of(drifted, true);
  std::stop_source stop;
  WorkerPool pool(2);
  const auto report = adjustment.run(pool, stop.get_token(), [&](double share) {
    if (share > 0.2) stop.request_stop();
  });
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
  for (std::size_t k = 0; k < drifted.given.size(); ++k)
    EXPECT_EQ(adjustment.poses()[k].matrix(), drifted.given[k].matrix());
  EXPECT_EQ(adjustment.warp().rms_um(), 0);
}

TEST(Adjustment, KeepsNoCellOfValuesThatAreNotNumbers) {
  MeasuredSurface surface = measured(photograph(BumpyDisc(), two_passes()[3], 0, 1));
  const CellLayout layout = cell_layout(kCamera);
  surface.planes[60 * 160 + 80].x() = std::numeric_limits<float>::quiet_NaN();
  surface.planes[60 * 160 + 81].w() = -std::numeric_limits<float>::infinity();
  surface.weights[60 * 160 + 82] = std::numeric_limits<float>::quiet_NaN();
  WorkerPool pool(2);
  const KeyframeCells cells = cells_of(surface, layout, pool);
  for (std::size_t i : {80, 81, 82}) EXPECT_EQ(cells.cells[60 * 160 + i].z_mm, 0) << i;
  EXPECT_GT(cells.cells[60 * 160 + 83].z_mm, 0);
  EXPECT_TRUE(std::isfinite(cells.middle_mm));
}

TEST(PairSummer, GivesTheSameBitsOnEveryProcessor) {
  const auto poses = two_passes();
  const CellLayout layout = cell_layout(kCamera);
  WorkerPool pool(2);
  const KeyframeCells a =
      cells_of(measured(photograph(BumpyDisc(), poses[2], 0.02, 1)), layout, pool);
  const KeyframeCells b =
      cells_of(measured(photograph(BumpyDisc(), poses[3], 0.02, 2)), layout, pool);
  const RigidTransform b_from_a = poses[3].inverse() * poses[2];
  PairTask task{.a = a.cells.data(), .b = b.cells.data(), .middle_mm = b.middle_mm};
  task.gate_mm = 0.3F;
  task.lateral_mm = 0.5F;
  task.kernel_mm = 0.1F;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j)
      task.b_from_a[static_cast<std::size_t>(3 * i + j)] = static_cast<float>(b_from_a(i, j));
    task.shift_mm[static_cast<std::size_t>(i)] = static_cast<float>(b_from_a.translation()[i]);
  }
  std::array<float, DepthWarp::kTerms> warp_mm{};
  for (std::size_t k = 0; k < warp_mm.size(); ++k)
    warp_mm[k] = 0.002F * static_cast<float>(k) - 0.01F;
  for (const int step : {1, 2, 3}) {
    task.step = step;
    PairSums here, anywhere;
    pair_summer()(layout, task, warp_mm, here);
    baseline_pair_summer()(layout, task, warp_mm, anywhere);
    EXPECT_GT(here.met, 500 / (step * step));
    EXPECT_EQ(here.products, anywhere.products);
    EXPECT_EQ(here.squares, anywhere.squares);
    EXPECT_EQ(here.weight, anywhere.weight);
    EXPECT_EQ(here.met, anywhere.met);
  }
}

}  // namespace
}  // namespace cusp
