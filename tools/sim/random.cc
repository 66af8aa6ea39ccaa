#include "tools/sim/random.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cusp::sim {
namespace {

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

}  // namespace

const std::array<float, kQuantiles>& normal_quantiles() {
  static const auto table = [] {
    std::array<double, kQuantiles> exact{};
    double square_sum = 0;
    for (int i = 0; i < kQuantiles; ++i) {
      const double share = (i + 0.5) / kQuantiles;
      double low = -6, high = 6;
      for (int step = 0; step < 48; ++step) {
        const double middle = 0.5 * (low + high);
        (normal_cdf(middle) < share ? low : high) = middle;
      }
      exact[static_cast<std::size_t>(i)] = low;
      square_sum += low * low;
    }
    const double scale = std::sqrt(kQuantiles / square_sum);
    std::array<float, kQuantiles> scaled{};
    std::transform(exact.begin(), exact.end(), scaled.begin(),
                   [&](double value) { return static_cast<float>(value * scale); });
    return scaled;
  }();
  return table;
}

}  // namespace cusp::sim
