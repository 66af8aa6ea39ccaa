// A disc is scanned to and fro, leaning one way and back leaning the other: what the passes say
// about each other closes the scan while it goes on.
#include "pipeline/live_closure.h"

#include <gtest/gtest.h>

#include <Eigen/Geometry>
#include <cmath>
#include <cstring>
#include <optional>
#include <random>
#include <utility>

#include "pipeline/fuse_log.h"
#include "pipeline/mesh.h"
#include "pipeline/packed_frame.h"
#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

constexpr double kStandoffMm = 26, kLeanRad = 0.27;
constexpr double kNoiseMm = 0.01;
constexpr float kUnitMm = 0.001F;
constexpr float kStep = 4e-6F;           // 1/mm, of kept frames
constexpr int kAlong = 20, kAround = 8;  // frames of a pass, and of the turn between two
constexpr int kPasses = 4;
constexpr int kClosedFrames = 48;  // with which it first begins
constexpr std::size_t kFrames = kPasses * (kAlong + kAround);

Calibration camera() {
  return {.id = "close-camera",
          .depth_unit_mm = kUnitMm,
          .baseline_mm = 0,
          .depth = {160, 120, 150, 150, 79.5, 59.5}};
}

ReconstructionOptions options(int threads = 1) {
  ReconstructionOptions options;
  options.voxel_mm = 0.15;
  options.min_depth_mm = 10;
  options.max_depth_mm = 60;
  options.threads = threads;
  return options;
}

std::vector<RigidTransform> to_and_fro() {
  std::vector<RigidTransform> poses;
  const auto at = [&](double x, double lean_rad) {
    const double y = poses.size() % 2 == 0 ? 0.35 : -0.35;
    poses.push_back(testing::above(kStandoffMm, 0.05, lean_rad, {x, y}));
  };
  for (int pass = 0; pass < kPasses; ++pass) {
    const double side = pass % 2 == 0 ? 1 : -1;
    for (int k = 0; k < kAlong; ++k) at(side * (-13 + 26.0 * k / kAlong), side * kLeanRad);
    for (int k = 0; k < kAround; ++k) at(side * 13, side * kLeanRad * (1 - 2.0 * k / kAround));
  }
  return poses;
}

// True depth minus what a device measures that is out of calibration: no polynomial.
double device_error_mm(int x, int y, double size_mm) {
  const double s = (2 * x + 1) / 160.0 - 1, t = (2 * y + 1) / 120.0 - 1;
  return size_mm * (std::cos(1.8 * s) - 0.541 - 0.6 * (std::cos(1.5 * t) - 0.665));
}

DepthFrame photograph(const RigidTransform& scene_from_sensor, double error_mm, unsigned seed) {
  static const testing::BumpyDisc scene;
  const Intrinsics in = camera().depth;
  DepthFrame frame{.intrinsics = in, .depth_mm = std::vector<float>(160 * 120, 0.0F)};
  std::mt19937 random(seed + 1);
  for (int y = 0; y < in.height_px; ++y)
    for (int x = 0; x < in.width_px; ++x) {
      const Eigen::Vector3d ray((x - in.cx_px) / in.fx_px, (y - in.cy_px) / in.fy_px, 1);
      const double z =
          scene.depth_mm(scene_from_sensor.translation(), scene_from_sensor.linear() * ray);
      double noise = -2;
      for (int k = 0; k < 4; ++k) noise += static_cast<double>(random()) / 4294967296.0;
      if (z <= 0) continue;
      frame.depth_mm[static_cast<std::size_t>(y * in.width_px + x)] =
          static_cast<float>(z - device_error_mm(x, y, error_mm) + noise * kNoiseMm);
    }
  return frame;
}

KeptFrame kept(const RigidTransform& pose, const DepthFrame& frame) {
  return {.model_from_sensor = pose,
          .packed = std::make_shared<const std::vector<std::uint8_t>>(pack(frame, kStep))};
}

struct Scan {
  std::vector<RigidTransform> truth = to_and_fro(), tracked{};
  std::vector<KeptFrame> frames{};
};

// Each motion is a little wrong, always the same way, as a tracker's bias is.
Scan scan(double error_mm, double drift_mm) {
  Scan made;
  RigidTransform error = RigidTransform::Identity();
  for (std::size_t k = 0; k < made.truth.size(); ++k) {
    made.tracked.push_back(made.truth[k] * error);
    made.frames.push_back(
        kept(made.tracked[k], photograph(made.truth[k], error_mm, static_cast<unsigned>(k))));
    error.translation() += drift_mm * Eigen::Vector3d(0.4, 0.5, 1);
  }
  return made;
}

// Of a device that measures truly.
const Scan& drifting() {
  static const Scan kScan = scan(0, 0.01);
  return kScan;
}

struct Outcome {
  ScanLog log;
  std::unique_ptr<ClosedScan> closed;
};

