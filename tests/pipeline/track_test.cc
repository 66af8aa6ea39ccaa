#include "pipeline/track.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "pipeline/fuse.h"
#include "pipeline/match_kernel.h"
#include "pipeline/relocalise.h"
#include "pipeline/screen.h"
#include "pipeline/splat_kernel.h"
#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

using testing::small_camera;

constexpr double kVoxelMm = 0.35;

// A view of the small camera at half resolution, and a frame, of the same thing: depth along the
// ray (x, y, 1) in the frame of `seen_from`.
using Depth = std::function<double(const RigidTransform& seen_from, double x, double y)>;

DepthFrame frame_of(const Depth& depth, const RigidTransform& model_from_sensor) {
  const Intrinsics in = small_camera().depth;
  DepthFrame frame{.sequence = 0, .host_time = {}, .intrinsics = in, .depth_mm = {}};
  for (int y = 0; y < in.height_px; ++y)
    for (int x = 0; x < in.width_px; ++x)
      frame.depth_mm.push_back(static_cast<float>(
          depth(model_from_sensor, (x - in.cx_px) / in.fx_px, (y - in.cy_px) / in.fy_px)));
  return frame;
}

MeasuredSurface measured(const Depth& depth, const RigidTransform& model_from_sensor) {
  WorkerPool pool(2);
  return preprocess(frame_of(depth, model_from_sensor),
                    NoiseModel(testing::small_options(), small_camera()), pool);
}

// What was measured from a pose, as if it were the model.
ModelView view_of(const Depth& depth, const RigidTransform& model_from_view) {
  const MeasuredSurface surface = measured(depth, model_from_view);
  const SampleGrid& grid = surface.fine;
  ModelView view{.intrinsics = {.width_px = grid.width,
                                .height_px = grid.height,
                                .fx_px = surface.intrinsics.fx_px / 2,
                                .fy_px = surface.intrinsics.fy_px / 2,
                                .cx_px = surface.intrinsics.cx_px / 2,
                                .cy_px = surface.intrinsics.cy_px / 2},
                 .model_from_view = model_from_view,
                 .points = {},
                 .seen = grid.count};
  for (int y = 0; y < grid.height; ++y)
    for (int x = 0; x < grid.width; ++x) {
      const std::size_t i = static_cast<std::size_t>(y) * grid.stride + static_cast<std::size_t>(x);
      const Eigen::Vector3f p = grid.point_mm(i);
      view.points.push_back({.x = p.x(),
                             .y = p.y(),
                             .z = p.z(),
                             .seen = grid.weight[i] > 0 ? 1.0F : 0.0F,
                             .nx = grid.nx[i],
                             .ny = grid.ny[i],
                             .nz = grid.nz[i]});
    }
  return view;
}

TrackLimits limits() {
  return {.wide_mm = 10 * kVoxelMm, .narrow_mm = 2 * kVoxelMm, .coarse_steps = 8, .fine_steps = 5};
}

RigidTransform small_motion() {
  RigidTransform motion = RigidTransform::Identity();
  motion.rotate(Eigen::AngleAxisd(0.02, Eigen::Vector3d(1, -2, 0.5).normalized()));
  motion.pretranslate(Eigen::Vector3d(0.8, -0.5, 0.4));
  return motion;
}

double disc_depth(const RigidTransform& from, double x, double y) {
  static const testing::BumpyDisc disc;
  return disc.depth_mm(from.translation(), from.linear() * Eigen::Vector3d(x, y, 1));
}
double plane_depth(const RigidTransform& from, double x, double y) {
  const Eigen::Vector3d ray = from.linear() * Eigen::Vector3d(x, y, 1);
  return (80 - from.translation().z()) / ray.z();
}
double sphere_depth(const RigidTransform& from, double x, double y) {
  const Eigen::Vector3d ray = from.linear() * Eigen::Vector3d(x, y, 1);
  const Eigen::Vector3d to_middle = Eigen::Vector3d(0, 0, 95) - from.translation();
  const double along = ray.dot(to_middle) / ray.squaredNorm();
  const double rest = 25.0 * 25.0 - (to_middle - along * ray).squaredNorm();
  return rest < 0 ? 0 : along - std::sqrt(rest / ray.squaredNorm());
}

