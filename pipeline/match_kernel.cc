#include "pipeline/match_kernel.h"

#include <cstdint>
#include <cstring>

namespace cusp {
namespace {

#define CUSP_INLINE [[gnu::always_inline]] inline

constexpr std::size_t kLanes = 8;
// Without AVX2 the compiler makes two of four of them.
using Floats [[gnu::vector_size(32)]] = float;
using Ints [[gnu::vector_size(32)]] = std::int32_t;

CUSP_INLINE Floats load(const float* from) {
  Floats lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

// Eight pixels of the view, a quantity each.
struct Met {
  Floats x, y, z, seen, nx, ny, nz;
};

CUSP_INLINE Met look_up(const ModelPoint* points, const Ints& index) {
  Floats row[kLanes];
  for (std::size_t k = 0; k < kLanes; ++k)
    std::memcpy(&row[k], points + index[static_cast<int>(k)], sizeof row[k]);
  // A transposition in three rounds: pairs, fours, halves.
  Floats pair[kLanes];
  for (std::size_t k = 0; k < kLanes; k += 2) {
    pair[k] = __builtin_shufflevector(row[k], row[k + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    pair[k + 1] = __builtin_shufflevector(row[k], row[k + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  Floats four[kLanes];
  for (std::size_t k = 0; k < kLanes; k += 4) {
    for (std::size_t j = 0; j < 2; ++j) {
      four[k + 2 * j] =
          __builtin_shufflevector(pair[k + j], pair[k + 2 + j], 0, 1, 8, 9, 4, 5, 12, 13);
      four[k + 2 * j + 1] =
          __builtin_shufflevector(pair[k + j], pair[k + 2 + j], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  const auto low = [&](std::size_t k) __attribute__((always_inline)) {
    return __builtin_shufflevector(four[k], four[k + 4], 0, 1, 2, 3, 8, 9, 10, 11);
  };
  const auto high = [&](std::size_t k) __attribute__((always_inline)) {
    return __builtin_shufflevector(four[k], four[k + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  };
  return {low(0), low(1), low(2), low(3), high(0), high(1), high(2)};
}

CUSP_INLINE bool any(const Ints& lanes) {
  std::int64_t halves[4];
  std::memcpy(halves, &lanes, sizeof halves);
  return (halves[0] | halves[1] | halves[2] | halves[3]) != 0;
}

CUSP_INLINE double sum_of(const Floats& lanes) {
  double sum = 0;
  for (std::size_t k = 0; k < kLanes; ++k) sum += static_cast<double>(lanes[static_cast<int>(k)]);
  return sum;
}

CUSP_INLINE MatchSums sum_rows(const MatchInput& in, std::size_t first, std::size_t last) {
  const Floats zero = {};
  const Floats one = zero + 1.0F;
  Floats matrix[21] = {};
  Floats right[6] = {};
  Floats squares = zero, weights = zero, inliers = zero, met_count = zero;
  const auto width = static_cast<float>(in.width);
  const auto height = static_cast<float>(in.height);
  const auto& r = in.rotation;
  const float search2 = in.search_mm * in.search_mm;
  const float per_kernel = 1.0F / in.kernel_mm;
  // Half a pixel more: truncation then finds the nearest one.
  const float cx = in.cx_px + 0.5F, cy = in.cy_px + 0.5F;

  for (std::size_t row = first; row < last; ++row) {
    const float ray_y = in.ray_y[row];
    for (std::size_t column = 0; column < in.stride; column += kLanes) {
      const std::size_t at = row * in.stride + column;
      const Floats sample_weight = load(in.weight + at);
      const Ints measured = sample_weight > zero;
      if (!any(measured)) continue;
      const Floats sz = load(in.z_mm + at);
      const Floats sx = load(in.ray_x + column) * sz;
      const Floats sy = ray_y * sz;
      const Floats x = r[0] * sx + r[1] * sy + r[2] * sz + in.shift_mm[0];
      const Floats y = r[3] * sx + r[4] * sy + r[5] * sz + in.shift_mm[1];
      const Floats z = r[6] * sx + r[7] * sy + r[8] * sz + in.shift_mm[2];
      const Floats per_z = one / (z > zero ? z : one);
      const Floats u = x * per_z * in.fx_px + cx;
      const Floats v = y * per_z * in.fy_px + cy;
      const Ints inside =
          measured & (z > zero) & (u >= zero) & (v >= zero) & (u < width) & (v < height);
      if (!any(inside)) continue;
      const Ints index = __builtin_convertvector(inside ? v : zero, Ints) * in.width +
                         __builtin_convertvector(inside ? u : zero, Ints);
      const Met m = look_up(in.points, index);
      const Ints met = inside & (m.seen > zero);
      met_count += met ? one : zero;

      const Floats ax = m.x - x, ay = m.y - y, az = m.z - z;
      const Floats snx = load(in.nx + at), sny = load(in.ny + at), snz = load(in.nz + at);
      const Floats cosine = m.nx * (r[0] * snx + r[1] * sny + r[2] * snz) +
                            m.ny * (r[3] * snx + r[4] * sny + r[5] * snz) +
                            m.nz * (r[6] * snx + r[7] * sny + r[8] * snz);
      const Ints matched =
          met & (ax * ax + ay * ay + az * az <= search2) & (cosine >= in.min_normal_cos);
      if (!any(matched)) continue;
      inliers += matched ? one : zero;
      const Floats distance = m.nx * ax + m.ny * ay + m.nz * az;
      squares += matched ? distance * distance : zero;
      // Geman and McClure.
      const Floats ratio = distance * per_kernel;
      const Floats root = one / (one + ratio * ratio);
      const Floats weight = matched ? sample_weight * (root * root) : zero;
      weights += weight;

      const Floats px = (x - in.middle_mm[0]) * in.per_radius;
      const Floats py = (y - in.middle_mm[1]) * in.per_radius;
      const Floats pz = (z - in.middle_mm[2]) * in.per_radius;
      const Floats motion[6] = {
          py * m.nz - pz * m.ny, pz * m.nx - px * m.nz, px * m.ny - py * m.nx, m.nx, m.ny, m.nz};
      std::size_t entry = 0;
      for (int k = 0; k < 6; ++k) {
        const Floats weighted = weight * motion[k];
        for (int i = k; i < 6; ++i) matrix[entry++] += weighted * motion[i];
        right[k] += weighted * distance;
      }
    }
  }

  MatchSums sums;
  for (std::size_t k = 0; k < 21; ++k) sums.matrix[k] = sum_of(matrix[k]);
  for (std::size_t k = 0; k < 6; ++k) sums.right[k] = sum_of(right[k]);
  sums.squares = sum_of(squares);
  sums.weights = sum_of(weights);
  sums.inliers = sum_of(inliers);
  sums.met = sum_of(met_count);
  return sums;
}

#undef CUSP_INLINE

MatchSums match_rows_anywhere(const MatchInput& input, std::size_t first, std::size_t last) {
  return sum_rows(input, first, last);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] MatchSums match_rows_avx2(const MatchInput& input, std::size_t first,
                                                  std::size_t last) {
  return sum_rows(input, first, last);
}
#endif

}  // namespace

MatchRows baseline_match_rows() { return match_rows_anywhere; }

MatchRows match_rows() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return match_rows_avx2;
#endif
  return match_rows_anywhere;
}

}  // namespace cusp
