#include "pipeline/fuse_kernel.h"

#include <bit>
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

constexpr int kBlockRows = kBlockSide * kBlockSide;
constexpr float kNoGap = std::numeric_limits<float>::lowest();

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

// Eight points, of a row of voxels or the corners of a block.
struct Points {
  F8 x, y, z;
};

class BlockPoints {
 public:
  CUSP_INLINE BlockPoints(const FuseFrame& frame, const std::array<float, 3>& first)
      : frame_(frame), first_(first) {
    constexpr F8 kLane = {0, 1, 2, 3, 4, 5, 6, 7};
    for (std::size_t k = 0; k < 3; ++k) along_[k] = kLane * frame.step_x[k];
  }
  CUSP_INLINE Points row(int number) const {
    const auto y = static_cast<float>(number & 7);
    const auto z = static_cast<float>(number >> 3);
    const auto start = [&](std::size_t k) __attribute__((always_inline)) {
      return first_[k] + y * frame_.step_y[k] + z * frame_.step_z[k];
    };
    return {.x = along_[0] + start(0), .y = along_[1] + start(1), .z = along_[2] + start(2)};
  }
  CUSP_INLINE Points corners() const {
    constexpr F8 kX = {0, 7, 0, 7, 0, 7, 0, 7};
    constexpr F8 kY = {0, 0, 7, 7, 0, 0, 7, 7};
    constexpr F8 kZ = {0, 0, 0, 0, 7, 7, 7, 7};
    const auto at = [&](std::size_t k) __attribute__((always_inline)) {
      return kX * frame_.step_x[k] + kY * frame_.step_y[k] + kZ * frame_.step_z[k] + first_[k];
    };
    return {.x = at(0), .y = at(1), .z = at(2)};
  }

 private:
  const FuseFrame& frame_;
  const std::array<float, 3>& first_;
  F8 along_[3];
};

struct Pixels {
  F8 u, v;
  // In the picture and `margin` away from its sides, in front of the sensor.
  CUSP_INLINE I8 inside(const FuseFrame& f, const Points& points, float margin) const {
    return (points.z > 0) & (u >= margin) & (v >= margin) &
           (u < static_cast<float>(f.width_px) - margin) &
           (v < static_cast<float>(f.height_px) - margin);
  }
};
CUSP_INLINE Pixels project(const FuseFrame& f, const Points& points) {
  const F8 per_z = 1.0F / points.z;
  return {.u = points.x * per_z * f.fx_px + f.cx_px, .v = points.y * per_z * f.fy_px + f.cy_px};
}

// The rows of a block against the pixels that see them.
struct SeenRows {
  std::int32_t plane[8 * kBlockRows];  // of a voxel's pixel: where it begins in FuseFrame::planes
  I8 in_view[kBlockRows];
  F8 gap[kBlockRows];      // to that plane, positive in front of it; kNoGap where there is none
  std::uint64_t used = 0;  // bit i: row i has voxels that may change
};

struct Planes {
  F8 x, y, z, d;
};

