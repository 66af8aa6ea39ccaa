#include "tools/sim/virtual_scanner.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "tests/tools/shapes.h"
#include "tests/tools/temporary_folder.h"
#include "tools/sim/png_file.h"

namespace cusp::sim {
namespace {

class Scanner : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.camera = d405_intrinsics(160, 96);
    options_.path.frames = 5;
    std::vector<Scene> scenes;
    for (const auto& [name, radius] : {std::pair{"upper", 15.0F}, {"lower", 22.0F}}) {
      auto scene = make_mesh_scene(name, shapes::ellipsoid({2 * radius, radius, 9}, 40), options_);
      ASSERT_TRUE(scene.ok());
      scenes.push_back(*std::move(scene));
    }
    auto scanner = VirtualScanner::create(std::move(scenes), options_.camera, folder_.path());
    ASSERT_TRUE(scanner.ok());
    scanner_ = *std::move(scanner);
  }

  std::vector<std::uint16_t> next(std::uint64_t device_frame) {
    std::vector<std::uint16_t> z16(160 * 96);
    EXPECT_TRUE(scanner_->next_frame(device_frame, z16));
    return z16;
  }
  std::vector<TrajectoryPose> truth(const std::string& scene) {
    return *read_trajectory(folder_.path() / ("truth-" + scene + ".log"), 1.0, true);
  }

  TemporaryFolder folder_;
  SceneOptions options_;
  std::unique_ptr<VirtualScanner> scanner_;
};

TEST_F(Scanner, WritesTheTruthOfEveryFrameBeforeItLeaves) {
  for (std::uint64_t k = 0; k < 3; ++k) {
    next(100 + k);
    const auto poses = truth("upper");
    ASSERT_EQ(poses.size(), k + 1);
    EXPECT_EQ(poses[k].frame, k);
    EXPECT_EQ(poses[k].device_frame, 100 + k);
  }
}

TEST_F(Scanner, BeginsAPathAnewWhenItsSceneIsShown) {
  const auto first = next(0);
  next(1);
  ASSERT_TRUE(scanner_->show("lower").ok());
  EXPECT_EQ(scanner_->progress().scene, "lower");
  EXPECT_NE(next(2), first);
  ASSERT_TRUE(scanner_->show("upper").ok());
  EXPECT_EQ(scanner_->progress().frames_sent, 0U);
  EXPECT_EQ(next(3), first);  // bit for bit
  EXPECT_EQ(truth("upper").size(), 1U);
  EXPECT_EQ(truth("lower").front().device_frame, 2U);
}

TEST_F(Scanner, HoldsTheLastPoseWithNewNoiseWhenThePathIsUsedUp) {
  std::vector<std::uint16_t> last;
  for (std::uint64_t k = 0; k < 5; ++k) {
    EXPECT_FALSE(scanner_->progress().done);
    last = next(k);
  }
  EXPECT_TRUE(scanner_->progress().done);
  EXPECT_NE(next(5), last);
  const auto poses = truth("upper");
  ASSERT_EQ(poses.size(), 6U);
  EXPECT_TRUE(poses[5].world_from_camera.isApprox(poses[4].world_from_camera));
}

TEST_F(Scanner, FeelsItsTurnAndItsWeight) {
  Scene turning{.name = "turning",
                .frames = 10,
                .measure = [](std::uint64_t, std::span<std::uint16_t>) {},
                .pose =
                    [](std::uint64_t frame) {
                      return RigidTransform(Eigen::AngleAxisd(0.02 * static_cast<double>(frame),
                                                              Eigen::Vector3d::UnitX()));
                    }};
  Scene unknown{.name = "unknown", .frames = 10, .measure = turning.measure};
  auto made = VirtualScanner::create({turning, unknown}, options_.camera, folder_.path());
  ASSERT_TRUE(made.ok());
  VirtualScanner& scanner = **made;
  std::vector<std::uint16_t> z16(160 * 96);
  EXPECT_FALSE(scanner.imu(50, 100)) << "no frame was asked for";
  ASSERT_TRUE(scanner.next_frame(50, z16) && scanner.next_frame(53, z16));
  const auto sample = scanner.imu(53, 100);
  ASSERT_TRUE(sample);
  EXPECT_NEAR(sample->angular_velocity_rad_s[0], 2, 1e-4);
  EXPECT_NEAR(sample->angular_velocity_rad_s[1], 0, 1e-6);
  // 0.06 rad about x since the first frame.
  EXPECT_NEAR(sample->acceleration_m_s2[1], 9.81 * std::sin(0.06), 1e-4);
  EXPECT_NEAR(sample->acceleration_m_s2[2], 9.81 * std::cos(0.06), 1e-4);
  ASSERT_TRUE(scanner.show("unknown").ok());
  ASSERT_TRUE(scanner.next_frame(54, z16));
  EXPECT_FALSE(scanner.imu(54, 100));
}

