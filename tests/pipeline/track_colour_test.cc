#include "pipeline/track_colour.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "pipeline/fuse.h"
#include "pipeline/fuse_colour.h"
#include "pipeline/pose_finder.h"
#include "pipeline/track.h"
#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

using testing::small_camera;

constexpr double kVoxelMm = 0.35;

// Depth along the ray (x, y, 1) in the frame of `seen_from`.
using Shape = std::function<double(const RigidTransform& seen_from, double x, double y)>;
// Brightness of a point of the model; 0: the colour camera does not see it.
using Paint = std::function<double(const Eigen::Vector3d& p_in_model)>;
// What the camera makes of it at a pixel.
using Exposure = std::function<double(double brightness, double x, double y)>;

double plane(const RigidTransform& from, double x, double y) {
  const Eigen::Vector3d ray = from.linear() * Eigen::Vector3d(x, y, 1);
  return (80 - from.translation().z()) / ray.z();
}
// Along x, round across: it slides, but does not turn.
double ridge(const RigidTransform& from, double x, double y) {
  const Eigen::Vector3d ray = from.linear() * Eigen::Vector3d(x, y, 1);
  double z = plane(from, x, y);
  for (int k = 0; k < 12; ++k) {
    const Eigen::Vector3d p = from.translation() + z * ray;
    z += (80 - 8 * std::exp(-p.y() * p.y() / 200) - p.z()) / ray.z();
  }
  return z;
}
double sphere(const RigidTransform& from, double x, double y) {
  const Eigen::Vector3d ray = from.linear() * Eigen::Vector3d(x, y, 1);
  const Eigen::Vector3d to_middle = Eigen::Vector3d(0, 0, 130) - from.translation();
  const double along = ray.dot(to_middle) / ray.squaredNorm();
  const double rest = 60.0 * 60.0 - (to_middle - along * ray).squaredNorm();
  return rest < 0 ? 0 : along - std::sqrt(rest / ray.squaredNorm());
}
double disc(const RigidTransform& from, double x, double y) {
  static const testing::BumpyDisc scene;
  return scene.depth_mm(from.translation(), from.linear() * Eigen::Vector3d(x, y, 1));
}

double evenly(const Eigen::Vector3d&) { return 120; }
// Waves of 2.5 to 12 mm in all directions.
double stippled(const Eigen::Vector3d& p) {
  double sum = 120;
  for (int k = 0; k < 14; ++k) {
    const double wave = 2 * M_PI / (2.5 + 0.7 * k), angle = 2.4 * k;
    sum += 8 * std::sin(wave * (p.x() * std::cos(angle) + p.y() * std::sin(angle)) + k);
  }
  return sum;
}
double striped(const Eigen::Vector3d& p) {
  return 120 + 20 * std::sin(2 * M_PI * p.y() / 5) + 15 * std::sin(2 * M_PI * p.y() / 3.1);
}

double as_it_is(double brightness, double, double) { return brightness; }
double brighter(double brightness, double, double) { return 1.3 * brightness + 10; }
double darker(double brightness, double, double) { return 0.5 * brightness - 5; }
// Light that goes with the sensor: it falls off to the sides, ...
double vignette(double brightness, double x, double y) {
  return brightness * std::pow(1 + x * x + y * y, -2);
}
double spot(double brightness, double x, double y) {
  return brightness * (0.3 + 0.7 * std::exp(-(x * x + y * y) / (2 * 0.15 * 0.15)));
}
// ... and is seen in what is wet.
double glare(double brightness, double x, double y) {
  for (int k = 0; k < 8; ++k)
    brightness += 400 * std::exp(-(std::pow(x - 0.35 * std::cos(k), 2) +
                                   std::pow(y - 0.25 * std::sin(2.3 * k), 2)) /
                                 (2 * 0.02 * 0.02));
  return brightness;
}
// Bright things beside, which no model knows.
double cluttered(double brightness, double x, double y) {
  const bool there = std::sin(40 * x) > 0.8 && std::sin(33 * y + 1) > 0.5;
  return there ? 230 : brightness;
}

