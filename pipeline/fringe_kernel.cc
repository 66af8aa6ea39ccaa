#include "pipeline/fringe_kernel.h"

#include <algorithm>
#include <cmath>

namespace cusp {
namespace {

// As many pixels as stay in the first-level cache with all that is known of them.
constexpr std::size_t kLanes = 128;
constexpr float kHalfTurn = 3.14159265358979F;
// The projector's lens bends a column by a pixel or so: three rounds settle far below its noise.
constexpr int kLensRounds = 3;
// A cue's noise must not push what lies at the end of the range out of it.
constexpr float kCueSlack = 0.05F;  // fringes

#define CUSP_INLINE [[gnu::always_inline]] inline

// Without the function calls that baseline x86-64 makes of std::floor and std::ceil.
CUSP_INLINE float round_down(float v) {
  const auto cut = static_cast<float>(static_cast<std::int32_t>(v));
  return cut - (cut > v ? 1.0F : 0.0F);
}
CUSP_INLINE float round_up(float v) { return -round_down(-v); }

// atan2 in turns, -0.5 .. 0.5, within 3e-8 turns: Chebyshev interpolation of atan(q) / q in q^2,
// and symmetry.
CUSP_INLINE float turns(float sine, float cosine) {
  const float x = std::abs(cosine);
  const float y = std::abs(sine);
  const float high = x > y ? x : y;
  const float low = x > y ? y : x;
  const float q = low / (high > 0 ? high : 1.0F);
  const float t = q * q;
  float p = -0.00455979211255908F;
  p = p * t + 0.023780519142746925F;
  p = p * t - 0.05882975459098816F;
  p = p * t + 0.09868865460157394F;
  p = p * t - 0.14003290235996246F;
  p = p * t + 0.19966961443424225F;
  p = p * t - 0.3333181142807007F;
  p = p * t + 0.9999998807907104F;
  float angle = p * q;
  angle = y > x ? 0.5F * kHalfTurn - angle : angle;
  angle = cosine < 0 ? kHalfTurn - angle : angle;
  return (sine < 0 ? -angle : angle) * (0.5F / kHalfTurn);
}

struct Lanes {
  float column[kLanes];
  float cosine[kLanes], sine[kLanes], sum[kLanes], brightest[kLanes];
  float strength[kLanes];  // modulation squared of the pitch that was last
  float brightness[kLanes];
  float good[kLanes];  // 1 or 0: a number as all the others, so that loops become vector code
};

CUSP_INLINE void add_pictures(const FringePitch& pitch, const std::uint8_t* const* pictures,
                              std::size_t begin, std::size_t n, Lanes& l) {
  for (std::size_t i = 0; i < n; ++i) l.cosine[i] = l.sine[i] = l.sum[i] = l.brightest[i] = 0;
  for (std::size_t k = 0; k < pitch.pictures.size(); ++k) {
    const std::uint8_t* const row = pictures[pitch.pictures[k]] + begin;
    const float cosine = pitch.cosine[k];
    const float sine = pitch.sine[k];
    for (std::size_t i = 0; i < n; ++i) {
      const auto value = static_cast<float>(row[i]);
      l.cosine[i] += cosine * value;
      l.sine[i] += sine * value;
      l.sum[i] += value;
      l.brightest[i] = l.brightest[i] > value ? l.brightest[i] : value;
    }
  }
}

CUSP_INLINE float one_if(bool holds) { return holds ? 1.0F : 0.0F; }

// The projector's column by this pitch; `coarser`: a coarser pitch has said about where.
template <bool coarser>
CUSP_INLINE void find_columns(const FringePitch& pitch, float slack, const FringeGeometry& g,
                              const float* column_min, const float* column_max, std::size_t n,
                              Lanes& l) {
  const float pitch_px = pitch.pitch_px;
  const float per_pitch = 1.0F / pitch_px;
  const float least = g.min_modulation * g.min_modulation;
  const float saturated_from = g.saturated_from;
  const float per_picture = 1.0F / static_cast<float>(pitch.pictures.size());
  for (std::size_t i = 0; i < n; ++i) {
    const float strength = l.cosine[i] * l.cosine[i] + l.sine[i] * l.sine[i];
    const float part = turns(l.sine[i], l.cosine[i]);
    const float first = round_up(column_min[i] * per_pitch - slack - part);
    const float last = round_down(column_max[i] * per_pitch + slack - part);
    const float order = coarser ? round_down(l.column[i] * per_pitch - part + 0.5F) : first;
    const float told =
        coarser ? one_if(order >= first) * one_if(order <= last) : one_if(first == last);
    l.good[i] *= told * one_if(strength >= least) * one_if(l.brightest[i] < saturated_from);
    l.column[i] = (order + part) * pitch_px;
    l.strength[i] = strength;
    l.brightness[i] = l.sum[i] * per_picture;
  }
}

// Where rays meet the projector's columns.
CUSP_INLINE void triangulate(const FringePitch& finest, const FringeGeometry& g, const float* a,
                             const float* b, const float* c, std::size_t n, const Lanes& l,
                             float* depth_mm, float* sigma_mm) {
  const float tx = g.tx, ty = g.ty, tz = g.tz;
  const float per_fx = 1.0F / g.fx_px;
  const float cx_px = g.cx_px;
  float slope[kLanes];  // of the projector's ray, without its lens
  float z[kLanes];
  for (std::size_t i = 0; i < n; ++i) {
    slope[i] = (l.column[i] - cx_px) * per_fx;
    z[i] = (tx - slope[i] * tz) / (slope[i] * c[i] - a[i]);
  }
  if (g.bends) {
    const auto k1 = static_cast<float>(g.lens.k1);
    const auto k2 = static_cast<float>(g.lens.k2);
    const auto k3 = static_cast<float>(g.lens.k3);
    const auto p1 = static_cast<float>(g.lens.p1);
    const auto p2 = static_cast<float>(g.lens.p2);
    for (int round = 0; round < kLensRounds; ++round)
      for (std::size_t i = 0; i < n; ++i) {
        const float x = slope[i];
        const float y = (b[i] * z[i] + ty) / (c[i] * z[i] + tz);
        const float r2 = x * x + y * y;
        const float radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3));
        const float bent = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x);
        slope[i] = x + (l.column[i] - cx_px) * per_fx - bent;
        z[i] = (tx - slope[i] * tz) / (slope[i] * c[i] - a[i]);
      }
  }
  const float column_noise = finest.phase_noise * finest.pitch_px / (2 * kHalfTurn) * per_fx;
  const float read_variance = g.read_noise * g.read_noise;
  const float shot_noise = g.shot_noise;
  const float min_depth_mm = g.min_depth_mm, max_depth_mm = g.max_depth_mm;
  for (std::size_t i = 0; i < n; ++i) {
    const float noise = std::sqrt((read_variance + shot_noise * l.brightness[i]) / l.strength[i]);
    const float per_slope = (tz + z[i] * c[i]) / (slope[i] * c[i] - a[i]);  // of z
    const float good = l.good[i] * one_if(z[i] >= min_depth_mm) * one_if(z[i] <= max_depth_mm);
    depth_mm[i] = good > 0 ? z[i] : 0.0F;
    sigma_mm[i] = good > 0 ? std::abs(per_slope) * column_noise * noise : 0.0F;
  }
}

