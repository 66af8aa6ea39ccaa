// The wand driver: an open intraoral wand over the USB Video Class and its own extension unit
// (docs/wand-protocol.md).
//
// Gives fringe pictures (kGrey8) in the order in which they were taken, and after them a colour
// picture (kYuy2, FringeIndex::pattern == patterns) that it puts together from the frames under
// red, green and blue light. Threads and errors: as Device.
#pragma once

#include "drivers/driver.h"

namespace cusp::wand {

Driver driver();

}  // namespace cusp::wand