struct Camera {
  Exposure exposure = as_it_is;
  double noise = 2;  // of a brightness, counts
  double depth_noise_mm = 0.05;
};

// The sum of twelve is near enough to a normal distribution, and the same everywhere.
double normal(std::mt19937& random) {
  double sum = -6;
  for (int k = 0; k < 12; ++k) sum += static_cast<double>(random()) / 4294967296.0;
  return sum;
}

DepthFrame shot(const Shape& shape, const Paint& paint, const RigidTransform& pose, unsigned seed,
                const Camera& camera = {}) {
  const Intrinsics in = small_camera().depth;
  DepthFrame frame{.sequence = 0, .host_time = {}, .intrinsics = in, .depth_mm = {}};
  std::mt19937 random(seed);
  for (int v = 0; v < in.height_px; ++v)
    for (int u = 0; u < in.width_px; ++u) {
      const double x = (u - in.cx_px) / in.fx_px, y = (v - in.cy_px) / in.fy_px;
      const double z = shape(pose, x, y);
      const Eigen::Vector3d p = pose * (z * Eigen::Vector3d(x, y, 1));
      const double painted = paint(p);
      const double grey = camera.exposure(painted, x, y) + camera.noise * normal(random);
      const auto byte = static_cast<std::uint8_t>(std::clamp(std::lround(grey), 1L, 255L));
      frame.depth_mm.push_back(
          z > 0 ? static_cast<float>(z + camera.depth_noise_mm * normal(random)) : 0.0F);
      for (int c = 0; c < 3; ++c) frame.rgb.push_back(z > 0 && painted > 0 ? byte : 0);
    }
  return frame;
}

MeasuredSurface measured(const DepthFrame& frame, WorkerPool& pool) {
  return preprocess(frame, NoiseModel(testing::small_options(), small_camera()), pool);
}

RigidTransform moved(double x_mm, double y_mm, double turn_rad) {
  RigidTransform pose = RigidTransform::Identity();
  pose.translate(Eigen::Vector3d(x_mm, y_mm, 0));
  pose.rotate(Eigen::AngleAxisd(turn_rad, Eigen::Vector3d::UnitZ()));
  return pose;
}

// Where frames are fused, as a scan does it.
// Fused from four places, as a scan does it.
struct Model {
  Model(const Shape& shape, const Paint& paint, const RigidTransform& near,
        const Camera& camera = {}, bool coloured = true)
      : volume(kVoxelMm, 4 * kVoxelMm, std::size_t{1} << 28), live(volume.voxel_mm(), 0) {
    for (unsigned k = 0; k < 4; ++k) {
      const RigidTransform pose = near * moved(0.43 * k - 0.7, 0.3 * (k % 2), 0.01 * k);
      DepthFrame frame = shot(shape, paint, pose, 100 + k, camera);
      if (!coloured) frame.rgb.clear();
      add(frame, pose);
    }
  }
  void add(const DepthFrame& frame, const RigidTransform& pose) {
    const MeasuredSurface surface = measured(frame, pool);
    const auto report = fuse(surface, pose, volume, pool);
    fuse_colour(surface, pose, report.value().changed, volume, pool);
    live.update(volume, report.value().changed, pool);
  }
  WorkerPool pool{2};
  Volume volume;
  LiveMesh live;
};

TrackLimits limits(bool with_colour = true) {
  return {.wide_mm = 10 * kVoxelMm,
          .narrow_mm = 2 * kVoxelMm,
          .coarse_steps = 8,
          .fine_steps = 5,
          .colour_sigma_mm = with_colour ? 0.1 * kVoxelMm : 0};
}

Fit tracked(const Model& model, const DepthFrame& frame, const RigidTransform& start,
            const TrackLimits& within = limits(), int threads = 2) {
  WorkerPool pool(threads);
  const MeasuredSurface surface = measured(frame, pool);
  const ModelView view =
      predict_view(model.live, start, surface.intrinsics, surface.fine.step, 130, pool);
  return fit(surface, view, start, within, pool);
}

