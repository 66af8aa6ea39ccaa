// DepthStream: the frames of a scene, ready to be fed, with the truth beside each.
//
// Rendering takes a minute and is done once: the stream lies in a file of the cache folder, named
// after the request, and is mapped into memory. A file whose parameters are not the scene's is made
// anew. A prefix of a longer stream that is there is taken from it. Threads: make and open from one
// thread; const calls from any. Errors: kNotFound (no such scene), kIo, kNoSpace.
#pragma once

#include <filesystem>
#include <memory>
#include <span>

#include "core/frame.h"
#include "tools/bench/scenes.h"

namespace cusp::bench {

class DepthStream {
 public:
  static Result<DepthStream> open(const SceneRequest& request,
                                  const std::filesystem::path& cache_folder);
  ~DepthStream();
  DepthStream(DepthStream&&) noexcept;
  DepthStream& operator=(DepthStream&&) noexcept;

  [[nodiscard]] const Scene& scene() const { return scene_; }
  [[nodiscard]] const Mesh& truth() const { return content_.truth; }
  [[nodiscard]] std::size_t size() const { return content_.truth_from_sensor.size(); }
  [[nodiscard]] const std::vector<RigidTransform>& truth_from_sensor() const {
    return content_.truth_from_sensor;
  }
  [[nodiscard]] std::span<const std::uint16_t> z16(std::size_t frame) const;
  // As a device would send it.
  [[nodiscard]] RawFrame raw(std::size_t frame, std::uint64_t sequence) const;

 private:
  class File;
  DepthStream(Scene scene, SceneContent content, std::unique_ptr<File> file);

  Scene scene_;
  SceneContent content_;
  std::unique_ptr<File> file_;
};

}  // namespace cusp::bench