TEST(Track, FindsTheMotionBetweenTwoViewsOfADisc) {
  const RigidTransform first = testing::above(80, 0.1, -0.1);
  const RigidTransform second = first * small_motion();
  WorkerPool pool(2);
  const Fit found =
      fit(measured(disc_depth, second), view_of(disc_depth, first), first, limits(), pool);
  ASSERT_TRUE(found.solved);
  EXPECT_EQ(found.free_directions(), 0);
  EXPECT_GT(found.agreement, 0.95);
  EXPECT_LT((found.model_from_sensor.translation() - second.translation()).norm(), 0.1);
  EXPECT_LT(found.rms_mm, 0.05);
}

TEST(Track, LeavesWhatAPlaneDoesNotTellToThePrediction) {
  const RigidTransform first = RigidTransform::Identity();
  RigidTransform second = RigidTransform::Identity();
  second.translation() = Eigen::Vector3d(0.7, -0.4, 0.5);
  RigidTransform predicted = second;
  predicted.translation().z() = 0.1;
  WorkerPool pool(2);
  const Fit found =
      fit(measured(plane_depth, second), view_of(plane_depth, first), predicted, limits(), pool);
  ASSERT_TRUE(found.solved);
  EXPECT_EQ(found.free_slides, 2);
  EXPECT_EQ(found.free_turns, 1);
  EXPECT_LT((found.model_from_sensor.translation() - second.translation()).norm(), 0.02);
}

TEST(Track, KnowsThatASphereTurnsOnItself) {
  const RigidTransform first = RigidTransform::Identity();
  RigidTransform second = RigidTransform::Identity();
  second.translation() = Eigen::Vector3d(0.3, -0.2, 0.4);
  WorkerPool pool(2);
  const Fit found =
      fit(measured(sphere_depth, second), view_of(sphere_depth, first), first, limits(), pool);
  ASSERT_TRUE(found.solved);
  EXPECT_EQ(found.free_directions(), 3);
  const Eigen::Vector3d middle(0, 0, 95);
  EXPECT_LT((found.model_from_sensor * (second.inverse() * middle) - middle).norm(), 0.05);
}

TEST(Keyframes, KnowAPictureThatIsShiftedAndTurned) {
  const RigidTransform kept = testing::above(80, 0.1, -0.1);
  Keyframes keyframes;
  keyframes.offer(kept, measured(disc_depth, kept));
  for (const double turn_rad : {0.0, 0.35, -0.35})
    for (const double shift_mm : {0.0, 12.0, -24.0}) {
      const RigidTransform now = kept * Eigen::Translation3d(shift_mm, -shift_mm / 2, 0) *
                                 Eigen::AngleAxisd(turn_rad, Eigen::Vector3d::UnitZ());
      const auto starts = keyframes.nearest(measured(disc_depth, now), 3);
      ASSERT_FALSE(starts.empty());
      const Eigen::Vector3d left(-20, 0, 80), right(20, 0, 80);
      const double off_mm = std::max((starts.front() * left - now * left).norm(),
                                     (starts.front() * right - now * right).norm());
      EXPECT_LT(off_mm, 3.5) << turn_rad << ' ' << shift_mm;  // in reach of a wide fit
    }
}

TEST(Keyframes, KnowNothingOfAFrameThatShowsNothing) {
  const auto nothing = [](const RigidTransform&, double, double) { return 0.0; };
  const RigidTransform pose = testing::above(80, 0, 0);
  Keyframes keyframes;
  EXPECT_TRUE(keyframes.nearest(measured(disc_depth, pose), 3).empty());
  keyframes.offer(pose, measured(disc_depth, pose));
  EXPECT_TRUE(keyframes.nearest(measured(nothing, pose), 3).empty());
}

TEST(Track, IsNotSolvedWhereNothingIsMeasuredOrNothingIsToBeSeen) {
  const auto nothing = [](const RigidTransform&, double, double) { return 0.0; };
  const RigidTransform pose = testing::above(80, 0.1, -0.1);
  WorkerPool pool(1);
  EXPECT_FALSE(
      fit(measured(nothing, pose), view_of(disc_depth, pose), pose, limits(), pool).solved);
  EXPECT_FALSE(
      fit(measured(disc_depth, pose), view_of(nothing, pose), pose, limits(), pool).solved);
}

