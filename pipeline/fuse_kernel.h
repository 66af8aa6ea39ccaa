// The arithmetic of fuse() on one block, a row of eight voxels at a time; AVX2 where the processor
// has it. The same bits on every x86-64: only exactly rounded operations, no contraction.
//
// A voxel is projected to its nearest pixel and measured against that pixel's plane. Distances
// beyond the band in front of it count as free space: they pull only voxels that hold something,
// with kFreeSpaceShare of the weight. What lies beyond the band behind the surface is unseen.
// New values are rounded to the nearest step. Lengths in mm, sensor frame.
// Threads: a pure function of its block.
#pragma once

#include <array>
#include <cstdint>

namespace cusp {

// Enough to average noise away, few enough to follow what really changed.
inline constexpr float kMaxVoxelWeight = 250.0F;
inline constexpr float kFreeSpaceShare = 0.25F;  // of a pixel's weight

struct FuseFrame {
  const float* planes = nullptr;   // 4 a pixel, as MeasuredSurface::planes
  const float* weights = nullptr;  // 1 a pixel
  int width_px = 0, height_px = 0;
  float fx_px = 0, fy_px = 0;
  float cx_px = 0, cy_px = 0;  // half a pixel more: cutting then finds the nearest pixel
  float truncation_mm = 0;
  float distance_steps_a_mm = 0;
  float near_steps = 0;                               // voxels this close to the surface shape it
  float stands_for = 1;                               // so many frames, in the weight it has
  std::array<float, 3> step_x{}, step_y{}, step_z{};  // from a voxel to the next
};

inline constexpr std::int16_t kFirstSeen = 32767;

struct FusedBlock {
  bool changed = false;
  bool seen = false;  // a pixel's band reached a voxel
  // Steps that a voxel near the surface moved at most; kFirstSeen for one seen for the first time.
  std::int16_t moved = 0;
  std::int16_t lowest = 0;         // of the distances that have a weight
  std::int16_t highest = 0;        // lowest > highest: there are none
  std::uint16_t least_weight = 0;  // of the voxels near the surface; the highest there is: none is
};

// `first`: the block's first voxel in the sensor's frame. distance and weight: 512 each, aligned
// to 16 bytes.
using BlockFuser = FusedBlock (*)(const FuseFrame& frame, const std::array<float, 3>& first,
                                  std::int16_t* distance, std::uint16_t* weight);
// This processor's, and the one that every processor has.
BlockFuser block_fuser();
BlockFuser baseline_block_fuser();

}  // namespace cusp
