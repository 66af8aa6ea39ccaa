// align_colour: gives each depth pixel the colour that the camera beside saw there.
//
// Each measured point is moved into the colour camera's frame, projected through its lens
// (Calibration::colour) and takes the nearest pixel of the picture; YUY2 becomes RGB by ITU-R
// BT.601, black at 16. Black (0, 0, 0) is given to pixels without depth, outside the picture, or
// hidden from the colour camera by something nearer; what hides them is looked for in cells of
// about two depth pixels. Units: mm. Threads: pure function. Errors: kInvalidArgument: a picture
// that is not the one that the calibration describes.
#pragma once

#include "core/calibration.h"
#include "core/frame.h"
#include "core/result.h"

namespace cusp {

// Fills depth.rgb from frame.colour. It stays empty when frame or calibration have no colour, or
// the picture is not YUY2.
Result<void> align_colour(DepthFrame& depth, const RawFrame& frame, const Calibration& calibration);

}  // namespace cusp
