// VirtualScanner: which scene is in front of the scanner, which frame of its path comes next, and
// the record of where the sensor truly was.
//
// A scene's path begins at frame 0 each time it is shown, and follows the device's own count of
// frames: one that was made but not sent is made again, the same. When the path is used up the
// scanner holds the last pose and goes on measuring it, with new noise: a real camera never falls
// silent. Truth is written for every frame (trajectory.h), before the frame leaves. Threads: the
// next_...() from the double's thread, all else from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/frame.h"
#include "core/result.h"
#include "tools/sim/fringe_effects.h"
#include "tools/sim/noise_model.h"
#include "tools/sim/operator_path.h"
#include "tools/sim/operator_sweeps.h"
#include "tools/sim/trajectory.h"

namespace cusp::sim {

struct Scene {
  std::string name;
  std::uint64_t frames = 0;  // of its path
  // What a device sees at frame k, past the end too: a depth camera, a fringe scanner, a camera for
  // photos. A scene has the one of its device. False: there is no such picture.
  std::function<void(std::uint64_t frame, std::span<std::uint16_t> z16)> measure{};
  std::function<bool(std::uint64_t frame, const FringeIndex& index, std::span<std::uint8_t> out)>
      picture{};
  std::function<bool(int width_px, int height_px, std::span<std::uint8_t> rgb)> photo{};
  // scene_from_sensor of frame k; none where the truth is not known.
  std::function<RigidTransform(std::uint64_t frame)> pose{};
};

struct SceneOptions {
  Intrinsics camera;
  OperatorPathOptions path;
  std::optional<SweepOptions> sweeps{};     // along the row of teeth, instead of `path`
  std::optional<SoftTissue> soft_tissue{};  // tongue and cheek; they follow noise.seed
  StereoNoiseOptions noise;
  bool with_noise = true;  // false: ideal depth, quantised
};

// A mesh, seen along an operator's path.
Result<Scene> make_mesh_scene(std::string name, const Mesh& mesh, const SceneOptions& options);

// 16-bit PNG depth images of a folder, in the order of their names, given out unchanged and kept in
// memory. kInvalidArgument when sizes differ from `camera` or there is none; kNoSpace beyond 2 GiB.
Result<Scene> make_recorded_scene(std::string name, const std::filesystem::path& folder,
                                  const Intrinsics& camera, std::uint64_t most_frames);

struct ScanProgress {
  std::string scene;
  std::uint64_t frames_sent = 0;  // since this scene was shown
  std::uint64_t path_frames = 0;
  bool done = false;                 // the path is used up
  std::optional<std::string> fault;  // no picture, or no complete record of the poses
};

class VirtualScanner {
 public:
  // Shows the first scene. Truth goes to `truth_folder`. kIo when it can't be written.
  static Result<std::unique_ptr<VirtualScanner>> create(std::vector<Scene> scenes,
                                                        const Intrinsics& camera,
                                                        std::filesystem::path truth_folder);

  // kNotFound lists the scenes.
  Result<void> show(const std::string& name);
  [[nodiscard]] ScanProgress progress() const;
  // The doubles' sources. False when the host chose another size than the camera's: there is no
  // such picture.
  bool next_frame(std::uint64_t device_frame, std::span<std::uint16_t> z16);
  bool next_picture(std::uint64_t device_frame, const FringeIndex& index,
                    std::span<std::uint8_t> out);
  bool next_photo(std::uint64_t device_frame, int width_px, int height_px,
                  std::span<std::uint8_t> rgb);
  // What an inertial sensor in the device feels at a frame that was asked for, at that rate; the
  // scene's z points up. None where the truth is not known.
  [[nodiscard]] std::optional<ImuSample> imu(std::uint64_t device_frame, double rate_hz) const;

 private:
  VirtualScanner(std::vector<Scene> scenes, std::size_t pixels, std::filesystem::path truth_folder);
  Result<void> show_locked(std::size_t index);
  // The frame of the shown scene's path that the device's frame is; its truth is written.
  std::uint64_t step(std::uint64_t device_frame);

  const std::vector<Scene> scenes_;
  const std::size_t pixels_;
  const std::filesystem::path truth_folder_;
  mutable std::mutex mutex_;
  std::size_t shown_ = 0;
  std::optional<std::uint64_t> first_device_frame_;  // of the shown scene
  std::uint64_t next_ = 0;
  std::optional<TrajectoryLog> truth_;
  std::optional<std::string> fault_;
};

}  // namespace cusp::sim
