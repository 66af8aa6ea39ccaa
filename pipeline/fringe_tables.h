// What a fringe decoder knows of a calibration before any picture comes: where each pixel's working
// range lies on the projector, the way from its column there to depth, and where a pinhole's
// pixels lie in the pictures.
//
// The depth of a column is a function of two lenses and a baseline, but along one ray a smooth one:
// 1 / depth as a quartic of the column, through five points of the range that lie as Chebyshev's
// nodes do (L. Trefethen, "Approximation Theory and Approximation Practice", SIAM, 2013, chapter
// 4). Its coefficients are smooth from pixel to pixel, so eight neighbours share a line or a
// parabola of each: what is read for every sequence stays in the cache. create() measures how far
// that misses the lenses' own formula, and refuses a calibration in which it is more than kWithin
// of the depth. Threads: pure functions.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "core/calibration.h"
#include "core/result.h"
#include "pipeline/fringe_kernel.h"

namespace cusp {

struct FringeTables {
  static constexpr double kWithin = 1e-4;

  // Of each row its eights, the last one filled up with nothing.
  std::vector<FringeRays> rays;
  std::vector<FringeSources> sources;
  std::size_t eights = 0;  // a row
  double misses = 0;       // of the depth, at most, of the pixels that were looked at

  // The pictures' rows, lowest and highest, that the depth image's rows first .. end - 1 are in.
  [[nodiscard]] std::pair<std::size_t, std::size_t> source_rows(std::size_t first,
                                                                std::size_t end) const;

  // The optics must have been found usable, the range lie in front of the camera.
  static Result<FringeTables> create(const Calibration& calibration, double min_depth_mm,
                                     double max_depth_mm);
};

}  // namespace cusp
