// The little arithmetic that a benchmark needs. Threads: pure functions.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "core/check.h"

namespace cusp::bench {

// The value that a share of the values does not exceed, between neighbours in proportion (method 7
// of R. Hyndman and Y. Fan, "Sample quantiles in statistical packages", The American Statistician
// 50(4), 1996, doi:10.1080/00031305.1996.10473566).
inline double quantile(std::vector<double> values, double share) {
  CUSP_CHECK(!values.empty() && share >= 0 && share <= 1, "a quantile of something, in 0..1");
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(place));
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}

inline double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

inline double mean(const std::vector<double>& values) {
  CUSP_CHECK(!values.empty(), "a mean of something");
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// About the mean, of a sample: 0 for a single value.
inline double standard_deviation(const std::vector<double>& values) {
  const double middle = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - middle) * (value - middle);
  return values.size() < 2 ? 0 : std::sqrt(squares / static_cast<double>(values.size() - 1));
}

// Median of the last eighth of the values over the median of the first eighth: 1 is flat.
inline double last_over_first_eighth(const std::vector<double>& values) {
  CUSP_CHECK(values.size() >= 8, "eight values have eighths");
  const auto eighth = static_cast<std::ptrdiff_t>(values.size() / 8);
  return median({values.end() - eighth, values.end()}) /
         median({values.begin(), values.begin() + eighth});
}

}  // namespace cusp::bench