// A volume that shows the field of a sphere, and its mesh.
struct MeshedSphere {
  MeshedSphere(const Eigen::Vector3d& middle_mm, double radius_mm)
      : volume(kVoxelMm, 4 * kVoxelMm, std::size_t{1} << 28), live(volume.voxel_mm(), 0) {
    WorkerPool pool(2);
    const auto depth = [&](const RigidTransform& from, double x, double y) {
      const Eigen::Vector3d ray = from.linear() * Eigen::Vector3d(x, y, 1);
      const Eigen::Vector3d to_middle = middle_mm - from.translation();
      const double along = ray.dot(to_middle) / ray.squaredNorm();
      const double rest = radius_mm * radius_mm - (to_middle - along * ray).squaredNorm();
      return rest < 0 ? 0 : along - std::sqrt(rest / ray.squaredNorm());
    };
    const auto report =
        fuse(measured(depth, RigidTransform::Identity()), RigidTransform::Identity(), volume, pool);
    live.update(volume, report.value().changed, pool);
  }
  Volume volume;
  LiveMesh live;
};

TEST(Predict, SeesASphereWhereItIsWithoutHolesAndWithAnyThreads) {
  const Eigen::Vector3d middle(2, -1, 90);
  const MeshedSphere sphere(middle, 15);
  RigidTransform pose = RigidTransform::Identity();
  pose.translation() = Eigen::Vector3d(1, 0.5, 20);  // nearer: a voxel is wider than a pixel
  WorkerPool one(1);
  WorkerPool three(3);
  const ModelView view = predict_view(sphere.live, pose, small_camera().depth, 2, 130, three);
  const ModelView again = predict_view(
      sphere.live, pose, small_camera().depth, 2, 130, one,
      predict_view(sphere.live, RigidTransform::Identity(), small_camera().depth, 2, 130, one));
  ASSERT_EQ(view.points.size(), again.points.size());
  EXPECT_EQ(
      std::memcmp(view.points.data(), again.points.data(), view.points.size() * sizeof(ModelPoint)),
      0);
  EXPECT_GT(view.seen, 2000U);
  std::size_t holes = 0;
  for (int y = 0; y < view.intrinsics.height_px; ++y)
    for (int x = 0; x < view.intrinsics.width_px; ++x) {
      const ModelPoint& point =
          view.points[static_cast<std::size_t>(y * view.intrinsics.width_px + x)];
      const Eigen::Vector3d ray((x - view.intrinsics.cx_px) / view.intrinsics.fx_px,
                                (y - view.intrinsics.cy_px) / view.intrinsics.fy_px, 1);
      const Eigen::Vector3d to_middle = pose.inverse() * middle;
      const double off = (to_middle - ray.normalized().dot(to_middle) * ray.normalized()).norm();
      if (off < 11 && point.seen == 0) ++holes;
      if (point.seen == 0) continue;
      const Eigen::Vector3f out =
          Eigen::Vector3f(point.x, point.y, point.z) - to_middle.cast<float>();
      EXPECT_NEAR(out.norm(), 15, 0.05);
      EXPECT_GT(out.normalized().dot(Eigen::Vector3f(point.nx, point.ny, point.nz)), 0.98F);
      EXPECT_LT(out.z(), 3);  // the near side
    }
  EXPECT_EQ(holes, 0U);
}

TEST(Predict, SeesNothingOfNothingAndNothingBehindItself) {
  WorkerPool pool(1);
  const LiveMesh nothing(0.3F, 0);
  EXPECT_EQ(
      predict_view(nothing, RigidTransform::Identity(), small_camera().depth, 2, 130, pool).seen,
      0U);
  const MeshedSphere sphere({0, 0, 90}, 15);
  RigidTransform turned = RigidTransform::Identity();
  turned.rotate(Eigen::AngleAxisd(M_PI, Eigen::Vector3d::UnitY()));
  EXPECT_EQ(predict_view(sphere.live, turned, small_camera().depth, 2, 130, pool).seen, 0U);
  // Beyond the range.
  EXPECT_EQ(
      predict_view(sphere.live, RigidTransform::Identity(), small_camera().depth, 2, 60, pool).seen,
      0U);
}