// Eight planes from eight places, turned from one a pixel into one array a quantity: no slower
// than a gather on any processor, and faster on most.
CUSP_INLINE Planes gather_planes(const float* planes, const std::int32_t* at) {
  const auto both = [&](int low, int high) __attribute__((always_inline)) {
    const F4 a = load<F4>(planes + at[low]);
    const F4 b = load<F4>(planes + at[high]);
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

// One weight a pixel where a plane has four values.
CUSP_INLINE F8 gather_weights(const float* weights, const std::int32_t* at) {
  const auto weight = [&](int k) __attribute__((always_inline)) { return weights[at[k] >> 2]; };
  return F8{weight(0), weight(1), weight(2), weight(3), weight(4), weight(5), weight(6), weight(7)};
}

template <bool kAllInView>
CUSP_INLINE void see_rows(const FuseFrame& f, const BlockPoints& points,
                          const std::uint16_t* weight, SeenRows& seen) {
  for (int row = 0; row < kBlockRows; ++row) {
    const Points p = points.row(row);
    Pixels pixel = project(f, p);
    if constexpr (!kAllInView) {
      const I8 in_view = pixel.inside(f, p, 0);
      seen.in_view[row] = in_view;
      pixel.u = in_view ? pixel.u : F8{};
      pixel.v = in_view ? pixel.v : F8{};
    }
    const I8 column = __builtin_convertvector(pixel.u, I8);
    const I8 line = __builtin_convertvector(pixel.v, I8);
    store((line * f.width_px + column) * 4, seen.plane + 8 * row);
  }
  // Its own loop: places that were stored cost less to fetch than to take out of a register.
  for (int row = 0; row < kBlockRows; ++row) {
    const Points p = points.row(row);
    const Planes plane = gather_planes(f.planes, seen.plane + 8 * row);
    const F8 gap = plane.x * p.x + plane.y * p.y + plane.z * p.z - plane.d;
    I8 near = (plane.d != 0) & (gap >= -f.truncation_mm);
    if constexpr (!kAllInView) near &= seen.in_view[row];
    const I8 held = __builtin_convertvector(load<S8>(weight + 8 * row) != 0, I8);
    seen.gap[row] = near ? gap : all(kNoGap);
    seen.used |= static_cast<std::uint64_t>(any(near & (held | (gap <= f.truncation_mm)))) << row;
  }
}

// All rows are seen first, without a branch; then those that have something to take are updated:
// which they are, no processor foresees.
CUSP_INLINE FusedBlock fuse_block(const FuseFrame& f, const std::array<float, 3>& first,
                                  std::int16_t* distance, std::uint16_t* weight) {
  const BlockPoints points(f, first);
  const Points corners = points.corners();
  // A pixel more than exact: voxels round otherwise than corners.
  const bool all_in_view = !any(~project(f, corners).inside(f, corners, 1));
  SeenRows seen;
  if (all_in_view)
    see_rows<true>(f, points, weight, seen);
  else
    see_rows<false>(f, points, weight, seen);

  const float band = f.truncation_mm;
  const float full = kWeightSteps * f.stands_for;
  FusedBlock result;
  F8 moved = {};
  I8 any_used = {}, any_in_band = {};
  for (std::uint64_t left = seen.used; left != 0; left &= left - 1) {
    const int row = std::countr_zero(left);
    std::int16_t* const distances = distance + 8 * row;
    std::uint16_t* const weights = weight + 8 * row;
    const F8 gap = seen.gap[row];
    const F8 old_weight = __builtin_convertvector(load<U8>(weights), F8);
    const I8 near = gap >= -band;
    const I8 in_band = near & (gap <= band);
    const F8 pixel_weight = gather_weights(f.weights, seen.plane + 8 * row);
    const I8 used = (in_band | (near & (old_weight > 0))) & (pixel_weight > 0) &
                    (pixel_weight <= kMaxVoxelWeight);
    const F8 share = in_band ? all(full) : all(kFreeSpaceShare * full);
    const F8 steps = rounded(pixel_weight * share);
    const F8 added = steps >= 1 ? steps : all(1);
    const F8 sum = old_weight + added;
    const F8 old_distance = __builtin_convertvector(load<S8>(distances), F8);
    const F8 measured = in_band ? gap * f.distance_steps_a_mm : all(kDistanceSteps);
    const F8 mean = old_distance + (measured - old_distance) * (added / sum);
    const F8 most = all(kMaxVoxelWeight * kWeightSteps);
    const F8 new_weight = sum < most ? sum : most;
    const F8 new_distance = rounded(used ? mean : old_distance);
    store(__builtin_convertvector(__builtin_convertvector(new_distance, I8), S8), distances);
    store(__builtin_convertvector(__builtin_convertvector(used ? new_weight : old_weight, I8), U8),
          weights);
    const F8 step = new_distance - old_distance;
    const F8 way = old_weight > 0 ? (step > 0 ? step : -step) : all(kFirstSeen);
    const I8 shapes = used & (new_distance < f.near_steps) & (new_distance > -f.near_steps);
    moved = shapes & (way > moved) ? way : moved;
    any_used |= used;
    any_in_band |= used & in_band;
  }
  result.changed = any(any_used);
  result.seen = any(any_in_band);
  if (!result.changed) return result;

  constexpr auto kMost = std::numeric_limits<std::int16_t>::max();
  constexpr auto kLeast = std::numeric_limits<std::int16_t>::min();
  S8 lowest = S8{} + kMost;
  S8 highest = S8{} + kLeast;
  const auto near_steps = static_cast<std::int16_t>(f.near_steps < kMost ? f.near_steps : kMost);
  constexpr U8 kNoWeight = U8{} + std::numeric_limits<std::uint16_t>::max();
  U8 least = kNoWeight;
  for (int row = 0; row < kBlockRows; ++row) {
    const S8 value = load<S8>(distance + 8 * row);
    const U8 weights = load<U8>(weight + 8 * row);
    const S8 held = weights != 0;
    const S8 low = held ? value : S8{} + kMost;
    const S8 high = held ? value : S8{} + kLeast;
    lowest = low < lowest ? low : lowest;
    highest = high > highest ? high : highest;
    const S8 at_surface =
        held & (value < near_steps) & (value > static_cast<std::int16_t>(-near_steps));
    const U8 known = at_surface ? weights : kNoWeight;
    least = known < least ? known : least;
  }
  result.lowest = kMost;
  result.highest = kLeast;
  result.least_weight = std::numeric_limits<std::uint16_t>::max();
  float farthest = 0;
  for (int i = 0; i < 8; ++i) {
    farthest = moved[i] > farthest ? moved[i] : farthest;
    result.lowest = lowest[i] < result.lowest ? lowest[i] : result.lowest;
    result.highest = highest[i] > result.highest ? highest[i] : result.highest;
    result.least_weight = least[i] < result.least_weight ? least[i] : result.least_weight;
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
