// Replay: recorded depth through the whole station's line, without the cable: the firmware double
// of a D435 gives it out, the real driver reads it, and the reconstruction tracks it.
//
// Threads: one more than the caller's, for the capture. Errors: of the driver and the
// reconstruction, as they said it; kProtocol when the driver lost frames, because then poses can't
// be matched with frames.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "core/frame.h"
#include "core/pose.h"
#include "core/result.h"
#include "pipeline/reconstruction.h"

namespace cusp::verify {

struct ReplayOptions {
  std::filesystem::path frames;  // folder of 16-bit PNG depth, mm
  Intrinsics intrinsics;         // their size too
  std::uint64_t most_frames = 0;
  ReconstructionOptions reconstruction;
};

struct Replay {
  std::vector<Pose> poses;  // one a frame
  ReconstructionCounts counts;
};

// `on_frame` is called after each frame.
Result<Replay> replay(const ReplayOptions& options,
                      const std::function<void(std::size_t frame, const Pose& pose)>& on_frame);

}  // namespace cusp::verify
