// A JPEG picture as any program reads it: through libjpeg.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <vector>

namespace cusp {

struct DecodedPicture {
  int width_px = 0;
  int height_px = 0;
  std::vector<std::uint8_t> rgb;
};
// Nothing when libjpeg refuses it or warns of anything.
std::optional<DecodedPicture> decode_jpeg(std::span<const std::uint8_t> bytes);

}  // namespace cusp
