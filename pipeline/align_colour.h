// align_colour: gives each depth pixel the colour that the camera beside saw there, or the same
// camera at another time.
//
// Each measured point is moved into the colour camera's frame, projected through its lens and takes
// the nearest pixel of the picture; YUY2 becomes RGB by ITU-R BT.601, black at 16. Black (0, 0, 0)
// is given to pixels without depth, outside the picture, or hidden from the colour camera by
// something nearer; what hides them is looked for in cells of about two depth pixels. Units: mm.
// Threads: pure function. Errors: kInvalidArgument: a picture that is not the one that the
// calibration describes.
#pragma once

#include <cstdint>

#include "core/calibration.h"
#include "core/frame.h"
#include "core/result.h"

namespace cusp {

// Whether the picture is as large as the camera's and whole; the error names the frame.
Result<void> check_colour(const ColourPicture& picture, const Intrinsics& colour,
                          std::uint64_t sequence);
// Fills depth.rgb; it stays empty when the picture is not YUY2.
Result<void> align_colour(DepthFrame& depth, const ColourPicture& picture,
                          const ColourOptics& optics);
// With what came with the frame; it stays empty when frame or calibration have no colour.
Result<void> align_colour(DepthFrame& depth, const RawFrame& frame, const Calibration& calibration);

}  // namespace cusp