CUSP_INLINE void decode_row(const std::vector<FringePitch>& pitches,
                            const std::uint8_t* const* pictures, const FringeRays& rays,
                            std::size_t first, std::size_t width, const FringeGeometry& geometry,
                            float* depth_mm, float* sigma_mm) {
  Lanes lanes;
  for (std::size_t begin = 0; begin < width; begin += kLanes) {
    const std::size_t n = std::min(kLanes, width - begin);
    const std::size_t at = first + begin;
    for (std::size_t i = 0; i < n; ++i) {
      lanes.good[i] = 1;
      lanes.column[i] = 0;
    }
    for (std::size_t k = 0; k < pitches.size(); ++k) {
      const float slack = k + 1 < pitches.size() ? kCueSlack : 0.0F;
      add_pictures(pitches[k], pictures, begin, n, lanes);
      const float* const least = rays.column_min.data() + at;
      const float* const most = rays.column_max.data() + at;
      if (k == 0)
        find_columns<false>(pitches[k], slack, geometry, least, most, n, lanes);
      else
        find_columns<true>(pitches[k], slack, geometry, least, most, n, lanes);
    }
    triangulate(pitches.back(), geometry, rays.a.data() + at, rays.b.data() + at,
                rays.c.data() + at, n, lanes, depth_mm + begin, sigma_mm + begin);
  }
}

#undef CUSP_INLINE

void decode_row_anywhere(const std::vector<FringePitch>& pitches,
                         const std::uint8_t* const* pictures, const FringeRays& rays,
                         std::size_t first, std::size_t width, const FringeGeometry& geometry,
                         float* depth_mm, float* sigma_mm) {
  decode_row(pitches, pictures, rays, first, width, geometry, depth_mm, sigma_mm);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void decode_row_avx2(const std::vector<FringePitch>& pitches,
                                             const std::uint8_t* const* pictures,
                                             const FringeRays& rays, std::size_t first,
                                             std::size_t width, const FringeGeometry& geometry,
                                             float* depth_mm, float* sigma_mm) {
  decode_row(pitches, pictures, rays, first, width, geometry, depth_mm, sigma_mm);
}
#endif

}  // namespace

FringeRowDecoder baseline_fringe_row_decoder() { return decode_row_anywhere; }

FringeRowDecoder fringe_row_decoder() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return decode_row_avx2;
#endif
  return decode_row_anywhere;
}

}  // namespace cusp
