#include "pipeline/align.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "pipeline/bite.h"
#include "pipeline/orient.h"
#include "tests/pipeline/mouth.h"

namespace cusp {
namespace {

using testing::apart_mm;
using testing::jaw;
using testing::keep_where;
using testing::motion;
using testing::Mouth;
using testing::move;
using testing::shake;
using testing::sphere;

TEST(Align, PlacesAPartOfAJawFromAnywhere) {
  WorkerPool pool(2);
  const Mesh whole = jaw();
  for (int run = 0; run < 2; ++run) {
    Mesh part = jaw({.along = 90, .across = 40, .begin = -0.8, .end = -0.1});
    shake(part, 0.01F, 7);
    const Eigen::Isometry3d truth =
        motion(1.1 + run, Eigen::Vector3d(1, 0.3 * run, -0.5), {30, -12.0 * run, 50});
    move(part, truth.inverse());
    const auto found = align(part, "pre-op", whole, "upper", {}, pool);
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_LT(apart_mm(part, found->target_from_source, truth), 0.05) << "run " << run;
    EXPECT_GT(found->overlap, 0.8);
    EXPECT_LT(found->residual_mm, 0.05);
    EXPECT_LT(found->ambiguity, 0.9);
  }
}

TEST(Align, IsTheSameWithOneThreadAndWithFour) {
  WorkerPool one(1);
  WorkerPool four(4);
  const Mesh whole = jaw();
  Mesh part = jaw({.along = 90, .begin = 0, .end = 0.8});
  move(part, motion(2, {0, 1, 1}, {5, 5, 5}));
  const auto a = align(part, "a", whole, "b", {}, one);
  const auto b = align(part, "a", whole, "b", {}, four);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->target_from_source.matrix(), b->target_from_source.matrix());
}

TEST(Align, RefusesAnotherPatientsJaw) {
  WorkerPool pool(2);
  const Mesh whole = jaw({.seed = 1});
  Mesh part = sphere(8, {0, 0, 0});
  const auto found = align(part, "pre-op", whole, "upper", {}, pool);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(found.error().message.find("pre-op"), std::string::npos);
}

TEST(Align, RefusesWhatFitsInManyPlaces) {
  WorkerPool pool(2);
  // A ball on a ball.
  const auto found = align(sphere(10, {0, 0, 0}), "ball", sphere(10, {3, 0, 0}), "ball", {}, pool);
  EXPECT_FALSE(found.ok());
}

TEST(Align, RefusesEmptyAndBrokenMeshes) {
  WorkerPool pool(1);
  const Mesh whole = jaw();
  EXPECT_FALSE(align({}, "nothing", whole, "upper", {}, pool).ok());
  EXPECT_FALSE(align(whole, "upper", {}, "nothing", {}, pool).ok());
  Mesh broken = whole;
  broken.vertices_mm[4].y() = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(align(broken, "upper", whole, "upper", {}, pool).ok());
  Mesh tiny;
  tiny.vertices_mm = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}};
  tiny.triangles = {{0, 1, 2}};
  EXPECT_FALSE(align(tiny, "tiny", whole, "upper", {}, pool).ok());
}

TEST(Bite, HoldsTheLowerJawByBothSides) {
  WorkerPool pool(2);
  const Mouth mouth(0.2);
  const Mesh left = mouth.bite(-1, motion(0.7, {1, 2, 3}, {10, 0, 4}));
  const Mesh right = mouth.bite(1, motion(2.2, {-1, 0, 1}, {-8, 3, 0}));
  const auto bite = align_bite(mouth.upper, mouth.lower,
                               {{&left, "bite left"}, {&right, "bite right"}}, {}, pool);
  ASSERT_TRUE(bite.ok()) << bite.error().message;
  EXPECT_LT(apart_mm(mouth.lower, bite->upper_from_lower, mouth.upper_from_lower), 0.05);
  EXPECT_LT(bite->residual_mm, 0.03);
  EXPECT_EQ(bite->upper_from_bite.size(), 2U);
}

