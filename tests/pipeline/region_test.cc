// Regions: what is inside is inside, and what can't be meant is refused.
#include "pipeline/region.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <random>

namespace cusp {
namespace {

Lasso square(double focal) {
  Lasso lasso{
      .focal = focal, .outline = {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}}, .near_mm = 5, .far_mm = 20};
  lasso.view_from_model.translation().z() = 10;  // the model's origin is 10 mm in front
  return lasso;
}

TEST(Region, ABrushTakesWhatItsWayComesNear) {
  const RegionTest test(Brush{.path_mm = {{0, 0, 0}, {10, 0, 0}}, .radius_mm = 1});
  EXPECT_TRUE(test.contains({5, 0.99F, 0}));
  EXPECT_TRUE(test.contains({10.7F, 0.5F, 0}));
  EXPECT_FALSE(test.contains({5, 1.01F, 0}));
  EXPECT_FALSE(test.contains({-0.8F, 0.8F, 0}));
  const RegionTest dot(Brush{.path_mm = {{1, 2, 3}}, .radius_mm = 0.5F});
  EXPECT_TRUE(dot.contains({1, 2.4F, 3}));
  EXPECT_FALSE(dot.contains({1, 2.6F, 3}));
}

TEST(Region, ABrushOfManyLegsTakesWhatAnyOfThemTakes) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> place(-12, 12);
  for (const std::size_t points : {2U, 16U, 17U, 18U, 33U, 50U}) {
    Brush brush{.path_mm = {}, .radius_mm = 1};
    while (brush.path_mm.size() < points)
      brush.path_mm.emplace_back(place(random), place(random), place(random));
    const RegionTest test(brush);
    int inside = 0;
    for (int round = 0; round < 5'000; ++round) {
      const Eigen::Vector3f p(place(random), place(random), place(random));
      bool any = false;
      for (std::size_t i = 1; i < points; ++i)
        any |= RegionTest(Brush{.path_mm = {brush.path_mm[i - 1], brush.path_mm[i]},
                                .radius_mm = brush.radius_mm})
                   .contains(p);
      ASSERT_EQ(test.contains(p), any);
      inside += any ? 1 : 0;
    }
    EXPECT_GT(inside, 10);
  }
}

TEST(Region, MayTouchIsNoWiderThanABrushesLegs) {
  const RegionTest corner(Brush{.path_mm = {{-10, 0, 0}, {0, 0, 0}, {0, 10, 0}}, .radius_mm = 1});
  EXPECT_TRUE(corner.may_touch({-8, 2.9F, 0}, 2));
  EXPECT_FALSE(corner.may_touch({-8, 8, 0}, 2));  // within its box
}

TEST(Region, ALassoTakesWhatLiesUnderItBetweenItsDepths) {
  const RegionTest flat(square(0));
  EXPECT_TRUE(flat.contains({0.9F, 0.9F, 0}));
  EXPECT_FALSE(flat.contains({1.1F, 0, 0}));
  EXPECT_FALSE(flat.contains({0, 0, -6}));
  EXPECT_FALSE(flat.contains({0, 0, 11}));
  const RegionTest pinhole(square(5));  // 2 mm to each side at 10 mm
  EXPECT_TRUE(pinhole.contains({1.9F, 0, 0}));
  EXPECT_FALSE(pinhole.contains({2.1F, 0, 0}));
  EXPECT_TRUE(pinhole.contains({3.8F, 0, 10}));
}

TEST(Region, AnOutlineThatCrossesItselfFollowsTheEvenOddRule) {
  Lasso star = square(0);
  star.outline.clear();
  for (int k = 0; k < 5; ++k) {
    const double angle = 2 * std::numbers::pi * (2 * k % 5) / 5;
    star.outline.emplace_back(std::cos(angle), std::sin(angle));
  }
  const RegionTest test(star);
  EXPECT_FALSE(test.contains({0, 0, 0}));  // inside twice
  EXPECT_TRUE(test.contains({0.7F, 0, 0}));
}

TEST(Region, MayTouchNeverDeniesWhatIsInside) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> place(-12, 12);
  std::uniform_real_distribution<float> size(0.1F, 4);
  const std::vector<Region> regions = {square(0), square(5),
                                       Brush{.path_mm = {{0, 0, 0}, {3, 2, 1}}, .radius_mm = 1}};
  int inside = 0;
  for (const Region& region : regions) {
    const RegionTest test(region);
    for (int round = 0; round < 20'000; ++round) {
      const Eigen::Vector3f p(place(random), place(random), place(random));
      const Eigen::Vector3f direction(place(random), place(random), place(random));
      const float radius = size(random);
      const Eigen::Vector3f near = p + 0.999F * radius * direction.normalized();
      if (!test.contains(near)) continue;
      ++inside;
      ASSERT_TRUE(test.may_touch(p, radius));
    }
  }
  EXPECT_GT(inside, 500);
}

TEST(Region, RefusesWhatCannotBeMeant) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(validate(square(5)).ok());
  EXPECT_FALSE(validate(Brush{.path_mm = {}, .radius_mm = 1}).ok());
  EXPECT_FALSE(validate(Brush{.path_mm = {{0, 0, 0}}, .radius_mm = 0}).ok());
  EXPECT_FALSE(validate(Brush{.path_mm = {{0, nan, 0}}, .radius_mm = 1}).ok());
  const auto refuses = [](auto change) {
    Lasso lasso = square(5);
    change(lasso);
    const auto result = validate(lasso);
    return !result.ok() && result.error().message.starts_with("lasso: ");
  };
  EXPECT_TRUE(refuses([](Lasso& lasso) { lasso.outline.resize(2); }));
  EXPECT_TRUE(refuses([&](Lasso& lasso) { lasso.outline[1].x() = nan; }));
  EXPECT_TRUE(refuses([](Lasso& lasso) { lasso.far_mm = lasso.near_mm; }));
  EXPECT_TRUE(refuses([](Lasso& lasso) { lasso.near_mm = 0; }));
  EXPECT_TRUE(refuses([](Lasso& lasso) { lasso.focal = -1; }));
  EXPECT_TRUE(refuses([](Lasso& lasso) { lasso.view_from_model.linear() *= 2; }));
}

}  // namespace
}  // namespace cusp
