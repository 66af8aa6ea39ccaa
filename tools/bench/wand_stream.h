// WandStream: the pictures that a wand takes of an arch along a hand's way, ready to be fed, with
// the truth beside them.
//
// All of the simulator's effects are on (tools/sim/fringe_effects.h), unless the request names
// others. Rendering takes minutes and is done once: the pictures lie in a file of the cache folder,
// as DepthStream's frames do; a prefix of a longer one that is there is taken from it. Threads:
// open from one thread; const calls from any. Errors: kInvalidArgument (no such effect), kIo,
// kNoSpace.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "core/calibration.h"
#include "core/frame.h"
#include "core/mesh.h"
#include "core/pose.h"
#include "tools/bench/mapped_file.h"

namespace cusp::bench {

struct WandRequest {
  double picture_rate_hz = 120;  // six a sequence
  double speed_mm_s = 8;
  std::uint64_t sequences = 0;  // 0: the whole way round the arch
  std::uint64_t seed = 1;       // of the hand and of all that is drawn
  std::string effects = "all";  // parse_effects
};

class WandStream {
 public:
  static Result<WandStream> open(const WandRequest& request,
                                 const std::filesystem::path& cache_folder);

  [[nodiscard]] const Calibration& calibration() const { return calibration_; }
  [[nodiscard]] std::uint64_t sequences() const { return sequences_; }
  [[nodiscard]] std::uint64_t patterns() const { return patterns_; }
  // As a device would send it; pictures are counted through.
  [[nodiscard]] RawFrame picture(std::uint64_t number) const;
  [[nodiscard]] RigidTransform truth_from_sensor(std::uint64_t number) const {
    return pose_(number);
  }
  [[nodiscard]] const Mesh& truth() const { return truth_; }

 private:
  WandStream() = default;

  Calibration calibration_;
  std::uint64_t sequences_ = 0, patterns_ = 0;
  Mesh truth_;
  std::function<RigidTransform(std::uint64_t)> pose_;
  std::unique_ptr<MappedFile> file_;
  const std::uint8_t* pictures_ = nullptr;
};

}  // namespace cusp::bench
