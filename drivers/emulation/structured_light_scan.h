// A structured-light scan made with SLStudio, as a wand would have made it: its pictures and its
// calibration.
//
// The calibration is SLStudio's calibration.xml (OpenCV's storage): camera Kc, kc; projector Kp,
// kp, Rp, Tp; millimetres, pixels. Threads: a function. Errors: kNotFound, kCorrupt when a file
// can't be read, kInvalidArgument when pictures, pitches and calibration do not belong together.
#pragma once

#include <filesystem>
#include <vector>

#include "core/calibration.h"
#include "core/result.h"

namespace cusp {

struct StructuredLightFiles {
  std::filesystem::path pictures;     // folder of 8-bit grey PNGs, in the order of projection
  std::filesystem::path calibration;  // calibration.xml
  std::vector<double> pitches_px;     // in that order; each was projected in three steps of a third
  double min_depth_mm = 0, max_depth_mm = 0;  // where the object stood
};

struct StructuredLightScan {
  std::vector<std::vector<std::uint8_t>> pictures;
  Calibration calibration;  // made on the day of its file
};

Result<StructuredLightScan> read_structured_light_scan(const StructuredLightFiles& files);

}  // namespace cusp
