// A uniform cubic B-spline through the neighbourhood of its points, clamped by repeating the ends:
// C2, begins at the first point and ends at the last. Threads: pure functions.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace cusp::sim {

// s in [0, 1].
template <typename Vector>
Vector spline(const std::vector<Vector>& points, double s) {
  const auto last = static_cast<double>(points.size() - 1);
  const double u = std::clamp(s, 0.0, 1.0) * (last + 2) - 1;  // the ends count three times
  const double cell = std::floor(u);
  const double t = u - cell;
  const auto at = [&](double index) -> const Vector& {
    return points[static_cast<std::size_t>(std::clamp(index, 0.0, last))];
  };
  const double t2 = t * t, t3 = t2 * t;
  return ((1 - 3 * t + 3 * t2 - t3) * at(cell - 1) + (4 - 6 * t2 + 3 * t3) * at(cell) +
          (1 + 3 * t + 3 * t2 - 3 * t3) * at(cell + 1) + t3 * at(cell + 2)) /
         6;
}

}  // namespace cusp::sim