TEST_F(Scanner, KnowsOnlyItsScenes) {
  const auto shown = scanner_->show("palate");
  ASSERT_FALSE(shown.ok());
  EXPECT_EQ(shown.error().code, ErrorCode::kNotFound);
  EXPECT_NE(shown.error().message.find("upper, lower"), std::string::npos);
  EXPECT_EQ(scanner_->progress().scene, "upper");
}

TEST_F(Scanner, GivesNoPictureOfAnotherSize) {
  std::vector<std::uint16_t> z16(64 * 48);
  EXPECT_FALSE(scanner_->next_frame(0, z16));
  EXPECT_TRUE(scanner_->progress().fault.has_value());
  EXPECT_EQ(scanner_->progress().frames_sent, 0U);
}

class Recording : public ::testing::Test {
 protected:
  void write(const std::string& name, int width, int height, std::uint16_t value) {
    const auto pixels = static_cast<std::size_t>(width * height);
    ASSERT_TRUE(write_png16(folder_.path() / name,
                            {width, height, std::vector<std::uint16_t>(pixels, value)})
                    .ok());
  }
  Result<Scene> open(std::uint64_t most = 100) {
    return make_recorded_scene("recording", folder_.path(), {8, 6, 10, 10, 4, 3}, most);
  }
  TemporaryFolder folder_;
};

TEST_F(Recording, GivesItsFramesInTheOrderOfTheirNamesAndHoldsTheLast) {
  write("00002.png", 8, 6, 1002);
  write("00000.png", 8, 6, 1000);
  write("00001.png", 8, 6, 0xABCD);
  const auto scene = open();
  ASSERT_TRUE(scene.ok());
  EXPECT_EQ(scene->frames, 3U);
  std::vector<std::uint16_t> z16(48);
  for (const auto& [frame, value] : {std::pair{0, 1000}, {1, 0xABCD}, {2, 1002}, {9, 1002}}) {
    scene->measure(static_cast<std::uint64_t>(frame), z16);
    EXPECT_EQ(z16.front(), value);
    EXPECT_EQ(z16.back(), value);
  }
  EXPECT_EQ(open(2)->frames, 2U);
}

TEST_F(Recording, RefusesWhatIsNoDepthWithOneSentenceThatNamesTheFile) {
  EXPECT_EQ(open().error().code, ErrorCode::kInvalidArgument);  // no PNG at all

  write("00000.png", 8, 7, 1);
  EXPECT_EQ(open().error().code, ErrorCode::kInvalidArgument);

  std::ofstream(folder_.path() / "00000.png") << "no picture";
  EXPECT_EQ(open().error().code, ErrorCode::kCorrupt);
  EXPECT_NE(open().error().message.find("00000.png"), std::string::npos);

  write("00000.png", 8, 6, 1);
  std::filesystem::resize_file(folder_.path() / "00000.png",
                               std::filesystem::file_size(folder_.path() / "00000.png") - 20);
  EXPECT_EQ(open().error().code, ErrorCode::kCorrupt);

  const std::vector<std::uint8_t> rgb(3 * 48, 7);
  ASSERT_TRUE(write_png_rgb(folder_.path() / "00000.png", 8, 6, rgb).ok());
  EXPECT_EQ(open().error().code, ErrorCode::kUnsupported);

  EXPECT_EQ(
      make_recorded_scene("recording", folder_.path() / "none", {8, 6, 1, 1, 1, 1}, 1).error().code,
      ErrorCode::kNotFound);
}

}  // namespace
}  // namespace cusp::sim
