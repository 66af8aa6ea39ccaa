#include "tools/sim/operator_sweeps.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/tools/shapes.h"
#include "tools/sim/depth_renderer.h"
#include "tools/sim/noise_model.h"
#include "tools/sim/soft_tissue.h"

namespace cusp::sim {
namespace {

// A jaw's outline: a wall along a parabola, open at y < 0, its crest at z = 0.
Mesh horseshoe() {
  Mesh mesh;
  constexpr int kAlong = 240;
  const auto place = [](double s) {  // s in [-1, 1]
    return Eigen::Vector2d(27 * s, 20 - 42 * s * s);
  };
  constexpr std::array<std::pair<double, double>, 5> kProfile{
      {{-4.5, -12}, {-3.5, -3}, {0, 0}, {3.5, -3}, {4.5, -12}}};
  for (int i = 0; i <= kAlong; ++i) {
    const double s = 2.0 * i / kAlong - 1;
    const Eigen::Vector2d here = place(s), ahead = (place(s + 1e-3) - place(s - 1e-3)).normalized();
    for (const auto& [out, z] : kProfile) {
      const Eigen::Vector2d p = here + out * Eigen::Vector2d(-ahead.y(), ahead.x());
      mesh.vertices_mm.emplace_back(static_cast<float>(p.x()), static_cast<float>(p.y()),
                                    static_cast<float>(z));
    }
  }
  const auto across = static_cast<std::uint32_t>(kProfile.size());
  for (std::uint32_t i = 0; i < kAlong; ++i)
    for (std::uint32_t j = 0; j + 1 < across; ++j) {
      const std::uint32_t a = i * across + j, b = a + 1, c = a + across, d = c + 1;
      mesh.triangles.push_back({a, c, b});
      mesh.triangles.push_back({b, c, d});
    }
  compute_normals(mesh);
  return mesh;
}

// Distance of a point from the crest, and where on it the nearest point is.
std::pair<double, double> from_crest(const Eigen::Vector2d& point) {
  double best = 1e9, nearest = 0;
  for (double s = -1; s <= 1; s += 1e-3)
    if (const double d = (point - Eigen::Vector2d(27 * s, 20 - 42 * s * s)).norm(); d < best) {
      best = d;
      nearest = s;
    }
  return {best, nearest};
}

SweepOptions calm(std::vector<Sweep> sweeps) {
  SweepOptions options;
  options.sweeps = std::move(sweeps);
  options.pauses = options.lifts = 0;
  options.tremor_scale = 0;
  return options;
}

OperatorPath path_over(const Mesh& mesh, const SweepOptions& options) {
  auto path = sweep_teeth(mesh, options);
  EXPECT_TRUE(path.ok());
  return *path;
}

double least_depth(const Mesh& mesh, const RigidTransform& scene_from_sensor) {
  const RigidTransform sensor_from_scene = scene_from_sensor.inverse();
  double nearest = 1e9;
  for (const auto& vertex : mesh.vertices_mm) {
    const Eigen::Vector3d p = sensor_from_scene * vertex.cast<double>();
    if (p.z() > 0 && p.head<2>().norm() < 6) nearest = std::min(nearest, p.z());
  }
  return nearest;
}

double speed(const OperatorPath& path, std::uint64_t k, double rate_hz) {
  return (path.scene_from_sensor(k).translation() - path.scene_from_sensor(k - 1).translation())
             .norm() *
         rate_hz;
}

// Where the optical axis meets the plane of the crest.
Eigen::Vector2d aim(const RigidTransform& pose) {
  const Eigen::Vector3d from = pose.translation(), along = pose.linear().col(2);
  return (from - from.z() / along.z() * along).head<2>();
}

TEST(OperatorSweeps, LooksDownOnTheOcclusalSideFromOneEndToTheOther) {
  const Mesh mesh = horseshoe();
  const OperatorPath path = path_over(mesh, calm({Sweep::kOcclusal}));
  double least_s = 1, most_s = -1;
  for (std::uint64_t k = 0; k < path.frames(); ++k) {
    const RigidTransform& pose = path.scene_from_sensor(k);
    EXPECT_GT(-pose.linear().col(2).z(), std::cos(3 * M_PI / 180)) << k;
    const auto [distance_mm, s] = from_crest(aim(pose));
    EXPECT_LT(distance_mm, 2.5) << k;
    least_s = std::min(least_s, s);
    most_s = std::max(most_s, s);
  }
  EXPECT_LT(least_s, -0.8);
  EXPECT_GT(most_s, 0.8);
}

TEST(OperatorSweeps, LeansToTheTonguesSideAndToTheCheeksSide) {
  const Mesh mesh = horseshoe();
  for (const Sweep sweep : {Sweep::kLingual, Sweep::kBuccal}) {
    const OperatorPath path = path_over(mesh, calm({sweep}));
    for (std::uint64_t k = 0; k < path.frames(); k += 10) {
      const RigidTransform& pose = path.scene_from_sensor(k);
      const Eigen::Vector3d back = -pose.linear().col(2);
      EXPECT_NEAR(std::acos(back.z()) * 180 / M_PI, 50, 3) << k;
      // Inside the arch lies the way to its middle, (0, -10).
      const Eigen::Vector2d inside = Eigen::Vector2d(0, -10) - aim(pose);
      const double lean = back.head<2>().dot(inside.normalized());
      EXPECT_GT(sweep == Sweep::kLingual ? lean : -lean, 0.2) << k;
      // y of the sensor points to the cheek.
      EXPECT_LT(pose.linear().col(1).head<2>().dot(inside), 0) << k;
    }
  }
}

TEST(OperatorSweeps, ComesBackTheWayItWentWhenSweepsAreCombined) {
  const Mesh mesh = horseshoe();
  const OperatorPath path =
      path_over(mesh, calm({Sweep::kOcclusal, Sweep::kLingual, Sweep::kBuccal}));
  const OperatorPath one = path_over(mesh, calm({Sweep::kOcclusal}));
  EXPECT_GT(path.frames(), 5 * one.frames() / 2);
  int turns = 0;
  double before = 0;
  for (std::uint64_t k = 30; k < path.frames(); k += 30) {
    const double x = aim(path.scene_from_sensor(k)).x() - aim(path.scene_from_sensor(k - 30)).x();
    if (std::abs(x) < 1) continue;
    if (before * x < 0) ++turns;
    before = x;
  }
  EXPECT_EQ(turns, 2);
}

TEST(OperatorSweeps, HoldsTheStandOffOfAWandAndOfADepthCamera) {
  const Mesh mesh = horseshoe();
  for (const double standoff_mm : {14.0, 76.0}) {
    SweepOptions options = calm({Sweep::kOcclusal, Sweep::kBuccal});
    options.standoff_mm = standoff_mm;
    const OperatorPath path = path_over(mesh, options);
    for (std::uint64_t k = 0; k < path.frames(); k += 10)
      EXPECT_NEAR(least_depth(mesh, path.scene_from_sensor(k)), standoff_mm, 2.5) << k;
  }
}

TEST(OperatorSweeps, KeepsItsSpeedAndNeverJumps) {
  const Mesh mesh = horseshoe();
  SweepOptions options = calm({Sweep::kOcclusal, Sweep::kLingual});
  options.speed_mm_s = 10;
  const OperatorPath path = path_over(mesh, options);
  double way_mm = 0;
  for (std::uint64_t k = 1; k < path.frames(); ++k) {
    EXPECT_LT(speed(path, k, options.rate_hz), 10.5) << k;
    way_mm += speed(path, k, options.rate_hz) / options.rate_hz;
  }
  EXPECT_NEAR(way_mm / static_cast<double>(path.frames()) * options.rate_hz, 10, 0.7);

  options.tremor_scale = 1;
  const OperatorPath shaky = path_over(mesh, options);
  double fastest = 0;
  for (std::uint64_t k = 1; k < shaky.frames(); ++k)
    fastest = std::max(fastest, speed(shaky, k, options.rate_hz));
  EXPECT_GT(fastest, 10.5);
  EXPECT_LT(fastest, 22);
}

// From one side to the other the sensor hardly moves, but turns.
TEST(OperatorSweeps, SlowsDownForATurn) {
  const Mesh mesh = horseshoe();
  SweepOptions options = calm({Sweep::kOcclusal, Sweep::kLingual});
  const auto fastest_mm_s = [&](double arm_mm) {
    options.turning_arm_mm = arm_mm;
    const auto path = sweep_teeth(mesh, options);
    double fastest = 0;
    for (std::uint64_t k = 0; path.ok() && k + 1 < path->frames(); ++k) {
      const RigidTransform step =
          path->scene_from_sensor(k).inverse() * path->scene_from_sensor(k + 1);
      const double angle = Eigen::AngleAxisd(step.linear()).angle();
      fastest = std::max(fastest, options.standoff_mm * angle * options.rate_hz);
    }
    return fastest;
  };
  EXPECT_LT(fastest_mm_s(options.standoff_mm), 1.2 * options.speed_mm_s);
  EXPECT_GT(fastest_mm_s(0), 1.5 * options.speed_mm_s);
}

TEST(OperatorSweeps, PausesWhereItIsAsked) {
  const Mesh mesh = horseshoe();
  SweepOptions options = calm({Sweep::kOcclusal});
  const OperatorPath smooth = path_over(mesh, options);
  options.pauses = 3;
  options.pause_s = 1;
  const OperatorPath path = path_over(mesh, options);
  int pauses = 0;
  bool still = true;  // it begins at rest
  for (std::uint64_t k = 1; k < path.frames(); ++k) {
    const bool now = speed(path, k, options.rate_hz) < 0.2;
    if (now && !still && k + 30 < path.frames()) ++pauses;
    still = now;
  }
  EXPECT_EQ(pauses, 3);
  const double longer_s = static_cast<double>(path.frames() - smooth.frames()) / options.rate_hz;
  EXPECT_GT(longer_s, 1.2);
  EXPECT_LT(longer_s, 3.0);
}

TEST(OperatorSweeps, WaitsOnceWhereItIsAsked) {
  const Mesh mesh = horseshoe();
  SweepOptions options = calm({Sweep::kOcclusal});
  const OperatorPath smooth = path_over(mesh, options);
  options.wait_at_s = 0.9;
  options.wait_s = 5;
  const OperatorPath path = path_over(mesh, options);
  const auto at = [&](double time_s) {
    return static_cast<std::uint64_t>(time_s * options.rate_hz);
  };
  EXPECT_GT(speed(path, at(0.9), options.rate_hz), 0.5 * options.speed_mm_s);
  for (std::uint64_t k = at(2.2); k < at(5); ++k) EXPECT_LT(speed(path, k, options.rate_hz), 0.2);
  const double longer_s = static_cast<double>(path.frames() - smooth.frames()) / options.rate_hz;
  EXPECT_NEAR(longer_s, 4.3, 0.5);  // of five, less half of the ways into it and out of it
}

TEST(OperatorSweeps, LiftsOutOfRangeAndComesBack) {
  const Mesh mesh = horseshoe();
  SweepOptions options = calm({Sweep::kOcclusal});
  options.lifts = 2;
  const OperatorPath path = path_over(mesh, options);
  int lifts = 0;
  bool away = false;
  double furthest = 0;
  Eigen::Vector2d left_at = Eigen::Vector2d::Zero();
  for (std::uint64_t k = 0; k < path.frames(); ++k) {
    const RigidTransform& pose = path.scene_from_sensor(k);
    const double depth = least_depth(mesh, pose);
    furthest = std::max(furthest, depth);
    if (!away && depth > 22) {
      away = true;
      left_at = aim(pose);
      ++lifts;
    } else if (away && depth < 18) {
      away = false;
      EXPECT_LT((aim(pose) - left_at).norm(), 6);
    }
  }
  EXPECT_EQ(lifts, 2);
  EXPECT_FALSE(away);
  EXPECT_NEAR(furthest, 14 + 30, 3);
  EXPECT_NEAR(least_depth(mesh, path.scene_from_sensor(path.frames() - 1)), 14, 2.5);
}

TEST(OperatorSweeps, FollowsItsSeedAndStopsWhereItIsToldTo) {
  const Mesh mesh = horseshoe();
  SweepOptions options;
  const OperatorPath one = path_over(mesh, options), again = path_over(mesh, options);
  ASSERT_EQ(one.frames(), again.frames());
  for (std::uint64_t k = 0; k < one.frames(); k += 50)
    EXPECT_EQ(one.scene_from_sensor(k).matrix(), again.scene_from_sensor(k).matrix());
  options.seed = 2;
  EXPECT_NE(path_over(mesh, options).scene_from_sensor(500).matrix(),
            one.scene_from_sensor(500).matrix());
  options.seed = 1;
  options.most_frames = 120;
  const OperatorPath cut = path_over(mesh, options);
  EXPECT_EQ(cut.frames(), 120U);
  EXPECT_EQ(cut.scene_from_sensor(119).matrix(), one.scene_from_sensor(119).matrix());
}

TEST(OperatorSweeps, GoesStraightOverAnObjectWithoutAnArch) {
  const OperatorPath path =
      path_over(shapes::ellipsoid({12, 6, 4}, 40), calm({Sweep::kOcclusal, Sweep::kBuccal}));
  EXPECT_GT(path.frames(), 60U);
  for (std::uint64_t k = 0; k < path.frames(); ++k)
    EXPECT_TRUE(path.scene_from_sensor(k).matrix().allFinite());
}

TEST(OperatorSweeps, RefusesWhatNoHandCanDo) {
  const Mesh mesh = horseshoe();
  const auto code = [&](const auto& change) {
    SweepOptions options;
    change(options);
    const auto path = sweep_teeth(mesh, options);
    return path.ok() ? std::nullopt : std::optional(path.error().code);
  };
  EXPECT_EQ(code([](SweepOptions& o) { o.sweeps.clear(); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](SweepOptions& o) { o.speed_mm_s = 0; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](SweepOptions& o) { o.rate_hz = -1; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](SweepOptions& o) { o.standoff_mm = NAN; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](SweepOptions& o) { o.tilt_deg = 95; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](SweepOptions& o) { o.pauses = -1; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](SweepOptions& o) { o.wait_s = -1; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](SweepOptions& o) { o.speed_mm_s = 1e-3; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(sweep_teeth(Mesh{}, {}).error().code, ErrorCode::kInvalidArgument);
}

// --- soft tissue ---

constexpr double kRateHz = 60;

// A minute at 2 mm/s, looking down from 14 mm.
OperatorPath glide() {
  std::vector<RigidTransform> poses;
  for (int k = 0; k < 60 * 60; ++k) {
    RigidTransform pose = RigidTransform::Identity();
    pose.linear() = Eigen::DiagonalMatrix<double, 3>(1, -1, -1);
    pose.translation() = Eigen::Vector3d(2 * k / kRateHz, 0, 14);
    poses.push_back(pose);
  }
  return OperatorPath(std::move(poses));
}

TEST(SoftTissue, ComesIntoViewStaysAndGoesAgain) {
  const OperatorPath path = glide();
  const SoftTissueMotion motion(SoftTissue{}, path, kRateHz, 14, 5);
  const auto pose = [&](double time_s) {
    return path.scene_from_sensor(static_cast<std::uint64_t>(time_s * kRateHz));
  };
  ASSERT_GE(motion.intrusions().size(), 4U);
  const Intrinsics camera{160, 120, 150, 150, 79.5, 59.5};
  const auto renderer = DepthRenderer::create(shapes::plane(200, 2));
  ASSERT_TRUE(renderer.ok());
  const auto hidden_share = [&](double time_s) {
    DepthImage image;
    renderer->render(camera, pose(time_s), image);
    hide_behind(motion.at(time_s), pose(time_s), image);
    int hidden = 0;
    for (const float depth : image.depth_mm) {
      EXPECT_LE(depth, 14.001F);
      hidden += depth < 13.9F ? 1 : 0;
    }
    return hidden / static_cast<double>(image.depth_mm.size());
  };
  int tongues = 0;
  for (const auto& intrusion : motion.intrusions()) {
    EXPECT_TRUE(motion.at(intrusion.begin_s - 1e-3).empty());
    EXPECT_TRUE(motion.at(intrusion.end_s + 1e-3).empty());
    EXPECT_EQ(hidden_share(intrusion.begin_s + 0.02), 0);
    EXPECT_EQ(hidden_share(intrusion.end_s - 0.02), 0);
    const double deepest = hidden_share(0.5 * (intrusion.begin_s + intrusion.end_s));
    EXPECT_GT(deepest, 0.05);
    EXPECT_LT(deepest, 0.6);
    tongues += intrusion.way_back_mm.y() > 0 ? 1 : 0;  // the sensor's -y is the scene's +y here
  }
  EXPECT_GT(tongues, 0);
  EXPECT_LT(tongues, static_cast<int>(motion.intrusions().size()));
}

TEST(SoftTissue, FollowsItsSeed) {
  const auto begins = [&](std::uint64_t seed) {
    std::vector<double> times;
    const SoftTissueMotion motion(SoftTissue{}, glide(), kRateHz, 14, seed);
    for (const auto& intrusion : motion.intrusions()) times.push_back(intrusion.begin_s);
    return times;
  };
  EXPECT_EQ(begins(1), begins(1));
  EXPECT_NE(begins(1), begins(2));
}

}  // namespace
}  // namespace cusp::sim
