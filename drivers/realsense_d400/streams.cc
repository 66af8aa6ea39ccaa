#include "drivers/realsense_d400/streams.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace cusp::realsense_d400 {
namespace {

constexpr double kRateTolerance = 0.01;

bool has_format(const uvc::StreamingInterface& stream,
                bool (*wanted)(const uvc::FormatDescriptor&)) {
  return std::any_of(stream.formats.begin(), stream.formats.end(), wanted);
}

}  // namespace

bool is_depth_format(const uvc::FormatDescriptor& format) {
  return format.guid == kZ16Guid && !format.frames.empty();
}

bool is_colour_format(const uvc::FormatDescriptor& format) {
  return uvc::pixel_format(format) == PixelFormat::kYuy2 && !format.frames.empty();
}

Result<DepthStream> find_depth_stream(const std::vector<uvc::VideoFunction>& functions) {
  for (const auto& function : functions) {
    const uvc::ExtensionUnit* const unit = function.find_unit(kDepthUnitGuid);
    if (unit == nullptr) continue;
    for (const auto& stream : function.streams)
      if (stream.bulk() && has_format(stream, is_depth_format))
        return DepthStream{function, stream, {function.control_interface, unit->id}};
    return error(ErrorCode::kUnsupported,
                 "its depth function has no Z16 stream on a bulk endpoint");
  }
  return error(ErrorCode::kUnsupported, "it has no D400 depth function");
}

std::optional<ColourStream> find_colour_stream(const std::vector<uvc::VideoFunction>& functions,
                                               const DepthStream& depth, const Model& model) {
  for (const auto& function : functions) {
    const bool is_depth_function = function.control_interface == depth.function.control_interface;
    if (is_depth_function == model.has_colour_camera) continue;
    for (const auto& stream : function.streams)
      if (stream.number != depth.stream.number && has_format(stream, is_colour_format))
        return ColourStream{function, stream};
  }
  return std::nullopt;
}

std::optional<uvc::OfferedMode> colour_mode_for(const std::vector<uvc::OfferedMode>& offered,
                                                const StreamMode& depth) {
  const auto off_by = [&](const uvc::OfferedMode& offer) {
    return std::abs(offer.mode.width_px * offer.mode.height_px - depth.width_px * depth.height_px);
  };
  std::optional<uvc::OfferedMode> best;
  for (const uvc::OfferedMode& offer : offered) {
    if (std::abs(offer.mode.rate_hz - depth.rate_hz) > kRateTolerance * depth.rate_hz) continue;
    if (!best || off_by(offer) < off_by(*best)) best = offer;
  }
  return best;
}

}  // namespace cusp::realsense_d400