// How far the points in the middle and at the side of the picture are from where they should be.
double off_um(const RigidTransform& found, const RigidTransform& truth) {
  double most = 0;
  for (const double x : {-25.0, 0.0, 25.0})
    most = std::max(most,
                    (found * Eigen::Vector3d(x, 0, 80) - truth * Eigen::Vector3d(x, 0, 80)).norm());
  return 1000 * most;
}

Fit by_shape(const Model& model, const DepthFrame& frame, const RigidTransform& start) {
  return tracked(model, frame, start, limits(false));
}
bool are_same_bits(const Fit& a, const Fit& b) {
  return a.model_from_sensor.matrix() == b.model_from_sensor.matrix() && a.rms_mm == b.rms_mm &&
         a.overlap == b.overlap && a.agreement == b.agreement && a.stiffness == b.stiffness &&
         a.free_slides == b.free_slides && a.free_turns == b.free_turns &&
         a.colour_slides == b.colour_slides && a.colour_turns == b.colour_turns;
}

const RigidTransform kHere = RigidTransform::Identity();

TEST(TrackColour, HoldsARidgeThatSlides) {
  const Model model(ridge, stippled, kHere);
  for (const double slid_mm : {0.1, 1.0, 3.0}) {
    const RigidTransform truth = moved(slid_mm, 0, 0);
    const DepthFrame frame = shot(ridge, stippled, truth, 7);
    EXPECT_EQ(by_shape(model, frame, kHere).free_slides, 1);
    EXPECT_GT(off_um(by_shape(model, frame, kHere).model_from_sensor, truth), 80);
    const Fit found = tracked(model, frame, kHere);
    EXPECT_EQ(found.free_directions(), 0);
    EXPECT_EQ(found.colour_slides, 1);
    EXPECT_EQ(found.colour_turns, 0);
    EXPECT_LT(off_um(found.model_from_sensor, truth), 10) << slid_mm;
  }
}

TEST(TrackColour, HoldsAPlaneAndASphereThatSlideAndTurn) {
  for (const auto& shape : {Shape(plane), Shape(sphere)}) {
    const Model model(shape, stippled, kHere);
    for (const double times : {0.2, 1.0, 3.0}) {
      const RigidTransform truth = moved(times, -0.6 * times, 0.015 * times);
      const Fit found = tracked(model, shot(shape, stippled, truth, 7), kHere);
      EXPECT_EQ(found.free_directions(), 0);
      EXPECT_EQ(found.colour_slides, 2);
      EXPECT_EQ(found.colour_turns, 1);
      EXPECT_LT(off_um(found.model_from_sensor, truth), 12) << times;
    }
  }
}

TEST(TrackColour, IsTheSameFromWhereverItStarts) {
  const Model model(plane, stippled, kHere);
  const RigidTransform truth = moved(0.4, 0.3, 0.01);
  const DepthFrame frame = shot(plane, stippled, truth, 7);
  for (const RigidTransform& start :
       {moved(0, 0, 0), moved(1.5, -0.7, 0.03), moved(-0.8, 1.2, -0.02)}) {
    const Fit found = tracked(model, frame, start);
    EXPECT_EQ(found.free_directions(), 0);
    EXPECT_LT(off_um(found.model_from_sensor, truth), 8);
  }
}

TEST(TrackColour, TakesWhatTheLightDoesForNoMotion) {
  const Model model(plane, stippled, kHere);
  const RigidTransform truth = moved(0.8, -0.5, 0.01);
  for (const auto exposure : {brighter, darker, vignette, glare}) {
    const Fit found =
        tracked(model, shot(plane, stippled, truth, 7, {.exposure = exposure}), kHere);
    EXPECT_EQ(found.free_directions(), 0);
    EXPECT_LT(off_um(found.model_from_sensor, truth), 8);
  }
}

