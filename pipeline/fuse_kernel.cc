#include "pipeline/fuse_kernel.h"

#include <cstring>
#include <limits>

#include "pipeline/volume.h"

namespace cusp {
namespace {

// Vectors of the compiler: one register where the processor has AVX2, two where it has not.
using F4 [[gnu::vector_size(16)]] = float;
using F8 [[gnu::vector_size(32)]] = float;
using I8 [[gnu::vector_size(32)]] = std::int32_t;
using L4 [[gnu::vector_size(32)]] = std::int64_t;
using S8 [[gnu::vector_size(16)]] = std::int16_t;
using U8 [[gnu::vector_size(16)]] = std::uint16_t;

#define CUSP_INLINE [[gnu::always_inline]] inline

CUSP_INLINE F8 all(float value) { return F8{} + value; }
CUSP_INLINE bool any(const I8& mask) {
  const L4 parts = reinterpret_cast<const L4&>(mask);
  return (parts[0] | parts[1] | parts[2] | parts[3]) != 0;
}
// To the nearest whole number, ties to even; for magnitudes below 2^22.
CUSP_INLINE F8 rounded(const F8& value) {
  constexpr float kShift = 12582912.0F;  // 1.5 * 2^23
  return (value + kShift) - kShift;
}
template <typename V, typename T>
CUSP_INLINE V load(const T* from) {
  V value;
  std::memcpy(&value, from, sizeof(V));
  return value;
}
template <typename V, typename T>
CUSP_INLINE void store(const V& value, T* to) {
  std::memcpy(to, &value, sizeof(V));
}

struct Planes {
  F8 x, y, z, d;
};

// Eight planes from eight places, turned from one a pixel into one array a quantity: no slower
// than a gather on any processor, and faster on most.
CUSP_INLINE Planes gather_planes(const float* planes, const I8& pixel) {
  const auto both = [&](int low, int high) {
    const F4 a = load<F4>(planes + 4 * static_cast<std::ptrdiff_t>(pixel[low]));
    const F4 b = load<F4>(planes + 4 * static_cast<std::ptrdiff_t>(pixel[high]));
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7);
  };
  const F8 r0 = both(0, 4);
  const F8 r1 = both(1, 5);
  const F8 r2 = both(2, 6);
  const F8 r3 = both(3, 7);
  const F8 xy01 = __builtin_shufflevector(r0, r1, 0, 8, 1, 9, 4, 12, 5, 13);
  const F8 xy23 = __builtin_shufflevector(r2, r3, 0, 8, 1, 9, 4, 12, 5, 13);
  const F8 zd01 = __builtin_shufflevector(r0, r1, 2, 10, 3, 11, 6, 14, 7, 15);
  const F8 zd23 = __builtin_shufflevector(r2, r3, 2, 10, 3, 11, 6, 14, 7, 15);
  return {.x = __builtin_shufflevector(xy01, xy23, 0, 1, 8, 9, 4, 5, 12, 13),
          .y = __builtin_shufflevector(xy01, xy23, 2, 3, 10, 11, 6, 7, 14, 15),
          .z = __builtin_shufflevector(zd01, zd23, 0, 1, 8, 9, 4, 5, 12, 13),
          .d = __builtin_shufflevector(zd01, zd23, 2, 3, 10, 11, 6, 7, 14, 15)};
}

CUSP_INLINE F8 gather(const float* values, const I8& at) {
  return F8{values[at[0]], values[at[1]], values[at[2]], values[at[3]],
            values[at[4]], values[at[5]], values[at[6]], values[at[7]]};
}

CUSP_INLINE FusedBlock fuse_block(const FuseFrame& f, const std::array<float, 3>& first,
                                  std::int16_t* distance, std::uint16_t* weight) {
  constexpr F8 kLane = {0, 1, 2, 3, 4, 5, 6, 7};
  const F8 along_x = kLane * f.step_x[0];
  const F8 along_y = kLane * f.step_x[1];
  const F8 along_z = kLane * f.step_x[2];
  const auto width = static_cast<float>(f.width_px);
  const auto height = static_cast<float>(f.height_px);
  const float band = f.truncation_mm;
  FusedBlock result;
  F8 moved = {};
  for (int row = 0; row < kBlockSide * kBlockSide; ++row, distance += 8, weight += 8) {
    const auto y = static_cast<float>(row & 7);
    const auto z = static_cast<float>(row >> 3);
    const F8 px = along_x + (first[0] + y * f.step_y[0] + z * f.step_z[0]);
    const F8 py = along_y + (first[1] + y * f.step_y[1] + z * f.step_z[1]);
    const F8 pz = along_z + (first[2] + y * f.step_y[2] + z * f.step_z[2]);
    const F8 per_z = 1.0F / pz;
    const F8 u = px * per_z * f.fx_px + f.cx_px;
    const F8 v = py * per_z * f.fy_px + f.cy_px;
    const I8 in_view = (pz > 0) & (u >= 0) & (v >= 0) & (u < width) & (v < height);
    if (!any(in_view)) continue;
    const I8 column = __builtin_convertvector(in_view ? u : F8{}, I8);
    const I8 line = __builtin_convertvector(in_view ? v : F8{}, I8);
    const I8 pixel = line * f.width_px + column;

    const Planes plane = gather_planes(f.planes, pixel);
    const F8 gap = plane.x * px + plane.y * py + plane.z * pz - plane.d;
    const F8 old_weight = __builtin_convertvector(load<U8>(weight), F8);
    const I8 near = in_view & (plane.d != 0) & (gap >= -band);
    const I8 in_band = near & (gap <= band);
    const I8 maybe = in_band | (near & (old_weight > 0));
    if (!any(maybe)) continue;

    const F8 pixel_weight = gather(f.weights, pixel);
    const I8 used = maybe & (pixel_weight > 0) & (pixel_weight <= kMaxVoxelWeight);
    const F8 share = in_band ? all(kWeightSteps) : all(kFreeSpaceShare * kWeightSteps);
    const F8 steps = rounded(pixel_weight * share);
    const F8 added = steps >= 1 ? steps : all(1);
    const F8 sum = old_weight + added;
    const F8 old_distance = __builtin_convertvector(load<S8>(distance), F8);
    const F8 measured = in_band ? gap * f.distance_steps_a_mm : all(kDistanceSteps);
    const F8 mean = old_distance + (measured - old_distance) * (added / sum);
    const F8 most = all(kMaxVoxelWeight * kWeightSteps);
    const F8 new_weight = sum < most ? sum : most;
    const F8 new_distance = rounded(used ? mean : old_distance);
    store(__builtin_convertvector(__builtin_convertvector(new_distance, I8), S8), distance);
    store(__builtin_convertvector(__builtin_convertvector(used ? new_weight : old_weight, I8), U8),
          weight);
    const F8 step = new_distance - old_distance;
    const F8 way = old_weight > 0 ? (step > 0 ? step : -step) : all(kFirstSeen);
    const I8 shapes = used & (new_distance < f.near_steps) & (new_distance > -f.near_steps);
    moved = shapes & (way > moved) ? way : moved;
    result.changed |= any(used);
    result.seen |= any(used & in_band);
  }
  if (!result.changed) return result;

  constexpr auto kMost = std::numeric_limits<std::int16_t>::max();
  constexpr auto kLeast = std::numeric_limits<std::int16_t>::min();
  S8 lowest = S8{} + kMost;
  S8 highest = S8{} + kLeast;
  for (int row = 0; row < kBlockSide * kBlockSide; ++row) {
    distance -= 8;
    weight -= 8;
    const S8 value = load<S8>(distance);
    const S8 held = load<U8>(weight) != 0;
    const S8 low = held ? value : S8{} + kMost;
    const S8 high = held ? value : S8{} + kLeast;
    lowest = low < lowest ? low : lowest;
    highest = high > highest ? high : highest;
  }
  result.lowest = kMost;
  result.highest = kLeast;
  float farthest = 0;
  for (int i = 0; i < 8; ++i) {
    farthest = moved[i] > farthest ? moved[i] : farthest;
    result.lowest = lowest[i] < result.lowest ? lowest[i] : result.lowest;
    result.highest = highest[i] > result.highest ? highest[i] : result.highest;
  }
  result.moved = static_cast<std::int16_t>(farthest < kFirstSeen ? farthest : kFirstSeen);
  return result;
}

#undef CUSP_INLINE

FusedBlock fuse_block_anywhere(const FuseFrame& frame, const std::array<float, 3>& first,
                               std::int16_t* distance, std::uint16_t* weight) {
  return fuse_block(frame, first, distance, weight);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] FusedBlock fuse_block_avx2(const FuseFrame& frame,
                                                   const std::array<float, 3>& first,
                                                   std::int16_t* distance, std::uint16_t* weight) {
  return fuse_block(frame, first, distance, weight);
}
#endif

}  // namespace

BlockFuser baseline_block_fuser() { return fuse_block_anywhere; }

BlockFuser block_fuser() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return fuse_block_avx2;
#endif
  return fuse_block_anywhere;
}

}  // namespace cusp