// Frames until the scan changes over, or all; before the missing one, some did not come.
Outcome follow(const std::vector<KeptFrame>& frames, std::optional<std::size_t> missing = {}) {
  Outcome outcome;
  LiveClosure closure(options(), camera(), 0);
  for (const KeptFrame& frame : frames) {
    EXPECT_TRUE(outcome.log.apply(ScanEntry(frame)));
    outcome.closed = closure.took_up(outcome.log, 0, outcome.log.frames() == missing);
    if (outcome.closed) break;
  }
  return outcome;
}

// How far from the truth the frames put what they saw: rms after the best rigid fit.
double error_um(const std::vector<RigidTransform>& poses,
                const std::vector<RigidTransform>& truth) {
  Eigen::Matrix3Xd from(3, 3 * static_cast<Eigen::Index>(poses.size()));
  Eigen::Matrix3Xd to = from;
  Eigen::Index column = 0;
  for (std::size_t k = 0; k < poses.size(); ++k)
    for (const auto& [x, y] : {std::pair{0, 0}, {6, 0}, {0, 6}}) {
      from.col(column) = poses[k] * Eigen::Vector3d(x, y, kStandoffMm);
      to.col(column++) = truth[k] * Eigen::Vector3d(x, y, kStandoffMm);
    }
  const Eigen::Isometry3d fit(Eigen::umeyama(from, to, false));
  return 1e3 * std::sqrt(((fit * from) - to).colwise().squaredNorm().mean());
}
double error_before_um(const Scan& scan, std::size_t frames) {
  return error_um(
      {scan.tracked.begin(), scan.tracked.begin() + static_cast<std::ptrdiff_t>(frames)},
      scan.truth);
}

bool same_bits(const Mesh& a, const Mesh& b) {
  return a.vertices_mm.size() == b.vertices_mm.size() && a.triangles == b.triangles &&
         std::memcmp(a.vertices_mm.data(), b.vertices_mm.data(),
                     a.vertices_mm.size() * sizeof(a.vertices_mm[0])) == 0;
}
Mesh mesh_of(const Volume& volume) {
  WorkerPool pool(2);
  return extract_mesh(volume, 1, pool);
}

TEST(LiveClosure, BringsBackWhatDriftedWhileTheScanGoesOn) {
  const Scan& drifted = drifting();
  const Outcome outcome = follow(drifted.frames);
  ASSERT_TRUE(outcome.closed);
  const auto& poses = outcome.closed->poses.model_from_sensor;
  ASSERT_EQ(poses.size(), outcome.log.frames());
  EXPECT_LT(poses.size(), kFrames);
  EXPECT_GT(outcome.closed->largest_mm, 0.075);
  // Those from which it was closed; later ones are carried, as a tracker would have had them.
  const double before_um = error_before_um(drifted, kClosedFrames);
  const double after_um = error_um({poses.begin(), poses.begin() + kClosedFrames}, drifted.truth);
  std::printf("poses: %.1f um off, then %.1f um\n", before_um, after_um);
  EXPECT_GT(before_um, 40);
  EXPECT_LT(after_um, 0.3 * before_um);
}

// A scan that can't keep up is not held up further.
TEST(LiveClosure, PutsTheChangeOffWhenFramesAreMissing) {
  const Scan& drifted = drifting();
  const Outcome whole = follow(drifted.frames), gappy = follow(drifted.frames, 60);
  ASSERT_TRUE(whole.closed);
  ASSERT_TRUE(gappy.closed);
  EXPECT_EQ(gappy.log.frames(), whole.log.frames() + 8);
  // Before it has begun, a gap says nothing.
  EXPECT_EQ(follow(drifted.frames, 30).log.frames(), whole.log.frames());
}

// In a scan at an ordinary pace there are frames between those that are kept.
TEST(LiveClosure, ChangesOverBetweenTwoKeptFramesWhereThereIsTime) {
  const Scan& drifted = drifting();
  ScanLog log;
  LiveClosure closure(options(), camera(), 0);
  std::size_t changed_with = 0;
  for (std::size_t k = 0; k < drifted.frames.size() && changed_with == 0; ++k) {
    log.apply(ScanEntry(drifted.frames[k]));
    for (int since = 0; since < 3 && changed_with == 0; ++since)
      if (const auto closed = closure.took_up(log, since, false)) {
        EXPECT_EQ(since, 2);
        EXPECT_EQ(closed->poses.model_from_sensor.size(), log.frames());
        changed_with = log.frames();
      }
  }
  const Outcome in_haste = follow(drifted.frames);
  ASSERT_TRUE(in_haste.closed);
  EXPECT_GT(changed_with, static_cast<std::size_t>(kClosedFrames));
  EXPECT_LT(changed_with, in_haste.log.frames());
}

TEST(LiveClosure, FindsTheWarpOfTheDevice) {
  const Outcome outcome = follow(scan(0.06, 0.01).frames);
  ASSERT_TRUE(outcome.closed);
  double apart = 0, size = 0;
  for (int y = 0; y < 120; ++y)
    for (int x = 0; x < 160; ++x) {
      apart += std::pow(outcome.closed->poses.warp.at(x, y) - device_error_mm(x, y, 0.06), 2);
      size += std::pow(device_error_mm(x, y, 0.06), 2);
    }
  EXPECT_LT(apart, 0.2 * size);
}