TEST(Predict, EveryProcessorDrawsTheSameBits) {
  const MeshedSphere sphere({2, -1, 90}, 15);
  std::vector<SplatPatch> patches;
  for (std::size_t i = 0; i < sphere.live.size(); ++i) {
    const MeshPatch patch = sphere.live.patch(i);
    const Eigen::Vector3f first = patch.block.cast<float>() * (kBlockSide * kVoxelMm);
    patches.push_back({.vertices = patch.vertices.data(),
                       .count = static_cast<std::uint32_t>(patch.vertices.size()),
                       .every = static_cast<std::uint32_t>(1 + i % 3),
                       .first_mm = {first.x(), first.y(), first.z()}});
  }
  // No whole number of eights, squares of several pixels, some cut by the picture's sides.
  constexpr int kWidth = 131, kHeight = 75;
  const auto drawn = [&](const SplatKernel& kernel) {
    std::vector<std::uint64_t> nearest(kWidth * kHeight, kNothingSeen);
    std::vector<ModelPoint> points(nearest.size());
    const SplatView view{.width = kWidth,
                         .height = kHeight,
                         .fx_px = 400,
                         .fy_px = 390,
                         .cx_px = 50,
                         .cy_px = 40,
                         .rotation = {1, 0, 0, 0, 0.8F, -0.6F, 0, 0.6F, 0.8F},
                         .step_mm = static_cast<float>(kVoxelMm) / kPatchSteps,
                         .max_depth_mm = 130,
                         .half_mm = 0.3F,
                         .layers_a_mm = 1,
                         .nearest = nearest.data()};
    SplatView ahead = view;
    ahead.rotation = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    for (const SplatView& from : {view, ahead})
      for (std::size_t i = 0; i < patches.size(); ++i) kernel.draw(from, patches[i], i);
    std::size_t seen = 0;
    for (std::size_t y = 0; y < kHeight; ++y)
      seen += kernel.resolve(ahead, patches.data(), y, points.data() + y * kWidth);
    EXPECT_GT(seen, 2000U);
    return std::pair(nearest, points);
  };
  const auto fast = drawn(splat_kernel());
  const auto plain = drawn(baseline_splat_kernel());
  EXPECT_EQ(fast.first, plain.first);
  EXPECT_EQ(std::memcmp(fast.second.data(), plain.second.data(),
                        plain.second.size() * sizeof(ModelPoint)),
            0);
}

// The disc with a round thing 8 mm above its middle.
double covered_depth(const RigidTransform& from, double x, double y) {
  const double z = disc_depth(from, x, y);
  return std::hypot(x, y) < 0.1 ? 62 : z;
}

bool all_cut(const MeasuredSurface& surface, int left, int top, int right, int bottom) {
  for (int y = top; y < bottom; ++y)
    for (int x = left; x < right; ++x)
      if (surface.planes[static_cast<std::size_t>(y * 320 + x)].w() != 0) return false;
  return true;
}

TEST(Screen, CutsOutWhatStandsInFrontOfTheModelUntilItHasLongBeenThere) {
  const RigidTransform pose = testing::above(80, 0.1, -0.1);
  const ModelView view = view_of(disc_depth, pose);
  const MeasuredSurface covered = measured(covered_depth, pose);
  const MeasuredSurface clear = measured(disc_depth, pose);
  const ScreenLimits limits{.in_front_mm = 1, .cell_mm = 5};
  WorkerPool pool(2);
  Screen screen;

  MeasuredSurface surface = clear;
  Screened screened = screen.cut(view, pose, limits, surface, pool);
  EXPECT_TRUE(screened.fusable);
  EXPECT_EQ(screened.in_front, 0);
  EXPECT_GT(surface.weights[120 * 320 + 160], 0);

  surface = covered;
  ASSERT_FALSE(all_cut(surface, 145, 105, 175, 135));
  screened = screen.cut(view, pose, limits, surface, pool);
  EXPECT_TRUE(screened.fusable);
  EXPECT_GT(screened.in_front, 0.01);
  EXPECT_TRUE(all_cut(surface, 145, 105, 175, 135));
  EXPECT_GT(surface.weights[120 * 320 + 80], 0);  // beside it

  // A second and a half: it belongs to what is there.
  for (int k = 0; k < 50; ++k) {
    surface = covered;
    screened = screen.cut(view, pose, limits, surface, pool);
  }
  EXPECT_EQ(screened.in_front, 0);
  EXPECT_FALSE(all_cut(surface, 145, 105, 175, 135));

  screen.clear();
  surface = covered;
  EXPECT_GT(screen.cut(view, pose, limits, surface, pool).in_front, 0.01);
}

