#include "pipeline/preprocess_kernel.h"

#include <algorithm>
#include <cmath>

namespace cusp {
namespace {

// As many pixels as stay in the first-level cache with all that is known of them.
constexpr std::size_t kLanes = 128;
constexpr int kRadiusPx = 3;  // of the smoothing
static_assert(kRadiusPx <= kImagePadPx);
constexpr float kSpatialWeight[kRadiusPx + 1] = {1.0F, 0.86F, 0.54F, 0.25F};
constexpr float kSmoothSigmas = 4.0F;  // range of the smoothing: this, and ...
constexpr float kSmoothSlope = 2.0F;   // ... this many pixel widths a pixel
// A surface may fall away by this many pixel widths a pixel (75 degrees) before it counts as a
// jump; neighbours may be a diagonal away.
constexpr float kJumpSlope = 3.7F * 1.5F;
constexpr float kJumpSigmas = 4.0F;
constexpr float kMinMeasured = 7;         // of a pixel and its 8 neighbours
constexpr float kMinCosIncidence = 0.2F;  // 78 degrees
constexpr float kLeastWeight = 1.0F / 16, kMostWeight = 4.0F;
constexpr float kFarthestMm = 1e6F;

#define CUSP_INLINE [[gnu::always_inline]] inline

CUSP_INLINE float lesser(float a, float b) { return a < b ? a : b; }
CUSP_INLINE float greater(float a, float b) { return a > b ? a : b; }

// Nothing, for what is no depth.
CUSP_INLINE float depth_or_0(float z) { return z > 0 ? (z < kFarthestMm ? z : 0.0F) : 0.0F; }

// A standard deviation that is none becomes 0, which no pixel survives.
CUSP_INLINE void find_sigma(const PreprocessGeometry& g, const float* z, const float* sigma,
                            std::size_t n, float* found) {
  if (sigma != nullptr) {
    for (std::size_t i = 0; i < n; ++i) found[i] = depth_or_0(sigma[i]);
    return;
  }
  const float matching = g.matching_variance, quantisation = g.quantisation_variance;
  for (std::size_t i = 0; i < n; ++i) {
    const float squared = z[i] * z[i];
    found[i] = std::sqrt(matching * (squared * squared) + quantisation);
  }
}

CUSP_INLINE void without_jumps(const PreprocessGeometry& g, const float* above, const float* row,
                               const float* below, const float* sigma, float* kept) {
  const float slope = kJumpSlope * g.pixel_x_at_1mm;
  float nearest[kLanes + 2], farthest[kLanes + 2], measured[kLanes + 2];
  float sigma_mm[kLanes];
  kept[0] = kept[g.width - 1] = 0;
  for (std::size_t begin = 1; begin + 1 < g.width; begin += kLanes) {
    const std::size_t n = std::min(kLanes, g.width - 1 - begin);
    // Of each column of three; the first is the one before `begin`.
    for (std::size_t i = 0; i < n + 2; ++i) {
      const float a = depth_or_0(above[begin - 1 + i]);
      const float b = depth_or_0(row[begin - 1 + i]);
      const float c = depth_or_0(below[begin - 1 + i]);
      farthest[i] = greater(greater(a, b), c);
      nearest[i] =
          lesser(lesser(a > 0 ? a : kFarthestMm, b > 0 ? b : kFarthestMm), c > 0 ? c : kFarthestMm);
      measured[i] = (a > 0 ? 1.0F : 0.0F) + (b > 0 ? 1.0F : 0.0F) + (c > 0 ? 1.0F : 0.0F);
    }
    find_sigma(g, row + begin, sigma == nullptr ? nullptr : sigma + begin, n, sigma_mm);
    for (std::size_t i = 0; i < n; ++i) {
      const float z = depth_or_0(row[begin + i]);
      const float jump = kJumpSigmas * sigma_mm[i] + slope * z;
      const float far = greater(greater(farthest[i], farthest[i + 1]), farthest[i + 2]);
      const float near = lesser(lesser(nearest[i], nearest[i + 1]), nearest[i + 2]);
      const float count = measured[i] + measured[i + 1] + measured[i + 2];
      float good = far - z > jump ? 0.0F : z;
      good = z - near > jump ? 0.0F : good;
      good = count < kMinMeasured ? 0.0F : good;
      kept[begin + i] = sigma_mm[i] > 0 ? good : 0.0F;
    }
  }
}

CUSP_INLINE void halve(std::size_t width, const float* depth, const float* sigma, float* half_depth,
                       float* half_sigma) {
  const std::size_t below = 2 * width;
  for (std::size_t x = 0; x < width; ++x) {
    const float a = depth[2 * x], b = depth[2 * x + 1];
    const float c = depth[below + 2 * x], d = depth[below + 2 * x + 1];
    const float falling = a * d > 0 ? a + d : 0.0F, rising = b * c > 0 ? b + c : 0.0F;
    const float count = (falling > 0 ? 2.0F : 0.0F) + (rising > 0 ? 2.0F : 0.0F);
    half_depth[x] = (falling + rising) / (count > 0 ? count : 1.0F);
  }
  if (sigma == nullptr) return;
  // Neighbours share most of their noise: that of a pixel stays what may be expected.
  for (std::size_t x = 0; x < width; ++x) {
    const bool is_falling = depth[2 * x] * depth[below + 2 * x + 1] > 0;
    const float a = is_falling ? sigma[2 * x] : sigma[2 * x + 1];
    const float b = is_falling ? sigma[below + 2 * x + 1] : sigma[below + 2 * x];
    half_sigma[x] = 0.5F * (a + b);
  }
}

CUSP_INLINE void smooth(const PreprocessGeometry& g, const float* depth, std::ptrdiff_t step,
                        const float* sigma, float* out) {
  const float slope = kSmoothSlope * g.pixel_x_at_1mm;
  float sigma_mm[kLanes];
  for (std::size_t begin = 0; begin < g.width; begin += kLanes) {
    const std::size_t n = std::min(kLanes, g.width - begin);
    const float* const centre = depth + begin;
    find_sigma(g, centre, sigma == nullptr ? nullptr : sigma + begin, n, sigma_mm);
    for (std::size_t i = 0; i < n; ++i) {
      const float z = centre[i];
      const float noise_mm = kSmoothSigmas * sigma_mm[i];
      const float slope_mm = slope * z;
      float sum = z;
      float weights = 1.0F;
      float open = 1.0F;  // 0 behind the first pair that does not belong
      for (int k = 1; k <= kRadiusPx; ++k) {
        // In pairs only, so that a slope is not pulled to one side. Tukey's biweight.
        const float a = centre[static_cast<std::ptrdiff_t>(i) - k * step];
        const float b = centre[static_cast<std::ptrdiff_t>(i) + k * step];
        const float range = noise_mm + slope_mm * static_cast<float>(k);
        const float limit = range * range;
        const float wa = limit - (a - z) * (a - z);
        const float wb = limit - (b - z) * (b - z);
        const float product = wa * wb / (limit * limit);
        open = wa > 0 ? open : 0.0F;
        open = wb > 0 ? open : 0.0F;
        open = a > 0 ? open : 0.0F;
        open = b > 0 ? open : 0.0F;
        const float w = open > 0 ? kSpatialWeight[k] * product * product : 0.0F;
        sum += w * (a + b);
        weights += 2 * w;
      }
      out[begin + i] = sum / weights;
    }
  }
}

// Slope of depth along one axis: half the difference over `reach` pixels, by the size of a pixel
// there. `known` becomes 0 where too little is measured.
CUSP_INLINE float slope_at(const float* z, std::ptrdiff_t step, float pixel_at_1mm, float& known) {
  const float a2 = z[-2 * step], b2 = z[2 * step];
  const float a1 = z[-step], b1 = z[step];
  const float wide = a2 * b2;
  const float a = wide > 0 ? a2 : a1;
  const float b = wide > 0 ? b2 : b1;
  const float reach = wide > 0 ? 2.0F : 1.0F;
  known = a * b > 0 ? known : 0.0F;
  const float across = reach * pixel_at_1mm * (a + b);
  return (b - a) / (across > 0 ? across : 1.0F);
}

// A surface z(u, v) seen along the rays (rx, ry, 1) has the normal (gx, gy, -(1 + rx gx + ry gy)),
// gx and gy its slopes by pixel widths at 1 mm: normal . ray = -1, whatever the ray.
CUSP_INLINE void planes(const PreprocessGeometry& g, float ray_y, const float* kept,
                        const float* smooth, std::ptrdiff_t row_step, const float* sigma,
                        const PlaneRow& out) {
  float sigma_mm[kLanes], nx[kLanes], ny[kLanes], nz[kLanes], d[kLanes];
  float weight[kLanes], z_mm[kLanes];
  const float usual_sigma_mm = g.usual_sigma_mm;
  for (std::size_t begin = 0; begin < g.width; begin += kLanes) {
    const std::size_t n = std::min(kLanes, g.width - begin);
    const float* const z = smooth + begin;
    const float* const ray_x = g.ray_x + begin;
    find_sigma(g, kept + begin, sigma == nullptr ? nullptr : sigma + begin, n, sigma_mm);
    const float* const measured = kept + begin;
    for (std::size_t i = 0; i < n; ++i) {
      float known = measured[i] > 0 ? 1.0F : 0.0F;
      const float gx = slope_at(z + i, 1, g.pixel_x_at_1mm, known);
      const float gy = slope_at(z + i, row_step, g.pixel_y_at_1mm, known);
      const float along = 1 + ray_x[i] * gx + ray_y * gy;
      const float squared = gx * gx + gy * gy + along * along;
      const float cos2 = 1.0F / (squared * (1 + ray_x[i] * ray_x[i] + ray_y * ray_y));
      // Towards the sensor, and not at a grazing angle.
      known = cos2 > kMinCosIncidence * kMinCosIncidence ? known : 0.0F;
      const float scale = known > 0 ? 1.0F / std::sqrt(squared) : 0.0F;
      nx[i] = gx * scale;
      ny[i] = gy * scale;
      nz[i] = -along * scale;
      d[i] = -measured[i] * scale;
      const float relative = usual_sigma_mm / (known > 0 ? sigma_mm[i] : usual_sigma_mm);
      const float inverse_variance =
          lesser(greater(relative * relative, kLeastWeight), kMostWeight);
      weight[i] = known > 0 ? cos2 * inverse_variance : 0.0F;
      z_mm[i] = known > 0 ? measured[i] : 0.0F;
    }
    std::copy_n(weight, n, out.weights + begin);
    std::copy_n(z_mm, n, out.z_mm + begin);
    float* const planes = out.planes + 4 * begin;
    for (std::size_t i = 0; i < n; ++i) {
      planes[4 * i] = nx[i];
      planes[4 * i + 1] = ny[i];
      planes[4 * i + 2] = nz[i];
      planes[4 * i + 3] = d[i];
    }
  }
}

#undef CUSP_INLINE

void without_jumps_anywhere(const PreprocessGeometry& geometry, const float* above,
                            const float* row, const float* below, const float* sigma, float* kept) {
  without_jumps(geometry, above, row, below, sigma, kept);
}
void halve_anywhere(std::size_t width, const float* depth, const float* sigma, float* half_depth,
                    float* half_sigma) {
  halve(width, depth, sigma, half_depth, half_sigma);
}
void smooth_anywhere(const PreprocessGeometry& geometry, const float* depth, std::ptrdiff_t step,
                     const float* sigma, float* out) {
  smooth(geometry, depth, step, sigma, out);
}
void planes_anywhere(const PreprocessGeometry& geometry, float ray_y, const float* kept,
                     const float* smooth, std::ptrdiff_t row_step, const float* sigma,
                     const PlaneRow& out) {
  planes(geometry, ray_y, kept, smooth, row_step, sigma, out);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void without_jumps_avx2(const PreprocessGeometry& geometry,
                                                const float* above, const float* row,
                                                const float* below, const float* sigma,
                                                float* kept) {
  without_jumps(geometry, above, row, below, sigma, kept);
}
[[gnu::target("avx2")]] void halve_avx2(std::size_t width, const float* depth, const float* sigma,
                                        float* half_depth, float* half_sigma) {
  halve(width, depth, sigma, half_depth, half_sigma);
}
[[gnu::target("avx2")]] void smooth_avx2(const PreprocessGeometry& geometry, const float* depth,
                                         std::ptrdiff_t step, const float* sigma, float* out) {
  smooth(geometry, depth, step, sigma, out);
}
[[gnu::target("avx2")]] void planes_avx2(const PreprocessGeometry& geometry, float ray_y,
                                         const float* kept, const float* smooth,
                                         std::ptrdiff_t row_step, const float* sigma,
                                         const PlaneRow& out) {
  planes(geometry, ray_y, kept, smooth, row_step, sigma, out);
}
#endif

}  // namespace

PreprocessKernel baseline_preprocess_kernel() {
  return {without_jumps_anywhere, halve_anywhere, smooth_anywhere, planes_anywhere};
}

PreprocessKernel preprocess_kernel() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2"))
    return {without_jumps_avx2, halve_avx2, smooth_avx2, planes_avx2};
#endif
  return baseline_preprocess_kernel();
}

}  // namespace cusp