TEST(TrackColour, IsHardlyMovedByWhatTheModelDoesNotKnow) {
  const Model model(plane, stippled, kHere);
  const RigidTransform truth = moved(0.8, -0.5, 0.01);
  const DepthFrame frame = shot(plane, stippled, truth, 7, {.exposure = cluttered});
  EXPECT_LT(off_um(tracked(model, frame, kHere).model_from_sensor, truth), 40);
}

TEST(TrackColour, HoldsNothingByTheLightAlone) {
  const RigidTransform truth = moved(0.5, -0.3, 0.01);
  for (const auto exposure : {vignette, spot, glare})
    for (const double noise : {0.3, 2.0}) {
      const Camera camera{.exposure = exposure, .noise = noise};
      const Model model(plane, evenly, kHere, camera);
      const DepthFrame frame = shot(plane, evenly, truth, 7, camera);
      EXPECT_TRUE(are_same_bits(tracked(model, frame, kHere), by_shape(model, frame, kHere)));
    }
}

TEST(TrackColour, HoldsNothingWhereThereIsNoTextureOrNothingButNoise) {
  const RigidTransform truth = moved(0.5, -0.3, 0.01);
  for (const double of_model : {0.0, 2.0, 15.0}) {
    const Model model(plane, evenly, kHere, {.noise = of_model});
    for (const double of_frame : {0.0, 2.0, 15.0})
      for (const unsigned seed : {7U, 8U, 9U}) {
        const DepthFrame frame = shot(plane, evenly, truth, seed, {.noise = of_frame});
        const Fit found = tracked(model, frame, kHere);
        EXPECT_EQ(found.free_slides, 2);
        EXPECT_EQ(found.free_turns, 1);
        EXPECT_TRUE(are_same_bits(found, by_shape(model, frame, kHere)));
      }
  }
}

TEST(TrackColour, HoldsNothingWhereThePicturesAreOfOtherThings) {
  const RigidTransform truth = moved(0.5, -0.3, 0.01);
  const Model even(plane, evenly, kHere), textured(plane, stippled, kHere);
  const auto other = [](const Eigen::Vector3d& p) {
    return stippled(p + Eigen::Vector3d(31, -17, 0));
  };
  for (const auto& [model, paint] :
       {std::pair<const Model*, Paint>{&even, stippled}, {&textured, evenly}, {&textured, other}}) {
    const DepthFrame frame = shot(plane, paint, truth, 7);
    EXPECT_TRUE(are_same_bits(tracked(*model, frame, kHere), by_shape(*model, frame, kHere)));
  }
}

TEST(TrackColour, HoldsAcrossStripesAndNotAlongThem) {
  const Model model(plane, striped, kHere);
  for (const double noise : {2.0, 15.0}) {
    const DepthFrame frame = shot(plane, striped, moved(0.5, 1, 0), 7, {.noise = noise});
    const Fit found = tracked(model, frame, kHere);
    EXPECT_EQ(found.free_slides, 1);
    EXPECT_EQ(found.free_turns, 0);
    EXPECT_EQ(found.colour_slides, 1);
    EXPECT_EQ(found.colour_turns, 1);
    // Along them it is where it started, to the last digit.
    EXPECT_LT(off_um(found.model_from_sensor, moved(0, 1, 0)), 8);
  }
  // More than half a wave away others fit, but none well.
  const DepthFrame far = shot(plane, striped, moved(0, 3, 0), 7);
  EXPECT_EQ(tracked(model, far, kHere).free_slides, 2);
}

TEST(TrackColour, ChangesNothingWithoutColour) {
  const RigidTransform truth = moved(0.5, -0.3, 0.01);
  const DepthFrame frame = shot(plane, stippled, truth, 7);
  DepthFrame colourless = frame, black = frame;
  colourless.rgb.clear();
  std::ranges::fill(black.rgb, 0);
  const Model model(plane, stippled, kHere);
  EXPECT_TRUE(are_same_bits(tracked(model, colourless, kHere), by_shape(model, frame, kHere)));
  EXPECT_TRUE(are_same_bits(tracked(model, black, kHere), by_shape(model, frame, kHere)));
  Model grey(plane, stippled, kHere, {}, false);
  EXPECT_TRUE(are_same_bits(tracked(grey, frame, kHere), by_shape(grey, frame, kHere)));
  EXPECT_EQ(by_shape(model, frame, kHere).free_directions(), 3);
}

