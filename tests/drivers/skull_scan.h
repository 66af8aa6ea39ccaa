// A real structured-light scan of a skull, as a wand would have made it: its pictures and its
// calibration, from the folder of a scan with SLStudio.
//
// Errors: kNotFound when the data is not on this machine, kCorrupt when it can't be read.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/calibration.h"
#include "core/result.h"

namespace cusp {

struct SkullScan {
  std::vector<std::vector<std::uint8_t>> pictures;  // 8-bit grey, in the order of projection
  Calibration calibration;
};

// `sequence` is "2x3" (three steps of 114 columns, three of 1824) or "3ps" (three of 1824).
Result<SkullScan> read_skull_scan(const std::filesystem::path& folder, const std::string& sequence);

}  // namespace cusp
