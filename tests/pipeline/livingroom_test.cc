// A camera path through a living room (ICL-NUIM, rendered depth), against its ground truth: the
// pipeline follows a room with the same code as a jaw. The data is not part of the project; without
// it the test says so and has nothing to check.
#include <gtest/gtest.h>
#include <png.h>

#include <Eigen/Geometry>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "pipeline/reconstruction.h"

namespace cusp {
namespace {

namespace fs = std::filesystem;

fs::path data_folder() {
  const char* chosen = std::getenv("CUSP_TEST_DATA");
  return fs::path(chosen != nullptr ? chosen : CUSP_TEST_DATA) / "rgbd-livingroom";
}

// Poses in mm.
std::vector<RigidTransform> read_trajectory(const fs::path& path) {
  std::ifstream file(path);
  std::vector<RigidTransform> poses;
  int ignored = 0;
  while (file >> ignored >> ignored >> ignored) {
    RigidTransform pose;
    for (int row = 0; row < 4; ++row)
      for (int column = 0; column < 4; ++column) file >> pose.matrix()(row, column);
    pose.translation() *= 1000;
    poses.push_back(pose);
  }
  return poses;
}

RawFrame read_frame(const fs::path& path, std::uint64_t sequence) {
  RawFrame frame;
  frame.sequence = sequence;
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return frame;
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_init_io(png, file);
  png_read_png(png, info, PNG_TRANSFORM_SWAP_ENDIAN, nullptr);
  frame.width_px = static_cast<int>(png_get_image_width(png, info));
  frame.height_px = static_cast<int>(png_get_image_height(png, info));
  png_bytepp rows = png_get_rows(png, info);
  for (int y = 0; y < frame.height_px; ++y)
    frame.bytes.insert(frame.bytes.end(), rows[y], rows[y] + 2 * frame.width_px);
  png_destroy_read_struct(&png, &info, nullptr);
  std::fclose(file);
  return frame;
}

TEST(LivingRoom, TheCameraPathIsFollowed) {
  const fs::path folder = data_folder();
  const std::vector<RigidTransform> truth = read_trajectory(folder / "trajectory.log");
  if (truth.empty()) {
    std::printf("no data at %s: nothing was checked\n", folder.c_str());
    return;
  }
  Calibration camera;
  camera.id = "primesense";
  camera.depth_unit_mm = 1;
  camera.depth = {.width_px = 640,
                  .height_px = 480,
                  .fx_px = 525,
                  .fy_px = 525,
                  .cx_px = 319.5,
                  .cy_px = 239.5};
  ReconstructionOptions options;
  options.voxel_mm = 16;
  options.min_depth_mm = 200;
  options.max_depth_mm = 4500;
  Reconstruction scan(options, camera);

  std::vector<Eigen::Vector3d> found;
  std::vector<Eigen::Vector3d> expected;
  for (std::size_t k = 0; k < truth.size(); k += 3) {
    const auto outcome = scan.add(read_frame(folder / "depth" / fmt::format("{:05}.png", k), k));
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    if (!outcome.value().pose.usable()) continue;
    found.push_back(outcome.value().pose.model_from_sensor.translation());
    expected.push_back(truth[k].translation());
  }
  EXPECT_EQ(scan.counts().lost, 0U);
  ASSERT_GT(found.size(), 60U);
  const auto count = static_cast<Eigen::Index>(found.size());
  Eigen::Matrix3Xd a(3, count);
  Eigen::Matrix3Xd b(3, count);
  for (Eigen::Index k = 0; k < count; ++k) {
    a.col(k) = found[static_cast<std::size_t>(k)];
    b.col(k) = expected[static_cast<std::size_t>(k)];
  }
  const Eigen::Matrix4d fit = Eigen::umeyama(a, b, false);
  const Eigen::Matrix3Xd apart =
      (fit.topLeftCorner<3, 3>() * a).colwise() + fit.topRightCorner<3, 1>() - b;
  const double rmse_mm = std::sqrt(apart.colwise().squaredNorm().mean());
  std::printf("absolute trajectory error: rmse %.1f mm, max %.1f mm over %ld frames, %lu lost\n",
              rmse_mm, std::sqrt(apart.colwise().squaredNorm().maxCoeff()),
              static_cast<long>(count), static_cast<unsigned long>(scan.counts().lost));
  EXPECT_LT(rmse_mm, 50);
}

}  // namespace
}  // namespace cusp