TEST(TrackColour, ChangesNothingWhereTheShapeTellsAll) {
  const RigidTransform first = testing::above(80, 0.1, -0.1);
  const Model model(disc, stippled, first);
  const DepthFrame frame = shot(disc, stippled, first * moved(0.4, -0.3, 0.01), 7);
  const Fit found = tracked(model, frame, first);
  EXPECT_TRUE(found.solved);
  EXPECT_EQ(found.free_directions(), 0);
  EXPECT_TRUE(are_same_bits(found, by_shape(model, frame, first)));
}

TEST(TrackColour, GivesTheSameBitsWithAnyThreads) {
  const Model model(plane, stippled, kHere);
  const DepthFrame frame = shot(plane, stippled, moved(0.5, -0.3, 0.01), 7);
  const Fit one = tracked(model, frame, kHere, limits(), 1);
  EXPECT_EQ(one.colour_slides, 2);
  for (const int threads : {2, 3})
    EXPECT_TRUE(are_same_bits(one, tracked(model, frame, kHere, limits(), threads)));
}

TEST(TrackColour, LooksPastWhatStandsInFront) {
  // Over half of the picture, 20 mm above the plane, as rich in texture.
  const Shape covered = [](const RigidTransform& from, double x, double y) {
    return std::sin(15 * x) > 0 ? plane(from, x, y) - 20 : plane(from, x, y);
  };
  const Model model(plane, stippled, kHere);
  const RigidTransform truth = moved(0.5, -0.3, 0.01);
  const Fit found = tracked(model, shot(covered, stippled, truth, 7), kHere);
  EXPECT_EQ(found.free_directions(), 0);
  EXPECT_LT(off_um(found.model_from_sensor, truth), 6);
}

// The directions of a plane, as the tracker would ask for them.
struct Asking {
  Asking(const Model& model, const DepthFrame& frame) : surface(measured(frame, pool)) {
    view = predict_view(model.live, kHere, surface.intrinsics, surface.fine.step, 130, pool);
    directions.setZero(6, 3);
    directions(2, 2) = directions(3, 0) = directions(4, 1) = 1;
  }
  [[nodiscard]] Eigen::Index held(const RigidTransform& pose, double sigma_mm) {
    return ColourTerm(surface, view, 2 * kVoxelMm, pool)
        .judge(pose, directions, sigma_mm)
        .held.cols();
  }
  WorkerPool pool{2};
  MeasuredSurface surface;
  ModelView view;
  Directions directions;
};

TEST(TrackColour, HoldsWhatItTellsToTheSigmaAndWhatHasArrived) {
  const Model model(plane, stippled, kHere);
  const RigidTransform truth = moved(0.1, 0.05, 0.002);
  const DepthFrame frame = shot(plane, stippled, truth, 7);
  Asking asking(model, frame);
  EXPECT_EQ(asking.held(truth, 0.035), 3);
  const Fit found = tracked(model, frame, kHere);
  EXPECT_EQ(asking.held(found.model_from_sensor, 0.035), 3);
  EXPECT_EQ(asking.held(found.model_from_sensor, 0.002), 0);
  EXPECT_EQ(asking.held(truth * moved(0.3, 0.3, 0.01), 0.035), 0);
  EXPECT_EQ(asking.held(truth * moved(0.3, 0, 0), 0.035), 2);
}