// What was cut from the surface, of whichever pixels, goes from the sensor's frame.
TEST(Screen, CutsThePixelsOfASampleOutOfTheFrame) {
  const RigidTransform pose = testing::above(80, 0.1, -0.1);
  WorkerPool pool(2);
  for (const int binning : {1, 2}) {
    ReconstructionOptions options = testing::small_options();
    if (binning == 2) options.voxel_mm = 1;
    DepthFrame frame = frame_of(disc_depth, pose);
    const MeasuredSurface surface = preprocess(frame, NoiseModel(options, small_camera()), pool);
    ASSERT_EQ(surface.binning, binning);
    ASSERT_EQ(surface.coarse.width, 80);
    const Screened screened{.samples = {20 * surface.coarse.stride + 30}};
    std::ranges::fill(frame.depth_mm, 1.0F);
    cut_out(screened, surface, frame);
    // Up to the samples around it: one stands four pixels, or two squares, from the next.
    const int left = binning == 1 ? 117 : 118, top = binning == 1 ? 77 : 78;
    const int side = binning == 1 ? 7 : 6;
    for (int y = 0; y < 240; ++y)
      for (int x = 0; x < 320; ++x) {
        const bool cut = x >= left && x < left + side && y >= top && y < top + side;
        ASSERT_EQ(frame.depth_mm[static_cast<std::size_t>(y * 320 + x)], cut ? 0 : 1)
            << x << ' ' << y;
      }
  }
}

TEST(Screen, RefusesAFrameThatIsMostlyInFrontOfTheModel) {
  const RigidTransform pose = testing::above(80, 0.1, -0.1);
  const auto mostly_covered = [](const RigidTransform& from, double x, double y) {
    return std::hypot(x, y) < 0.25 ? 62 : disc_depth(from, x, y);
  };
  MeasuredSurface surface = measured(mostly_covered, pose);
  WorkerPool pool(1);
  Screen screen;
  EXPECT_FALSE(
      screen.cut(view_of(disc_depth, pose), pose, {.in_front_mm = 1, .cell_mm = 5}, surface, pool)
          .fusable);
}

TEST(MatchKernel, GivesTheSameBitsWithAndWithoutAvx2) {
  const RigidTransform pose = testing::above(80, 0.1, -0.1);
  const MeasuredSurface surface = measured(disc_depth, pose);
  ModelView view = view_of(disc_depth, pose);
  MatchInput input{.stride = surface.fine.stride,
                   .ray_x = surface.fine.ray_x.data(),
                   .ray_y = surface.fine.ray_y.data(),
                   .z_mm = surface.fine.z_mm.data(),
                   .nx = surface.fine.nx.data(),
                   .ny = surface.fine.ny.data(),
                   .nz = surface.fine.nz.data(),
                   .weight = surface.fine.weight.data(),
                   .points = view.points.data(),
                   .width = view.intrinsics.width_px,
                   .height = view.intrinsics.height_px,
                   .fx_px = 150,
                   .fy_px = 150,
                   .cx_px = 80,
                   .cy_px = 60,
                   .rotation = {1, 0.01F, -0.02F, -0.01F, 1, 0.005F, 0.02F, -0.005F, 1},
                   .shift_mm = {0.3F, -0.2F, 0.1F},
                   .middle_mm = {0, 0, 76},
                   .per_radius = 0.05F,
                   .search_mm = 2,
                   .kernel_mm = 0.7F,
                   .min_normal_cos = 0.5F};
  const auto rows = static_cast<std::size_t>(surface.fine.height);
  const MatchSums fast = match_rows()(input, 0, rows);
  const MatchSums plain = baseline_match_rows()(input, 0, rows);
  EXPECT_GT(fast.inliers, 1000);
  EXPECT_LT(fast.inliers, fast.met);
  EXPECT_EQ(std::memcmp(&fast, &plain, sizeof fast), 0);
}

}  // namespace
}  // namespace cusp
