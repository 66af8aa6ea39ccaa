// Fringes: the way from a wand's pictures, as the simulator renders them with what stands between
// light and picture (tools/sim/fringe_effects.h), to depth and to a model.
// Threads: as the decoder and the reconstruction.
#pragma once

#include "core/result.h"
#include "tools/bench/figures.h"

namespace cusp::bench {

// Eight pictures of 640 x 480 to absolute phase and depth: two pitches of four steps.
Result<void> measure_decoding(int threads, int rounds, Figures& figures);

struct WandScanOptions {
  int threads = 2;
  double picture_rate_hz = 120;  // six a sequence
  double speed_mm_s = 8;
  std::uint64_t most_sequences = 0;  // 0: the whole way round the arch
  std::uint64_t seed = 1;
};

// A full arch with all of the simulator's effects on, from raw pictures to a model. The pictures
// are rendered as they are needed: this takes minutes.
Result<void> measure_wand_scan(const WandScanOptions& options, Figures& figures);

}  // namespace cusp::bench
