#include "pipeline/depth_warp.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/check.h"

namespace cusp {
namespace {

using Values = std::array<double, DepthWarp::kDegree + 1>;

// Legendre polynomials of mean square 1 over -1..1, by Bonnet's recursion.
Values legendre(double s) {
  Values plain{1.0, s};
  for (std::size_t n = 1; n + 1 < plain.size(); ++n) {
    const auto degree = static_cast<double>(n);
    plain[n + 1] = ((2 * degree + 1) * s * plain[n] - degree * plain[n - 1]) / (degree + 1);
  }
  for (std::size_t n = 0; n < plain.size(); ++n)
    plain[n] *= std::sqrt(2 * static_cast<double>(n) + 1);
  return plain;
}

Values along(double at_px, int size_px) { return legendre((2 * at_px + 1) / size_px - 1); }

DepthWarp::Terms products(const Values& x, const Values& y) {
  DepthWarp::Terms terms{};
  std::size_t k = 0;
  for (std::size_t degree = 1; degree <= DepthWarp::kDegree; ++degree)
    for (std::size_t j = 0; j <= degree; ++j) terms[k++] = x[degree - j] * y[j];
  return terms;
}

double dot(const DepthWarp::Terms& a, const DepthWarp::Terms& b) {
  double sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k) sum += a[k] * b[k];
  return sum;
}

}  // namespace

DepthWarp::DepthWarp(int width_px, int height_px, const Terms& coefficients_um)
    : width_px_(width_px), height_px_(height_px), coefficients_um_(coefficients_um) {
  CUSP_CHECK(width_px > 0 && height_px > 0, "a warp belongs to an image");
}

DepthWarp::Terms DepthWarp::terms_at(double x_px, double y_px, int width_px, int height_px) {
  return products(along(x_px, width_px), along(y_px, height_px));
}

double DepthWarp::at(double x_px, double y_px) const {
  if (width_px_ == 0) return 0;
  return 1e-3 * dot(coefficients_um_, terms_at(x_px, y_px, width_px_, height_px_));
}

void DepthWarp::apply(DepthFrame& frame) const {
  if (width_px_ == 0) return;
  CUSP_CHECK(fits(frame.intrinsics), "the warp was estimated for another image");
  // Of a row, y is known: what is left is a sum over the powers of x.
  const auto width = static_cast<std::size_t>(width_px_);
  std::array<std::vector<double>, kDegree + 1> columns;
  for (int x = 0; x < width_px_; ++x) {
    const Values values = along(x, width_px_);
    for (std::size_t i = 0; i < columns.size(); ++i) columns[i].push_back(values[i]);
  }
  std::vector<double> correction_mm(width);
  for (int y = 0; y < height_px_; ++y) {
    const Values row = along(y, height_px_);
    Values factors{};
    std::size_t k = 0;
    for (std::size_t degree = 1; degree <= kDegree; ++degree)
      for (std::size_t j = 0; j <= degree; ++j)
        factors[degree - j] += 1e-3 * coefficients_um_[k++] * row[j];
    correction_mm.assign(width, 0.0);
    for (std::size_t i = 0; i < columns.size(); ++i)
      for (std::size_t x = 0; x < width; ++x) correction_mm[x] += factors[i] * columns[i][x];
    float* const depth_mm = frame.depth_mm.data() + static_cast<std::size_t>(y) * width;
    for (std::size_t x = 0; x < width; ++x)
      depth_mm[x] += depth_mm[x] > 0 ? static_cast<float>(correction_mm[x]) : 0.0F;
  }
}

double DepthWarp::rms_um() const { return std::sqrt(dot(coefficients_um_, coefficients_um_)); }

double DepthWarp::max_um() const {
  // A polynomial of low degree does not turn between the points of such a grid.
  constexpr int kSteps = 32;
  double most = 0;
  for (int j = 0; j <= kSteps; ++j)
    for (int i = 0; i <= kSteps; ++i) {
      const auto terms = products(legendre(2.0 * i / kSteps - 1), legendre(2.0 * j / kSteps - 1));
      most = std::max(most, std::abs(dot(coefficients_um_, terms)));
    }
  return most;
}

}  // namespace cusp
