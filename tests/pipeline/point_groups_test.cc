// Which groups of points a frame may see, and a region may touch.
#include "pipeline/point_groups.h"

#include <gtest/gtest.h>

namespace cusp {
namespace {

constexpr Intrinsics kCamera{
    .width_px = 40, .height_px = 30, .fx_px = 20, .fy_px = 25, .cx_px = 17.5, .cy_px = 16};
constexpr float kDepthMm = 100;

bool may_see(double u_px, double v_px, float depth_mm = kDepthMm) {
  const std::vector<Eigen::Vector3f> point = {
      Eigen::Vector3d((u_px - kCamera.cx_px) / kCamera.fx_px * depth_mm,
                      (v_px - kCamera.cy_px) / kCamera.fy_px * depth_mm, depth_mm)
          .cast<float>()};
  WorkerPool pool(1);
  return PointGroups(point, pool)
      .may_be_seen(0, SensorPlace(RigidTransform::Identity()), kCamera, 50, 200);
}

TEST(PointGroups, APictureEndsHalfAPixelBeyondTheCentresOfItsOuterPixels) {
  for (const double outside : {-0.1, 0.1}) {
    const bool seen = outside < 0;
    EXPECT_EQ(may_see(-0.5 - outside, 10), seen);
    EXPECT_EQ(may_see(39.5 + outside, 10), seen);
    EXPECT_EQ(may_see(10, -0.5 - outside), seen);
    EXPECT_EQ(may_see(10, 29.5 + outside), seen);
  }
}

TEST(PointGroups, APictureShowsWhatLiesBetweenItsDepths) {
  EXPECT_TRUE(may_see(10, 10, 51));
  EXPECT_FALSE(may_see(10, 10, 49));
  EXPECT_TRUE(may_see(10, 10, 199));
  EXPECT_FALSE(may_see(10, 10, 201));
}

TEST(PointGroups, ARegionTouchesAGroupWithinItsReach) {
  const std::vector<Eigen::Vector3f> points = {{-1, 0, 0}, {1, 0, 0}};
  WorkerPool pool(1);
  const PointGroups groups(points, pool);
  const RegionTest ball(Brush{.path_mm = {{6, 0, 0}}, .radius_mm = 2});  // 3 mm from the second
  EXPECT_FALSE(groups.may_touch(0, ball, 2.9F));
  EXPECT_TRUE(groups.may_touch(0, ball, 3.1F));
}

}  // namespace
}  // namespace cusp
