// Fringes: the way from a wand's pictures, as the simulator renders them with what stands between
// light and picture (tools/sim/fringe_effects.h), to depth and to a model.
// Threads: as the decoder and the reconstruction.
#pragma once

#include <filesystem>

#include "core/result.h"
#include "tools/bench/figures.h"
#include "tools/bench/wand_stream.h"

namespace cusp::bench {

// Eight pictures of 640 x 480 to absolute phase and depth: two pitches of four steps.
Result<void> measure_decoding(int threads, int rounds, Figures& figures);

// A full arch with all of the simulator's effects on, from raw pictures to a model.
Result<void> measure_wand_scan(const WandRequest& request, int threads,
                               const std::filesystem::path& cache_folder, Figures& figures);

}  // namespace cusp::bench