TEST(Bite, OneSideTellsWhereTheOtherLiesOnAJawOfWhichItShowsTooLittle) {
  WorkerPool pool(2);
  const Mouth mouth(0.2);
  const RigidTransform moved = motion(2.2, {-1, 0, 1}, {-8, 3, 0});
  const Mesh left = mouth.bite(-1, motion(0.7, {1, 2, 3}, {10, 0, 4}));
  Mesh right = mouth.bite(1, RigidTransform::Identity());
  // Of the upper teeth no more than their tips.
  keep_where(right, [](const Eigen::Vector3f& p) { return p.z() > 7.6F; });
  move(right, moved.inverse());
  EXPECT_FALSE(align_bite(mouth.upper, mouth.lower, {{&right, "bite right"}}, {}, pool).ok());
  const auto bite = align_bite(mouth.upper, mouth.lower,
                               {{&left, "bite left"}, {&right, "bite right"}}, {}, pool);
  ASSERT_TRUE(bite.ok()) << bite.error().message;
  EXPECT_LT(apart_mm(mouth.lower, bite->upper_from_lower, mouth.upper_from_lower), 0.05);
  EXPECT_LT(apart_mm(right, bite->upper_from_bite[1], moved), 0.05);
}

TEST(Bite, FindsThePartThatIsSmallByWhatTheOtherJawDoesNotExplain) {
  WorkerPool pool(2);
  const Mouth mouth(0.2);
  // Each side shows one jaw alone well, and of the other no more than a strip.
  Mesh left = mouth.bite(-1, RigidTransform::Identity());
  keep_where(left, [](const Eigen::Vector3f& p) { return p.z() < 10.2F; });
  Mesh right = mouth.bite(1, RigidTransform::Identity());
  keep_where(right, [](const Eigen::Vector3f& p) { return p.z() > 7.0F; });
  move(left, motion(0.7, {1, 2, 3}, {10, 0, 4}).inverse());
  move(right, motion(2.2, {-1, 0, 1}, {-8, 3, 0}).inverse());
  const auto bite = align_bite(mouth.upper, mouth.lower,
                               {{&left, "bite left"}, {&right, "bite right"}}, {}, pool);
  ASSERT_TRUE(bite.ok()) << bite.error().message;
  EXPECT_LT(apart_mm(mouth.lower, bite->upper_from_lower, mouth.upper_from_lower), 0.05);
}

TEST(Bite, RefusesSidesThatContradictEachOther) {
  WorkerPool pool(2);
  const Mouth closed(0.2);
  const Mouth open(3);
  const Mesh left = closed.bite(-1, Eigen::Isometry3d::Identity());
  const Mesh right = open.bite(1, Eigen::Isometry3d::Identity());
  const auto bite = align_bite(closed.upper, closed.lower,
                               {{&left, "bite left"}, {&right, "bite right"}}, {}, pool);
  ASSERT_FALSE(bite.ok());
  EXPECT_NE(bite.error().message.find("apart"), std::string::npos) << bite.error().message;
}

TEST(Bite, NeedsAScan) {
  WorkerPool pool(1);
  EXPECT_FALSE(align_bite(jaw(), jaw(), {}, {}, pool).ok());
}

TEST(BiteMap, TellsDistanceAndSideInTenthsOfAMillimetre) {
  WorkerPool pool(2);
  const Mesh ball = sphere(10, {0, 0, 0}, 60);
  const Mesh other = sphere(10, {0, 0, 0}, 60);
  // The other ball's middle lies 19.5 mm above: half a millimetre through each other.
  const BiteMap map = map_bite(ball, other, motion(0, {0, 0, 1}, {0, 0, -19.5}), 5, pool);
  ASSERT_EQ(map.steps.size(), ball.vertices_mm.size());
  EXPECT_EQ(map.steps[0], -5);  // the pole
  EXPECT_NEAR(map.deepest_mm, -0.5, 0.01);
  EXPECT_NEAR(map.deepest_at_mm.z(), 10, 1e-4);
  for (std::size_t v = 0; v < map.steps.size(); ++v) {
    const double truth =
        (ball.vertices_mm[v] - Eigen::Vector3f(0, 0, 19.5F)).cast<double>().norm() - 10;
    if (truth > 5.1) {
      EXPECT_EQ(map.steps[v], kFarApart);
    } else if (truth < 4.9) {
      EXPECT_NEAR(map.steps[v], truth * 10, 0.62);
    }
  }
  // The cap below the circle where they meet.
  EXPECT_NEAR(map.through_mm2, 2 * M_PI * 10 * 0.25, 4);
  EXPECT_GE(map.contact_mm2, map.through_mm2);
  // A twentieth of a millimetre apart they touch, and nothing is inside.
  const BiteMap touch = map_bite(ball, other, motion(0, {0, 0, 1}, {0, 0, -20.05}), 5, pool);
  EXPECT_EQ(touch.through_mm2, 0);
  EXPECT_EQ(touch.deepest_mm, 0);
  EXPECT_GT(touch.contact_mm2, 0);
}

