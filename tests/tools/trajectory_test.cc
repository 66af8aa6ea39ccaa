#include "tools/sim/trajectory.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/tools/temporary_folder.h"

namespace cusp::sim {
namespace {

RigidTransform some_pose(int i) {
  RigidTransform pose = RigidTransform::Identity();
  pose.linear() =
      Eigen::AngleAxisd(0.1 * i, Eigen::Vector3d(1, 2, i + 1).normalized()).toRotationMatrix();
  pose.translation() = Eigen::Vector3d(i, -2.5 * i, 80 + 0.125 * i);
  return pose;
}

class Trajectory : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& text) {
    std::ofstream(file_) << text;
    return file_;
  }
  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "truth.log";
};

TEST_F(Trajectory, ReadsBackWhatWasWritten) {
  auto log = TrajectoryLog::create(file_);
  ASSERT_TRUE(log.ok());
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(log->append({static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(i + 300),
                             some_pose(i)})
                    .ok());
  const auto poses = read_trajectory(file_, 1.0);
  ASSERT_TRUE(poses.ok()) << poses.error().message;
  ASSERT_EQ(poses->size(), 20U);
  for (int i = 0; i < 20; ++i) {
    const TrajectoryPose& pose = (*poses)[static_cast<std::size_t>(i)];
    EXPECT_EQ(pose.frame, static_cast<std::uint64_t>(i));
    EXPECT_EQ(pose.device_frame, static_cast<std::uint64_t>(i + 300));
    EXPECT_TRUE(pose.world_from_camera.isApprox(some_pose(i), 1e-7));
  }
}

TEST_F(Trajectory, CanBeReadWhileItGrows) {
  auto log = TrajectoryLog::create(file_);
  ASSERT_TRUE(log.ok());
  EXPECT_EQ(read_trajectory(file_, 1.0, true)->size(), 0U);
  ASSERT_TRUE(log->append({0, 0, some_pose(0)}).ok());
  EXPECT_EQ(read_trajectory(file_, 1.0)->size(), 1U);
  std::ofstream(file_, std::ios::app) << "1 1 2\n1 0 0 0\n0 1 ";
  EXPECT_EQ(read_trajectory(file_, 1.0, true)->size(), 1U);
  EXPECT_EQ(read_trajectory(file_, 1.0).error().code, ErrorCode::kCorrupt);
}

TEST_F(Trajectory, TakesTheUnitOfItsLengths) {
  write("0 0 1\n1 0 0 0.5\n0 1 0 0\n0 0 1 -0.25\n0 0 0 1\n");
  const auto poses = read_trajectory(file_, 1000.0);
  ASSERT_TRUE(poses.ok());
  EXPECT_TRUE(
      poses->front().world_from_camera.translation().isApprox(Eigen::Vector3d(500, 0, -250)));
}

TEST_F(Trajectory, NamesTheLineThatIsWrong) {
  for (const char* text : {"0 0 1\n1 0 0 0\n0 1 0 zero\n0 0 1 0\n0 0 0 1\n",  // not a number
                           "0 0 1\n2 0 0 0\n0 2 0 0\n0 0 2 0\n0 0 0 1\n",     // scaled
                           "0 0 1\n1 0 0 0\n0 1 0 0\n0 0 -1 0\n0 0 0 1\n",    // mirrored
                           "0 0 1\n1 0 0 nan\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",   // not finite
                           "0 0 1\n1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 1 1\n",     // not rigid
                           "hello\n"}) {
    const auto poses = read_trajectory(write(text), 1.0);
    ASSERT_FALSE(poses.ok()) << text;
    EXPECT_EQ(poses.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(poses.error().message.find("truth.log:"), std::string::npos) << poses.error().message;
  }
  EXPECT_EQ(read_trajectory(write(""), 1.0).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(read_trajectory(folder_.path() / "none.log", 1.0).error().code, ErrorCode::kNotFound);
}

TEST_F(Trajectory, SaysWhenItCannotBeWritten) {
  EXPECT_EQ(TrajectoryLog::create(folder_.path() / "no" / "such.log").error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace cusp::sim
