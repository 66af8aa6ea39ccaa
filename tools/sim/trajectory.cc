#include "tools/sim/trajectory.h"

#include <charconv>
#include <cmath>
#include <sstream>
#include <string>

namespace cusp::sim {
namespace {

// Files with a few decimals are rotations only this closely.
constexpr double kRotationTolerance = 1e-3;

Result<RigidTransform> to_rigid(const Eigen::Matrix4d& matrix, const std::string& where) {
  const Eigen::Matrix3d rotation = matrix.topLeftCorner<3, 3>();
  const Eigen::RowVector4d last(0, 0, 0, 1);
  if (!matrix.allFinite() || !(matrix.row(3) - last).isZero(1e-6) ||
      !(rotation.transpose() * rotation - Eigen::Matrix3d::Identity()).isZero(kRotationTolerance) ||
      rotation.determinant() < 0)
    return error(ErrorCode::kCorrupt, "{}: not a rigid transform", where);
  RigidTransform rigid = RigidTransform::Identity();
  rigid.linear() = Eigen::Quaterniond(rotation).normalized().toRotationMatrix();
  rigid.translation() = matrix.topRightCorner<3, 1>();
  return rigid;
}

}  // namespace

Result<std::vector<TrajectoryPose>> read_trajectory(const std::filesystem::path& path,
                                                    double mm_per_unit, bool growing) {
  std::ifstream file(path);
  if (!file) return error(ErrorCode::kNotFound, "{}: cannot be read", path.string());
  std::vector<TrajectoryPose> poses;
  std::string line;
  std::uint64_t line_number = 0;
  const auto next_line = [&] {
    ++line_number;
    return static_cast<bool>(std::getline(file, line));
  };
  while (next_line()) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::uint64_t begins_at = line_number;
    TrajectoryPose pose;
    Eigen::Matrix4d matrix;
    bool complete = static_cast<bool>(std::istringstream(line) >> pose.frame >> pose.device_frame);
    for (Eigen::Index row = 0; complete && row < 4; ++row) {
      complete = next_line();
      std::istringstream numbers(line);
      complete = complete && static_cast<bool>(numbers >> matrix(row, 0) >> matrix(row, 1) >>
                                               matrix(row, 2) >> matrix(row, 3));
    }
    if (!complete) {
      if (growing && (file.eof() || file.peek() == std::ifstream::traits_type::eof())) break;
      return error(ErrorCode::kCorrupt, "{}:{}: three integers and a 4x4 matrix are expected",
                   path.string(), line_number);
    }
    CUSP_ASSIGN(pose.world_from_camera,
                to_rigid(matrix, fmt::format("{}:{}", path.string(), begins_at)));
    pose.world_from_camera.translation() *= mm_per_unit;
    poses.push_back(pose);
  }
  if (poses.empty() && !growing)
    return error(ErrorCode::kCorrupt, "{}: no pose in it", path.string());
  return poses;
}

TrajectoryLog::TrajectoryLog(std::filesystem::path path, std::ofstream file)
    : path_(std::move(path)), file_(std::move(file)) {}

Result<TrajectoryLog> TrajectoryLog::create(const std::filesystem::path& path) {
  std::ofstream file(path, std::ios::trunc);
  if (!file) return error(ErrorCode::kIo, "{}: cannot be written", path.string());
  return TrajectoryLog(path, std::move(file));
}

Result<void> TrajectoryLog::append(const TrajectoryPose& pose) {
  const Eigen::Matrix4d& m = pose.world_from_camera.matrix();
  std::string text = fmt::format("{} {} {}\n", pose.frame, pose.device_frame, pose.frame + 1);
  for (Eigen::Index row = 0; row < 4; ++row)
    text +=
        fmt::format("{:.9f} {:.9f} {:.9f} {:.9f}\n", m(row, 0), m(row, 1), m(row, 2), m(row, 3));
  file_ << text << std::flush;
  if (!file_) return error(ErrorCode::kIo, "{}: cannot be written", path_.string());
  return {};
}

}  // namespace cusp::sim
