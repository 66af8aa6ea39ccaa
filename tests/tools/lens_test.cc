#include "tools/sim/lens.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tools/sim/wand_optics.h"

namespace cusp::sim {
namespace {

TEST(Lens, UndistortsWhatItDistorts) {
  const LensDistortion lens{-0.2, 0.05, 0.002, -0.003, 0.01};
  for (double x = -0.7; x <= 0.7; x += 0.1)
    for (double y = -0.5; y <= 0.5; y += 0.1)
      EXPECT_LT((undistort(lens, distort(lens, {x, y})) - Eigen::Vector2d(x, y)).norm(), 1e-10);
}

TEST(Lens, FollowsBrownsFormula) {
  const LensDistortion lens{0.1, 0.01, 0.002, 0.003, 0.001};
  const double x = 0.4, y = -0.3, r2 = 0.25;
  const double radial = 1 + 0.1 * r2 + 0.01 * r2 * r2 + 0.001 * r2 * r2 * r2;
  const Eigen::Vector2d there = distort(lens, {x, y});
  EXPECT_NEAR(there.x(), x * radial + 2 * 0.002 * x * y + 0.003 * (r2 + 2 * x * x), 1e-15);
  EXPECT_NEAR(there.y(), y * radial + 2 * 0.003 * x * y + 0.002 * (r2 + 2 * y * y), 1e-15);
}

TEST(Lens, SendsEachPixelsRayBackToThatPixel) {
  const Calibration wand = wand_calibration();
  const std::vector<Eigen::Vector2f> rays = ray_table(wand.depth, wand.fringe->camera_distortion);
  ASSERT_EQ(rays.size(), 640U * 480U);
  for (const auto& [x, y] : {std::pair{0, 0}, {639, 479}, {320, 100}, {37, 411}}) {
    const Eigen::Vector2f ray = rays[static_cast<std::size_t>(y * 640 + x)];
    const Eigen::Vector2d pixel =
        project(wand.depth, wand.fringe->camera_distortion, {17.0 * ray.x(), 17.0 * ray.y(), 17.0});
    EXPECT_NEAR(pixel.x(), x, 1e-3);
    EXPECT_NEAR(pixel.y(), y, 1e-3);
  }
}

TEST(WandOptics, SeesSixteenByThirteenMillimetres) {
  WandOptics straight;
  straight.distortion = false;
  const Calibration wand = wand_calibration(straight);
  EXPECT_NEAR(wand.depth.width_px / wand.depth.fx_px * 15, 16, 0.01);
  EXPECT_NEAR(wand.depth.height_px / wand.depth.fy_px * 15, 12, 0.01);
}

TEST(WandOptics, LightsAllThatTheCameraSeesFromTheNearEndToTheFarEnd) {
  const Calibration wand = wand_calibration();
  const FringeOptics& optics = *wand.fringe;
  for (const Eigen::Vector2f& ray : ray_table(wand.depth, optics.camera_distortion))
    for (const double depth_mm : {optics.min_depth_mm, 15.0, optics.max_depth_mm}) {
      const Eigen::Vector3d point(ray.x() * depth_mm, ray.y() * depth_mm, depth_mm);
      const Eigen::Vector2d pixel = project(optics.projector, optics.projector_distortion,
                                            optics.projector_from_camera * point);
      ASSERT_GE(pixel.x(), 0) << point.transpose();
      ASSERT_LT(pixel.x(), optics.projector.width_px) << point.transpose();
      ASSERT_GE(pixel.y(), 0) << point.transpose();
      ASSERT_LT(pixel.y(), optics.projector.height_px) << point.transpose();
    }
}

TEST(WandOptics, HasACoarsePitchThatIsAbsoluteInTheWorkingRange) {
  for (const FringeSequence sequence : {FringeSequence::kThreeStep, FringeSequence::kTwoByThree}) {
    WandOptics options;
    options.sequence = sequence;
    const Calibration wand = wand_calibration(options);
    const FringeOptics& optics = *wand.fringe;
    ASSERT_EQ(optics.patterns.size(), sequence == FringeSequence::kThreeStep ? 3U : 6U);
    for (const Eigen::Vector2f& ray : ray_table(wand.depth, optics.camera_distortion)) {
      const auto column = [&](double depth_mm) {
        return project(optics.projector, optics.projector_distortion,
                       optics.projector_from_camera *
                           Eigen::Vector3d(ray.x() * depth_mm, ray.y() * depth_mm, depth_mm))
            .x();
      };
      ASSERT_LT(std::abs(column(optics.max_depth_mm) - column(optics.min_depth_mm)),
                optics.patterns.back().pitch_px);
    }
  }
}

}  // namespace
}  // namespace cusp::sim
