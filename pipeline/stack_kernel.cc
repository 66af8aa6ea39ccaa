#include "pipeline/stack_kernel.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace cusp {
namespace {

#define CUSP_INLINE [[gnu::always_inline]] inline

// Standard deviations of the difference of two measurements of one surface.
constexpr float kGateSigmas = 3.5F;
// Between the four pixels round a place a surface may fall away by this many pixel widths.
constexpr float kJumpSlope = 5.5F;

constexpr int kLanes = 8;
// Without AVX2 the compiler makes two of four of them.
using Floats [[gnu::vector_size(32)]] = float;
using Ints [[gnu::vector_size(32)]] = std::int32_t;

CUSP_INLINE Floats load(const float* from, int count) {
  Floats lanes = {};
  if (count == kLanes)
    std::memcpy(&lanes, from, sizeof lanes);
  else
    for (int k = 0; k < count; ++k) lanes[k] = from[k];
  return lanes;
}
CUSP_INLINE void store(const Floats& lanes, float* to, int count) {
  if (count == kLanes)
    std::memcpy(to, &lanes, sizeof lanes);
  else
    for (int k = 0; k < count; ++k) to[k] = lanes[k];
}
CUSP_INLINE Floats lesser(const Floats& a, const Floats& b) { return a < b ? a : b; }
CUSP_INLINE Floats greater(const Floats& a, const Floats& b) { return a > b ? a : b; }
CUSP_INLINE bool any(const Ints& lanes) {
  std::int64_t halves[4];
  std::memcpy(halves, &lanes, sizeof halves);
  return (halves[0] | halves[1] | halves[2] | halves[3]) != 0;
}

struct Vectors {
  Floats x, y, z;
};
CUSP_INLINE Vectors moved(const StackLayer& layer, const Vectors& p) {
  const auto& r = layer.turn;
  return {.x = r[0] * p.x + r[1] * p.y + r[2] * p.z + layer.shift_mm[0],
          .y = r[3] * p.x + r[4] * p.y + r[5] * p.z + layer.shift_mm[1],
          .z = r[6] * p.x + r[7] * p.y + r[8] * p.z + layer.shift_mm[2]};
}

CUSP_INLINE Floats variance_at(const StackGeometry& g, const Floats& z) {
  const Floats squared = z * z;
  return g.matching_variance * (squared * squared) + g.quantisation_variance;
}

// The pixel left above each place, and the three next to it.
struct Corners {
  Floats a, b, c, d;
  Floats sigma;
};
CUSP_INLINE Corners look_up(const StackLayer& layer, const Ints& at, int width) {
  alignas(32) float corners[4][kLanes];
  alignas(32) float sigma[kLanes] = {};
  for (int k = 0; k < kLanes; ++k) {
    const float* const first = layer.depth_mm + at[k];
    corners[0][k] = first[0];
    corners[1][k] = first[1];
    corners[2][k] = first[width];
    corners[3][k] = first[width + 1];
    if (layer.sigma_mm != nullptr) sigma[k] = layer.sigma_mm[at[k]];
  }
  return {.a = load(corners[0], kLanes),
          .b = load(corners[1], kLanes),
          .c = load(corners[2], kLanes),
          .d = load(corners[3], kLanes),
          .sigma = load(sigma, kLanes)};
}

CUSP_INLINE void average_row(const StackGeometry& g, std::span<const StackLayer> layers, int y,
                             float* depth_mm, float* sigma_mm) {
  constexpr Floats kLane = {0, 1, 2, 3, 4, 5, 6, 7};
  const float per_fx = 1 / g.fx_px, slope = kJumpSlope / g.fx_px;
  const float ray_y = (static_cast<float>(y) - g.cy_px) / g.fy_px;
  const auto most_u = static_cast<float>(g.width - 1), most_v = static_cast<float>(g.height - 1);
  constexpr Floats kZero = {};
  for (int x = 0; x < g.width; x += kLanes) {
    const int count = std::min(kLanes, g.width - x);
    const Floats z = load(depth_mm + x, count);
    const Floats told = load(sigma_mm + x, count);
    const Floats own = g.has_sigma ? told * told : variance_at(g, z);
    const Ints measured = (z > 0) & (own > 0);
    if (!any(measured)) continue;
    const Floats ray_x = (kLane + static_cast<float>(x) - g.cx_px) * per_fx;
    const Vectors point{.x = ray_x * z, .y = ray_y * z, .z = z};
    Floats weight = 1.0F / own;
    Floats further = {};  // weighted differences
    for (const StackLayer& layer : layers) {
      const Vectors there = moved(layer, point);
      const Floats per_z = 1.0F / there.z;
      const Floats u = there.x * per_z * g.fx_px + g.cx_px;
      const Floats v = there.y * per_z * g.fy_px + g.cy_px;
      const Ints inside =
          measured & (there.z > 0) & (u >= 0) & (v >= 0) & (u < most_u) & (v < most_v);
      if (!any(inside)) continue;
      const Ints column = __builtin_convertvector(inside ? u : kZero, Ints);
      const Ints row = __builtin_convertvector(inside ? v : kZero, Ints);
      const Corners at = look_up(layer, row * g.width + column, g.width);
      const Floats low = lesser(lesser(at.a, at.b), lesser(at.c, at.d));
      const Floats high = greater(greater(at.a, at.b), greater(at.c, at.d));
      const Floats its = layer.sigma_mm != nullptr ? at.sigma * at.sigma : variance_at(g, there.z);
      const Floats gate2 = kGateSigmas * kGateSigmas * (own + its);
      const Floats jump = greater(kZero, high - low - slope * low);
      const Floats right = u - __builtin_convertvector(column, Floats);
      const Floats under = v - __builtin_convertvector(row, Floats);
      const Floats above = at.a + right * (at.b - at.a), below = at.c + right * (at.d - at.c);
      const Floats difference = above + under * (below - above) - there.z;
      // Nothing that is not a number passes: whatever it is, some comparison is false.
      const Ints counts = inside & (at.a > 0) & (at.b > 0) & (at.c > 0) & (at.d > 0) & (its > 0) &
                          (jump * jump <= gate2) & (difference * difference <= gate2);
      const Floats its_weight = 1.0F / its;
      further += counts ? its_weight * difference : kZero;
      weight += counts ? its_weight : kZero;
    }
    alignas(32) float roots[kLanes];
    std::memcpy(roots, &weight, sizeof roots);
    for (float& root : roots) root = std::sqrt(root);
    store(measured ? z + further / weight : z, depth_mm + x, count);
    store(measured ? 1.0F / load(roots, kLanes) : told, sigma_mm + x, count);
  }
}

#undef CUSP_INLINE

void average_row_anywhere(const StackGeometry& geometry, std::span<const StackLayer> layers, int y,
                          float* depth_mm, float* sigma_mm) {
  average_row(geometry, layers, y, depth_mm, sigma_mm);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void average_row_avx2(const StackGeometry& geometry,
                                              std::span<const StackLayer> layers, int y,
                                              float* depth_mm, float* sigma_mm) {
  average_row(geometry, layers, y, depth_mm, sigma_mm);
}
#endif

}  // namespace

StackRow baseline_stack_row() { return average_row_anywhere; }

StackRow stack_row() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return average_row_avx2;
#endif
  return average_row_anywhere;
}

}  // namespace cusp