TEST(LiveClosure, LeavesAModelThatIsTrueAsItIs) { EXPECT_FALSE(follow(scan(0, 0).frames).closed); }

TEST(LiveClosure, DoesNotCloseAPassUponItself) {
  Scan drifted = drifting();
  drifted.frames.resize(kAlong);
  // On and on from the same side.
  while (drifted.frames.size() < kFrames)
    drifted.frames.push_back(drifted.frames[drifted.frames.size() - kAlong]);
  EXPECT_FALSE(follow(drifted.frames).closed);
}

TEST(LiveClosure, IsNotMisledByFramesAtAFalsePlace) {
  Scan drifted = drifting();
  // Three frames of the way back say that they are a third of a millimetre from where they are.
  for (const std::size_t k : {38U, 41U, 44U}) {
    RigidTransform elsewhere = drifted.truth[k];
    elsewhere.translation() += Eigen::Vector3d(0.6, -0.5, 0.3);
    drifted.frames[k] =
        kept(drifted.tracked[k], photograph(elsewhere, 0, static_cast<unsigned>(k)));
  }
  const Outcome outcome = follow(drifted.frames);
  ASSERT_TRUE(outcome.closed);
  const auto& found = outcome.closed->poses.model_from_sensor;
  std::vector<RigidTransform> poses, truth;
  for (std::size_t k = 0; k < kAlong; ++k) {
    poses.push_back(found[k]);
    truth.push_back(drifted.truth[k]);
  }
  EXPECT_LT(error_um(poses, truth), 0.35 * error_before_um(drifted, kAlong));
}

TEST(LiveClosure, MakesTheModelThatTheLogWithItsPosesDescribes) {
  Outcome outcome = follow(scan(0.03, 0.01).frames);
  ASSERT_TRUE(outcome.closed);
  ASSERT_TRUE(outcome.log.apply(outcome.closed->poses));
  Volume volume(options().voxel_mm, options().voxel_mm * options().truncation_voxels,
                options().max_volume_bytes);
  WorkerPool pool(2);
  ASSERT_TRUE(fuse_log(outcome.log, NoiseModel(options(), camera()), volume, pool, {}).ok());
  const Mesh made_again = mesh_of(volume);
  ASSERT_GT(made_again.triangles.size(), 1000U);
  EXPECT_TRUE(same_bits(made_again, mesh_of(outcome.closed->volume)));
}

TEST(LiveClosure, GivesUpWhatWasBegunBeforeTheLogWentBack) {
  const Scan& drifted = drifting();
  ScanLog log;
  LiveClosure closure(options(), camera(), 0);
  for (std::size_t k = 0; k < drifted.frames.size(); ++k) {
    log.apply(ScanEntry(drifted.frames[k]));
    EXPECT_FALSE(closure.took_up(log, 0, false));
    if (k != 80) continue;
    log.apply(Rewind{20});
    closure.clear();
  }
}

// Frames as a device sends them, from a hand that moves fast enough for every one to be kept.
TEST(LiveClosure, GivesAScanTheSameBitsWithAnyNumberOfThreads) {
  std::vector<Mesh> meshes;
  std::vector<ScanLog> logs;
  for (const int threads : {1, 3}) {
    Reconstruction reconstruction(options(threads), camera());
    std::uint64_t sequence = 0;
    std::size_t records_of_poses = 0;
    for (const RigidTransform& pose : to_and_fro()) {
      const DepthFrame depth = photograph(pose, 0.25, static_cast<unsigned>(sequence));
      RawFrame raw;
      raw.sequence = sequence++;
      raw.width_px = 160;
      raw.height_px = 120;
      for (const float z : depth.depth_mm) {
        const auto counts = static_cast<std::uint16_t>(std::lround(z / kUnitMm));
        raw.bytes.push_back(static_cast<std::uint8_t>(counts & 0xff));
        raw.bytes.push_back(static_cast<std::uint8_t>(counts >> 8));
      }
      const auto outcome = reconstruction.add(raw);
      ASSERT_TRUE(outcome.ok()) << outcome.error().message;
      for (const ScanRecord& record : outcome->records)
        records_of_poses += std::holds_alternative<NewPoses>(record) ? 1 : 0;
      EXPECT_EQ(
          outcome->closed_by_mm.has_value(),
          !outcome->records.empty() && std::holds_alternative<NewPoses>(outcome->records.back()));
    }
    EXPECT_EQ(reconstruction.counts().lost, 0U);
    EXPECT_EQ(reconstruction.counts().closures, 1U);
    EXPECT_EQ(records_of_poses, 1U);
    EXPECT_GT(reconstruction.counts().largest_closure_mm, 0.07);
    EXPECT_FALSE(reconstruction.log().warp().is_none());
    meshes.push_back(reconstruction.mesh());
    logs.push_back(reconstruction.log());
  }
  EXPECT_TRUE(same_bits(meshes[0], meshes[1]));
  const auto gone_on = Reconstruction::go_on(options(), camera(), logs[0]);
  ASSERT_TRUE(gone_on.ok());
  EXPECT_GT(gone_on->mesh().triangles.size(), 1000U);
}

}  // namespace
}  // namespace cusp