TEST(TrackColour, WantsTextureInManyPlaces) {
  // 16 x 12 tiles of 5 mm.
  const auto here_and_there = [](double width_mm) {
    return [=](const Eigen::Vector3d& p) {
      return std::abs(p.x()) < width_mm && std::abs(p.y()) < width_mm ? stippled(p) : 0.0;
    };
  };
  const auto held = [&](double width_mm) {
    const Model model(plane, here_and_there(width_mm), kHere, {.noise = 0});
    return Asking(model, shot(plane, here_and_there(width_mm), kHere, 7, {.noise = 0}))
        .held(kHere, 0.035);
  };
  EXPECT_EQ(held(6), 0);
  EXPECT_EQ(held(20), 3);
}

// Rough until x = -25, a smooth ridge beyond.
double half_smooth(const RigidTransform& from, double x, double y) {
  const Eigen::Vector3d ray = from.linear() * Eigen::Vector3d(x, y, 1);
  double z = ridge(from, x, y);
  for (int k = 0; k < 15; ++k) {
    const Eigen::Vector3d p = from.translation() + z * ray;
    const double rough = p.x() > -25 ? 0 : 1 - std::exp(-std::pow((p.x() + 25) / 8, 2));
    const double top = 80 - 8 * std::exp(-p.y() * p.y() / 200) +
                       rough * (1.5 * std::sin(0.6 * p.x()) + std::sin(0.5 * p.y() + 0.3 * p.x()));
    z += 0.8 * (top - p.z()) / ray.z();
  }
  return z;
}

// A hand that goes from the rough part onto the ridge and trembles.
constexpr int kFrames = 97;
RigidTransform hand(int k) {
  const double x = -20 - 40 * std::cos(M_PI * k / kFrames) + 0.1 * std::sin(1.3 * k);
  return moved(x, 0.3 * std::sin(0.4 * k), 0.004 * std::sin(0.7 * k));
}
const DepthFrame& shot_by_hand(int k) {
  static const auto frames = [] {
    std::vector<DepthFrame> all;
    for (int n = 0; n < kFrames; ++n)
      all.push_back(shot(half_smooth, stippled, hand(n), 1000U + static_cast<unsigned>(n)));
    return all;
  }();
  return frames[static_cast<std::size_t>(k)];
}

struct Walk {
  int followed = 0;
  double most_off_um = 0;  // of the frames that were held in all directions
};
template <typename HasColour>
Walk walk(HasColour has_colour) {
  const ReconstructionOptions options = testing::small_options();
  const NoiseModel noise(options, small_camera());
  WorkerPool pool(2);
  Volume volume(options.voxel_mm, 4 * options.voxel_mm, std::size_t{1} << 29);
  LiveMesh live(volume.voxel_mm(), 0);
  PoseFinder finder(options, noise);
  const Keyframes none;
  Walk walked;
  for (int k = 0; k < kFrames; ++k) {
    DepthFrame frame = shot_by_hand(k);
    if (!has_colour(k)) frame.rgb.clear();
    const MeasuredSurface surface = preprocess(frame, noise, pool);
    const auto number = static_cast<std::uint64_t>(k);
    const Pose pose =
        k == 0 ? finder.begin(surface, number) : finder.find(surface, live, none, number, pool);
    if (pose.verdict != PoseVerdict::kTracked) continue;
    ++walked.followed;
    if (finder.free_slides() + finder.free_turns() == 0)
      walked.most_off_um =
          std::max(walked.most_off_um, off_um(pose.model_from_sensor, hand(0).inverse() * hand(k)));
    const auto report = fuse(surface, pose.model_from_sensor, volume, pool);
    fuse_colour(surface, pose.model_from_sensor, report.value().changed, volume, pool);
    live.update(volume, report.value().changed, pool);
  }
  return walked;
}

TEST(TrackColour, FollowsAHandOverWhatIsSmooth) {
  const Walk without = walk([](int) { return false; });
  const Walk always = walk([](int) { return true; });
  const Walk at_times = walk([](int k) { return k % 8 == 0; });
  EXPECT_LT(without.followed, kFrames - 5);
  for (const Walk& walked : {always, at_times}) {
    EXPECT_EQ(walked.followed, kFrames);
    EXPECT_LT(walked.most_off_um, 60);
  }
}

}  // namespace
}  // namespace cusp