TEST(BiteMap, AsAFileItHoldsItsFiguresAndAStepAVertex) {
  BiteMap map;
  map.steps = {-3, 0, kFarApart};
  map.contact_mm2 = 2.5;
  map.through_mm2 = 0.5;
  map.deepest_mm = -0.25;
  const auto bytes = to_bytes(map);
  ASSERT_EQ(bytes.size(), 8 + 2 * 4 + 4 * 4 + 3 * 2u);
  EXPECT_EQ(std::string(bytes.begin(), bytes.begin() + 8), "CUSPBITE");
  const auto at = [&]<typename T>(std::size_t offset, T value) {
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
  };
  EXPECT_EQ(at(8, std::uint32_t{}), 1u);
  EXPECT_EQ(at(12, std::uint32_t{}), 3u);
  EXPECT_EQ(at(16, float{}), 0.1F);
  EXPECT_EQ(at(20, float{}), 2.5F);
  EXPECT_EQ(at(24, float{}), 0.5F);
  EXPECT_EQ(at(28, float{}), -0.25F);
  EXPECT_EQ(at(32, std::int16_t{}), -3);
  EXPECT_EQ(at(36, std::int16_t{}), kFarApart);
}

TEST(BiteMap, DoesNotGuessBeyondTheOtherJawsBorder) {
  WorkerPool pool(1);
  Mesh half = sphere(10, {0, 0, 0}, 40);
  keep_where(half, [](const Eigen::Vector3f& p) { return p.x() < 0; });
  const BiteMap map =
      map_bite(sphere(10, {0, 0, 0}, 40), half, Eigen::Isometry3d::Identity(), 3, pool);
  const Mesh ball = sphere(10, {0, 0, 0}, 40);
  for (std::size_t v = 0; v < map.steps.size(); ++v) {
    if (ball.vertices_mm[v].x() > 0.8F) {
      EXPECT_EQ(map.steps[v], kFarApart);
    }
    if (ball.vertices_mm[v].x() < -0.8F) {
      EXPECT_EQ(map.steps[v], 0);
    }
  }
}

TEST(Orient, FindsTheOcclusalPlaneAndTheFront) {
  for (const JawKind kind : {JawKind::kLower, JawKind::kUpper})
    for (unsigned seed = 1; seed <= 3; ++seed) {
      Mesh mesh = jaw({.seed = seed});
      const Eigen::Isometry3d moved = motion(0.9 * seed, {1, -1, 0.4}, {100, 3, -20});
      move(mesh, moved);
      const auto frame = find_jaw_frame(mesh, kind);
      ASSERT_TRUE(frame.ok()) << frame.error().message;
      const Eigen::Matrix3d turn = frame->anatomical_from_model.linear() * moved.linear();
      const double up = kind == JawKind::kLower ? 1 : -1;
      EXPECT_GT((turn * Eigen::Vector3d::UnitZ()).z() * up, std::cos(3 * M_PI / 180));
      EXPECT_GT((turn * Eigen::Vector3d::UnitY()).y(), std::cos(5 * M_PI / 180));
      EXPECT_NEAR(turn.determinant(), 1, 1e-9);
      EXPECT_GT(frame->symmetry, 0.7);
    }
}

TEST(Orient, RefusesWhatIsNoArch) {
  EXPECT_FALSE(find_jaw_frame(sphere(10, {0, 0, 0}), JawKind::kUpper).ok());
  EXPECT_FALSE(find_jaw_frame({}, JawKind::kUpper).ok());
  const auto quadrant = find_jaw_frame(jaw({.begin = 0.1, .end = 1}), JawKind::kUpper);
  ASSERT_FALSE(quadrant.ok());
  EXPECT_NE(quadrant.error().message.find("arch"), std::string::npos);
}

}  // namespace
}  // namespace cusp
