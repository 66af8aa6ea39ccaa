// The arithmetic of predict_view: patches of the live mesh into a z-buffer, and the z-buffer into
// points; eight vertices or pixels at a time where the processor has AVX2. The same bits on every
// x86-64: only exactly rounded operations, no contraction.
//
// mm, view frame, unless said otherwise. Threads: draw from many threads at once, for the least key
// wins a pixel in whatever order they come; resolve: a pure function of its row.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "pipeline/live_mesh.h"
#include "pipeline/match_kernel.h"

namespace cusp {

// What wins a pixel: the nearest layer of depth, in it the vertex nearest to the pixel's centre.
// The least depth alone would see every bump of the noise and place the whole surface too near. The
// numbers of the patch and of the vertex decide the rest.
inline constexpr int kVertexBits = 12, kPatchBits = 20, kAsideBits = 10;
inline constexpr std::uint64_t kNothingSeen = ~std::uint64_t{0};
static_assert(3 * kBlockVoxels < (1 << kVertexBits), "a voxel has three edges, each with a vertex");

struct SplatPatch {
  const PatchVertex* vertices =
      nullptr;  // triangles lie right behind them: two bytes more can be read
  std::uint32_t count = 0;
  std::uint32_t every = 1;          // of them is drawn: the first, and so on
  std::array<float, 3> first_mm{};  // the block's first voxel from the sensor, model's axes
};

struct SplatView {
  int width = 0, height = 0;
  float fx_px = 0, fy_px = 0;
  float cx_px = 0, cy_px = 0;       // half a pixel more: pixel x is x .. x + 1
  std::array<float, 9> rotation{};  // view_from_model, row by row
  float step_mm = 0;                // of a vertex's position
  float max_depth_mm = 0;
  float half_mm = 0;  // of a square's side
  float layers_a_mm = 0;
  std::uint64_t* nearest = nullptr;  // a key a pixel
};

struct SplatKernel {
  // `place`: the patch's number in keys.
  void (*draw)(const SplatView& view, const SplatPatch& patch, std::uint64_t place);
  // Row y of the points; how many there are.
  std::size_t (*resolve)(const SplatView& view, const SplatPatch* patches, std::size_t y,
                         ModelPoint* points);
};
// This processor's, and the one that every processor has.
SplatKernel splat_kernel();
SplatKernel baseline_splat_kernel();

}  // namespace cusp
