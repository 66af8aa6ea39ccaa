#include "pipeline/decode.h"

#include <cmath>

namespace cusp {
namespace {

constexpr int kMaxSidePx = 16384;

Result<void> check(const RawFrame& frame, const Calibration& calibration) {
  const Intrinsics& depth = calibration.depth;
  const auto positive = [](double value) { return std::isfinite(value) && value > 0; };
  if (depth.width_px < 1 || depth.height_px < 1 || depth.width_px > kMaxSidePx ||
      depth.height_px > kMaxSidePx || !positive(depth.fx_px) || !positive(depth.fy_px) ||
      !std::isfinite(depth.cx_px) || !std::isfinite(depth.cy_px) ||
      !positive(calibration.depth_unit_mm) || !std::isfinite(calibration.baseline_mm))
    return error(
        ErrorCode::kInvalidArgument,
        "calibration {}: {}x{} px, focal length {} px, depth unit {} mm and baseline {} mm "
        "cannot be used",
        calibration.id, depth.width_px, depth.height_px, depth.fx_px, calibration.depth_unit_mm,
        calibration.baseline_mm);
  if (frame.format != PixelFormat::kZ16)
    return error(ErrorCode::kInvalidArgument, "frame {}: {} pixels are no depth", frame.sequence,
                 to_string(frame.format));
  if (frame.width_px != depth.width_px || frame.height_px != depth.height_px)
    return error(ErrorCode::kInvalidArgument,
                 "frame {}: {}x{} px, but calibration {} is for {}x{} px", frame.sequence,
                 frame.width_px, frame.height_px, calibration.id, depth.width_px, depth.height_px);
  const std::size_t expected = std::size_t{2} * static_cast<std::size_t>(depth.width_px) *
                               static_cast<std::size_t>(depth.height_px);
  if (frame.bytes.size() != expected)
    return error(ErrorCode::kInvalidArgument, "frame {}: {} bytes instead of {}", frame.sequence,
                 frame.bytes.size(), expected);
  return {};
}

}  // namespace

Result<DepthFrame> decode(const RawFrame& frame, const Calibration& calibration,
                          double min_depth_mm, double max_depth_mm) {
  CUSP_TRY(check(frame, calibration));
  const auto unit_mm = static_cast<float>(calibration.depth_unit_mm);
  const auto min_mm = static_cast<float>(min_depth_mm);
  const auto max_mm = static_cast<float>(max_depth_mm);
  DepthFrame depth{.sequence = frame.sequence,
                   .host_time = frame.host_time,
                   .intrinsics = calibration.depth,
                   .depth_mm = std::vector<float>(frame.bytes.size() / 2)};
  const std::uint8_t* bytes = frame.bytes.data();
  for (std::size_t i = 0; i < depth.depth_mm.size(); ++i) {
    const int counts = bytes[2 * i] | (bytes[2 * i + 1] << 8);
    const float z_mm = static_cast<float>(counts) * unit_mm;
    depth.depth_mm[i] = counts != 0 && z_mm >= min_mm && z_mm <= max_mm ? z_mm : 0.0F;
  }
  return depth;
}

}  // namespace cusp
