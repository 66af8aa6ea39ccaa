// Calibration: what the device says about its own optics, read from it and never guessed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/frame.h"

namespace cusp {

struct Calibration {
  std::string id;            // names this very table: "d400-coefficients-1a2b3c4d" (its CRC)
  double depth_unit_mm = 0;  // one count of a Z16 pixel
  double baseline_mm = 0;    // between the two imagers; 0 when the device has none
  Intrinsics depth;          // of the configured depth stream
};

}  // namespace cusp
