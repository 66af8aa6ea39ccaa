// An RGB picture in the formats that a camera sends, for the firmware double.
// Threads: functions of their arguments. Errors: a picture without pixels is our own bug.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace cusp::uvc_camera {

// 4:2:2 by ITU-R BT.601, full range; the width is even.
void encode_yuy2(std::span<const std::uint8_t> rgb, std::vector<std::uint8_t>& bytes);
// Baseline JPEG 4:2:0 with the usual Huffman tables, or with none as many cameras send it.
void encode_jpeg(std::span<const std::uint8_t> rgb, int width_px, int height_px, bool with_tables,
                 std::vector<std::uint8_t>& bytes);

}  // namespace cusp::uvc_camera
