// DepthStream: the frames of a scene, ready to be fed, with the truth beside each.
//
// Rendering takes a minute and is done once: the stream lies in a file of the cache folder, named
// after the request, and is mapped into memory. A file whose parameters are not the scene's is made
// anew. A prefix of a longer stream that is there is taken from it. Threads: make and open from one
// thread; const calls from any. Errors: kNotFound (no such scene, no such folder), kIo, kNoSpace,
// those of the PNG files.
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <span>

#include "core/frame.h"
#include "tools/bench/mapped_file.h"
#include "tools/bench/scenes.h"

namespace cusp::bench {

// Frames of the user's: a folder of 16-bit PNG, in the order of their names.
struct RecordedFrames {
  std::filesystem::path folder;
  std::array<double, 4> optics_px{};  // fx, fy, cx, cy
  double depth_unit_mm = 1;
  double rate_hz = 30;
  ReconstructionOptions reconstruction;
};

class DepthStream {
 public:
  static Result<DepthStream> open(const SceneRequest& request,
                                  const std::filesystem::path& cache_folder);
  // Without any truth. kInvalidArgument when the pictures differ in size.
  static Result<DepthStream> read(const RecordedFrames& recorded, std::uint64_t most_frames);
  ~DepthStream();
  DepthStream(DepthStream&&) noexcept;
  DepthStream& operator=(DepthStream&&) noexcept;

  [[nodiscard]] const Scene& scene() const { return scene_; }
  [[nodiscard]] std::size_t size() const { return frames_; }
  // Empty, as the poses, of the user's frames.
  [[nodiscard]] const Mesh& truth() const { return content_.truth; }
  [[nodiscard]] const std::vector<RigidTransform>& truth_from_sensor() const {
    return content_.truth_from_sensor;
  }
  [[nodiscard]] std::span<const std::uint16_t> z16(std::size_t frame) const;
  // As a device would send it.
  [[nodiscard]] RawFrame raw(std::size_t frame, std::uint64_t sequence) const;

 private:
  DepthStream(Scene scene, SceneContent content, std::size_t frames,
              std::unique_ptr<MappedFile> file);

  Scene scene_;
  SceneContent content_;
  std::size_t frames_;
  std::unique_ptr<MappedFile> file_;
};

}  // namespace cusp::bench
