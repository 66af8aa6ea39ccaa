// PNG: a picture as a file that any program reads, without a loss.
//
// Errors: kInvalidArgument when the picture is empty, longer than 16384 px, or its bytes are not
// those of its size; kIo when libpng refuses it. Threads: pure function.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/result.h"

namespace cusp {

// `channels`: 1, grey, or 3, RGB. Row by row, one byte a channel.
Result<std::vector<std::uint8_t>> to_png(std::span<const std::uint8_t> pixels, int width_px,
                                         int height_px, int channels);

}  // namespace cusp
