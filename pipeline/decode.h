// decode: Z16 counts to millimetres in the sensor's frame.
// What lies outside [min_depth_mm, max_depth_mm] is 0, "not measured".
// Errors: kInvalidArgument, when the frame is not the one that the calibration describes.
// Threads: pure function.
#pragma once

#include "core/calibration.h"
#include "core/frame.h"
#include "core/result.h"

namespace cusp {

Result<DepthFrame> decode(const RawFrame& frame, const Calibration& calibration,
                          double min_depth_mm, double max_depth_mm);

}  // namespace cusp
