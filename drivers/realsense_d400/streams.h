// Where a D400 camera's depth and colour come from, by its descriptors.
//
// Threads: pure functions. Errors: kUnsupported when there is no depth to read.
#pragma once

#include <optional>
#include <vector>

#include "drivers/realsense_d400/protocol.h"
#include "drivers/uvc/controls.h"
#include "drivers/uvc/descriptors.h"
#include "drivers/uvc/video_capture.h"

namespace cusp::realsense_d400 {

struct DepthStream {
  uvc::VideoFunction function;
  uvc::StreamingInterface stream;
  uvc::Entity unit;  // the depth extension unit
};
// The video function with the depth unit, and its bulk stream that has Z16.
Result<DepthStream> find_depth_stream(const std::vector<uvc::VideoFunction>& functions);

struct ColourStream {
  uvc::VideoFunction function;
  uvc::StreamingInterface stream;
};
// The stream with YUY2 of another function, or, of a model without a colour camera, of another
// interface of the depth function.
std::optional<ColourStream> find_colour_stream(const std::vector<uvc::VideoFunction>& functions,
                                               const DepthStream& depth, const Model& model);

bool is_depth_format(const uvc::FormatDescriptor& format);
bool is_colour_format(const uvc::FormatDescriptor& format);

// The colour mode that goes with a depth mode: the same rate (within 1 %), and the number of pixels
// nearest to its own. None: no mode has the rate.
std::optional<uvc::OfferedMode> colour_mode_for(const std::vector<uvc::OfferedMode>& offered,
                                                const StreamMode& depth);

}  // namespace cusp::realsense_d400
