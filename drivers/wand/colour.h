// Colour from a sensor without colours: three grey frames under red, green and blue light are one
// picture, and back.
//
// The frames are linear in light. The picture is YUY2: sRGB's transfer function (IEC 61966-2-1),
// then Y'CbCr of ITU-R BT.601 with black at 16. Threads: pure functions. Sizes are the caller's
// duty.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "drivers/wand/protocol.h"

namespace cusp::wand {

// Grey frames of one even number of pixels.
std::vector<std::uint8_t> yuy2_of(std::span<const std::uint8_t> red,
                                  std::span<const std::uint8_t> green,
                                  std::span<const std::uint8_t> blue);

// What the sensor would see of a picture under one of the lights; `grey` has half as many bytes.
void light_of(std::span<const std::uint8_t> yuy2, FrameKind light, std::span<std::uint8_t> grey);

}  // namespace cusp::wand
