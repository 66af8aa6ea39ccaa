#include "pipeline/splat_kernel.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

namespace cusp {
namespace {

// Vectors of the compiler: one register where the processor has AVX2, two where it has not.
constexpr int kLanes = 8;
using Floats [[gnu::vector_size(32)]] = float;
using Ints [[gnu::vector_size(32)]] = std::int32_t;
using Shorts [[gnu::vector_size(16)]] = std::int16_t;
using Words [[gnu::vector_size(16)]] = std::uint16_t;

constexpr int kNameBits = kVertexBits + kPatchBits;
constexpr float kAsideSteps = (1 << kAsideBits) - 1;
constexpr float kWidestSquarePx = 32;
static_assert(sizeof(PatchVertex) == 14 && offsetof(PatchVertex, normal) == 6 &&
                  offsetof(PatchVertex, level) == 12,
              "a vertex is taken apart by its words");

#define CUSP_INLINE [[gnu::always_inline]] inline

CUSP_INLINE Floats all(float value) { return Floats{} + value; }
CUSP_INLINE Floats greater(const Floats& a, const Floats& b) { return a > b ? a : b; }

struct Vertices {
  Floats x, y, z;     // steps
  Floats nx, ny, nz;  // 127 a unit
  Ints repeated;      // in another patch too
};

// Eight vertices, 16 bytes from each place, turned from one a row into one a quantity.
CUSP_INLINE Vertices turn(const std::byte* const (&from)[kLanes]) {
  Words row[kLanes];
  for (int k = 0; k < kLanes; ++k) std::memcpy(&row[k], from[k], sizeof row[k]);
  const auto low = [](const Words& a, const Words& b) __attribute__((always_inline)) {
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  };
  const auto high = [](const Words& a, const Words& b) __attribute__((always_inline)) {
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  };
  // Rows 4 apart meet first: three rounds then leave the lanes in order.
  Words once[kLanes], twice[kLanes];
  for (int k = 0; k < 4; ++k) {
    once[2 * k] = low(row[k], row[k + 4]);
    once[2 * k + 1] = high(row[k], row[k + 4]);
  }
  for (int k = 0; k < 4; ++k) {
    twice[2 * k] = low(once[k], once[k + 4]);
    twice[2 * k + 1] = high(once[k], once[k + 4]);
  }
  const Words x = low(twice[0], twice[4]), y = high(twice[0], twice[4]);
  const Words z = low(twice[1], twice[5]), nx_ny = high(twice[1], twice[5]);
  const Words nz_red = low(twice[2], twice[6]), level = low(twice[3], twice[7]);
  const auto lower = [](const Words& both) __attribute__((always_inline)) {
    return __builtin_convertvector(reinterpret_cast<const Shorts&>(both) << 8 >> 8, Floats);
  };
  // On the far border of its block (x, y or z is 8 voxels), where the next one begins.
  const Shorts far = reinterpret_cast<const Shorts&>(x) | reinterpret_cast<const Shorts&>(y) |
                     reinterpret_cast<const Shorts&>(z);
  static_assert(kBlockSide * kPatchSteps == 0x8000);
  const Shorts repeated = (far < 0) & (reinterpret_cast<const Shorts&>(level) << 8 !=
                                       static_cast<std::int16_t>(SurfaceLevel::kRim));
  return {.x = __builtin_convertvector(x, Floats),
          .y = __builtin_convertvector(y, Floats),
          .z = __builtin_convertvector(z, Floats),
          .nx = lower(nx_ny),
          .ny = __builtin_convertvector(reinterpret_cast<const Shorts&>(nx_ny) >> 8, Floats),
          .nz = lower(nz_red),
          .repeated = __builtin_convertvector(repeated, Ints)};
}

struct Vectors {
  Floats x, y, z;
};

CUSP_INLINE Vectors turned(const std::array<float, 9>& r, const Vectors& v) {
  return {.x = r[0] * v.x + r[1] * v.y + r[2] * v.z,
          .y = r[3] * v.x + r[4] * v.y + r[5] * v.z,
          .z = r[6] * v.x + r[7] * v.y + r[8] * v.z};
}

CUSP_INLINE void offer(std::uint64_t& pixel, std::uint64_t key) {
  const std::atomic_ref<std::uint64_t> nearest(pixel);
  std::uint64_t known = nearest.load(std::memory_order_relaxed);
  while (key < known && !nearest.compare_exchange_weak(known, key, std::memory_order_relaxed)) {
  }
}

// Where eight squares lie in the picture. Most cover one pixel: where that is, and how far aside of
// its centre their vertex.
struct Squares {
  alignas(32) float u[kLanes], v[kLanes], per_aside[kLanes];
  alignas(32) std::int32_t left[kLanes], right[kLanes], top[kLanes], bottom[kLanes];
  alignas(32) std::int32_t layer[kLanes], drawn[kLanes];
  alignas(32) std::int32_t is_one[kLanes], pixel[kLanes], aside[kLanes];
};

CUSP_INLINE void project(const SplatView& view, const SplatPatch& patch, const Vertices& vertex,
                         Squares& squares) {
  const Vectors q{.x = vertex.x * view.step_mm + patch.first_mm[0],
                  .y = vertex.y * view.step_mm + patch.first_mm[1],
                  .z = vertex.z * view.step_mm + patch.first_mm[2]};
  const Ints facing = vertex.nx * q.x + vertex.ny * q.y + vertex.nz * q.z < 0;
  const Vectors p = turned(view.rotation, q);
  const Ints ahead = facing & ~vertex.repeated & (p.z > 0) & (p.z < view.max_depth_mm);
  const Floats per_z = 1.0F / (ahead ? p.z : all(1));
  const Floats u = p.x * per_z * view.fx_px + view.cx_px;
  const Floats v = p.y * per_z * view.fy_px + view.cy_px;
  const Floats half_x = greater(per_z * (view.half_mm * view.fx_px), all(0.5F));
  const Floats half_y = greater(per_z * (view.half_mm * view.fy_px), all(0.5F));
  const Floats half = greater(half_x, half_y);
  const Floats width = all(static_cast<float>(view.width));
  const Floats height = all(static_cast<float>(view.height));
  const Ints drawn = ahead & (u + half_x > 0.5F) & (v + half_y > 0.5F) & (u - half_x < width) &
                     (v - half_y < height) & (half <= kWidestSquarePx);
  // Pixels whose centre (x + 0.5 in this count) the square covers.
  const Floats zero = {};
  const Floats last_x = u + half_x + 0.5F, last_y = v + half_y + 0.5F;
  const auto whole = [&](const Floats& value) __attribute__((always_inline)) {
    return __builtin_convertvector(drawn ? value : zero, Ints);
  };
  const Ints left = whole(greater(u - half_x + 0.5F, zero));
  const Ints right = whole(last_x < width ? last_x : width);
  const Ints top = whole(greater(v - half_y + 0.5F, zero));
  const Ints bottom = whole(last_y < height ? last_y : height);
  const Floats per_aside = kAsideSteps / (2 * half * half);
  const Floats dx = u - (__builtin_convertvector(left, Floats) + 0.5F);
  const Floats dy = v - (__builtin_convertvector(top, Floats) + 0.5F);
  const auto store = [](const auto& value, auto* to) __attribute__((always_inline)) {
    std::memcpy(to, &value, sizeof value);
  };
  store(u, squares.u);
  store(v, squares.v);
  store(per_aside, squares.per_aside);
  store(left, squares.left);
  store(right, squares.right);
  store(top, squares.top);
  store(bottom, squares.bottom);
  store(whole(p.z * view.layers_a_mm), squares.layer);
  store(drawn, squares.drawn);
  store((right - left == 1) & (bottom - top == 1), squares.is_one);
  store(top * view.width + left, squares.pixel);
  store(whole((dx * dx + dy * dy) * per_aside), squares.aside);
}

CUSP_INLINE void draw(const SplatView& view, const SplatPatch& patch, std::uint64_t place) {
  const auto* bytes = reinterpret_cast<const std::byte*>(patch.vertices);
  const std::byte* from[kLanes];
  Squares squares;
  const std::uint32_t drawn = (patch.count + patch.every - 1) / patch.every;
  for (std::uint32_t begin = 0; begin < drawn; begin += kLanes) {
    const int count = static_cast<int>(std::min<std::uint32_t>(kLanes, drawn - begin));
    std::uint32_t vertex[kLanes];
    for (int k = 0; k < kLanes; ++k) {
      vertex[k] = patch.every * (begin + static_cast<std::uint32_t>(std::min(k, count - 1)));
      from[k] = bytes + vertex[k] * sizeof(PatchVertex);
    }
    project(view, patch, turn(from), squares);
    for (int k = 0; k < count; ++k) {
      if (squares.drawn[k] == 0) continue;
      const std::uint64_t key = static_cast<std::uint64_t>(squares.layer[k])
                                    << (kNameBits + kAsideBits) |
                                place << kVertexBits | vertex[k];
      if (squares.is_one[k] != 0) {
        offer(view.nearest[squares.pixel[k]], key | static_cast<std::uint64_t>(squares.aside[k])
                                                        << kNameBits);
        continue;
      }
      for (int y = squares.top[k]; y < squares.bottom[k]; ++y) {
        const float dy = squares.v[k] - (static_cast<float>(y) + 0.5F);
        std::uint64_t* const row = view.nearest + static_cast<std::ptrdiff_t>(y) * view.width;
        for (int x = squares.left[k]; x < squares.right[k]; ++x) {
          const float dx = squares.u[k] - (static_cast<float>(x) + 0.5F);
          const auto aside = static_cast<std::uint32_t>(
              static_cast<std::int32_t>((dx * dx + dy * dy) * squares.per_aside[k]));
          offer(row[x], key | std::uint64_t{aside} << kNameBits);
        }
      }
    }
  }
}

CUSP_INLINE std::size_t resolve(const SplatView& view, const SplatPatch* patches, std::size_t y,
                                ModelPoint* points) {
  static constexpr PatchVertex kNone[2] = {{.normal = {0, 0, 127}}, {}};
  const auto width = static_cast<std::size_t>(view.width);
  const std::uint64_t* const keys = view.nearest + y * width;
  std::size_t seen = 0;
  alignas(32) float part[7][kLanes];
  const std::byte* from[kLanes];
  for (std::size_t begin = 0; begin < width; begin += kLanes) {
    const std::size_t count = std::min<std::size_t>(kLanes, width - begin);
    std::size_t found = 0;
    Vectors first{};
    for (std::size_t k = 0; k < kLanes; ++k) {
      const std::uint64_t key = k < count ? keys[begin + k] : kNothingSeen;
      const auto lane = static_cast<int>(k);
      part[3][k] = key == kNothingSeen ? 0.0F : 1.0F;
      if (key == kNothingSeen) {
        from[k] = reinterpret_cast<const std::byte*>(kNone);
        continue;
      }
      const SplatPatch& patch = patches[static_cast<std::uint32_t>(key) >> kVertexBits];
      from[k] =
          reinterpret_cast<const std::byte*>(patch.vertices + (key & ((1U << kVertexBits) - 1)));
      first.x[lane] = patch.first_mm[0];
      first.y[lane] = patch.first_mm[1];
      first.z[lane] = patch.first_mm[2];
      ++found;
    }
    seen += found;
    if (found == 0) {
      std::fill_n(points + begin, count, ModelPoint{});
      continue;
    }
    const Vertices vertex = turn(from);
    const Vectors p = turned(view.rotation, {.x = vertex.x * view.step_mm + first.x,
                                             .y = vertex.y * view.step_mm + first.y,
                                             .z = vertex.z * view.step_mm + first.z});
    const Vectors n = turned(view.rotation, {.x = vertex.nx, .y = vertex.ny, .z = vertex.nz});
    const Floats squared = n.x * n.x + n.y * n.y + n.z * n.z;
    alignas(32) float length[kLanes];
    std::memcpy(length, &squared, sizeof squared);
    for (float& value : length) value = std::sqrt(value);
    Floats per_length;
    std::memcpy(&per_length, length, sizeof per_length);
    per_length = 1.0F / per_length;
    Floats is_seen;
    std::memcpy(&is_seen, part[3], sizeof is_seen);
    const auto store = [&](const Floats& value, int to) __attribute__((always_inline)) {
      const Floats masked = is_seen > 0 ? value : Floats{};
      std::memcpy(part[to], &masked, sizeof masked);
    };
    store(p.x, 0);
    store(p.y, 1);
    store(p.z, 2);
    store(n.x * per_length, 4);
    store(n.y * per_length, 5);
    store(n.z * per_length, 6);
    for (std::size_t k = 0; k < count; ++k)
      points[begin + k] = {.x = part[0][k],
                           .y = part[1][k],
                           .z = part[2][k],
                           .seen = part[3][k],
                           .nx = part[4][k],
                           .ny = part[5][k],
                           .nz = part[6][k]};
  }
  return seen;
}

#undef CUSP_INLINE

void draw_anywhere(const SplatView& view, const SplatPatch& patch, std::uint64_t place) {
  draw(view, patch, place);
}
std::size_t resolve_anywhere(const SplatView& view, const SplatPatch* patches, std::size_t y,
                             ModelPoint* points) {
  return resolve(view, patches, y, points);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void draw_avx2(const SplatView& view, const SplatPatch& patch,
                                       std::uint64_t place) {
  draw(view, patch, place);
}
[[gnu::target("avx2")]] std::size_t resolve_avx2(const SplatView& view, const SplatPatch* patches,
                                                 std::size_t y, ModelPoint* points) {
  return resolve(view, patches, y, points);
}
#endif

}  // namespace

SplatKernel baseline_splat_kernel() { return {draw_anywhere, resolve_anywhere}; }

SplatKernel splat_kernel() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return {draw_avx2, resolve_avx2};
#endif
  return baseline_splat_kernel();
}

}  // namespace cusp
