// A real structured-light scan of a skull, where the data is on this machine: what the wand's
// decoder makes of pictures that nobody simulated.
#include <gtest/gtest.h>

#include <iostream>

#include "core/check.h"
#include "tools/verify/fringes.h"

namespace cusp::verify {
namespace {

constexpr double kProjectorColumns = 1824;
constexpr double kNear = 340, kFar = 460;  // the object stands at 369 to 420 mm

Result<StructuredLightScan> skull(const char* folder, std::vector<double> pitches_px) {
  const std::filesystem::path data = CUSP_SKULL_SCAN;
  return read_structured_light_scan({.pictures = data / folder,
                                     .calibration = data / "calibration" / "calibration.xml",
                                     .pitches_px = std::move(pitches_px),
                                     .min_depth_mm = kNear,
                                     .max_depth_mm = kFar});
}

StillView view_of(const StructuredLightScan& scan, double voxel_mm) {
  auto view = still_view(scan, {.voxel_mm = voxel_mm, .min_depth_mm = kNear, .max_depth_mm = kFar});
  CUSP_CHECK(view.ok(), view.ok() ? "" : view.error().message);
  return std::move(*view);
}

TEST(RealFringes, AreMeasuredDenselyAndAlikeByTwoProjections) {
  const auto fine = skull("2x3", {kProjectorColumns / 16, kProjectorColumns});
  const auto coarse = skull("3ps", {kProjectorColumns});
  if (!fine && fine.error().code == ErrorCode::kNotFound) {
    std::cout << "no real scan on this machine: " << fine.error().message << "\n";
    return;
  }
  ASSERT_TRUE(fine) << fine.error().message;
  ASSERT_TRUE(coarse) << coarse.error().message;
  const StillView sharp = view_of(*fine, 0.5);
  const StillView rough = view_of(*coarse, 2);
  std::cout << "2x3: " << sharp.points << " points, noise " << sharp.median_noise_mm
            << " mm, expected " << sharp.median_sigma_mm << " mm, " << sharp.mesh.triangles.size()
            << " triangles\n3ps: " << rough.points << " points, noise " << rough.median_noise_mm
            << " mm, expected " << rough.median_sigma_mm << " mm, " << rough.mesh.triangles.size()
            << " triangles\n";
  EXPECT_GT(sharp.points, 350'000u) << "Gray codes gave 90,000 of this scene";
  EXPECT_GT(rough.points, 350'000u);
  EXPECT_LT(sharp.median_noise_mm, 0.15);
  EXPECT_GT(rough.median_noise_mm, 8 * sharp.median_noise_mm)
      << "a fringe that is sixteen times as fine tells the column better";
  EXPECT_GT(agreement(sharp.depth, rough.depth, 3), 0.9);
  EXPECT_GT(sharp.mesh.triangles.size(), 50'000u);
}

}  // namespace
}  // namespace cusp::verify
