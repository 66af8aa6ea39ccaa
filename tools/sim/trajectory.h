// Trajectory files: poses as text, in the "log" format of Open3D and the Redwood benchmark
// (S. Choi, Q.-Y. Zhou, V. Koltun, "Robust Reconstruction of Indoor Scenes", CVPR 2015): for each
// pose a line of three integers, then the 4x4 matrix world_from_camera, one row a line.
//
// Truth of the virtual scanner: one file a scene, `truth-<scene>.log`. The integers are the scene's
// frame, the device's frame (what the emulator counted since it was started) and the scene's frame
// plus one; the matrix is scene_from_sensor in millimetres. A frame's line is written before the
// device sends the frame; showing the scene again begins the file anew. `truth.json` beside it
// names scenes, meshes, camera and noise (run_folder.h). Threads: a TrajectoryLog is used by one
// thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <vector>

#include "core/pose.h"
#include "core/result.h"

namespace cusp::sim {

struct TrajectoryPose {
  std::uint64_t frame = 0;
  std::uint64_t device_frame = 0;
  RigidTransform world_from_camera = RigidTransform::Identity();  // millimetres
};

// kNotFound; kCorrupt names the line: not a number, not finite, not a rotation, cut short. The last
// pose may be cut short when `growing` (somebody is still writing it): it is left out.
Result<std::vector<TrajectoryPose>> read_trajectory(const std::filesystem::path& path,
                                                    double mm_per_unit, bool growing = false);

class TrajectoryLog {
 public:
  // Replaces the file. kIo.
  static Result<TrajectoryLog> create(const std::filesystem::path& path);
  // Flushed to the system before it returns. kIo, for example when the disk is full.
  Result<void> append(const TrajectoryPose& pose);

 private:
  TrajectoryLog(std::filesystem::path path, std::ofstream file);
  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace cusp::sim
