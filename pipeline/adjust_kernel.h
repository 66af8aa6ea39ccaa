// The arithmetic of Adjustment on one pair of frames: which point of one frame meets which plane of
// the other, and the sum of what they say about the pair's relative pose and the depth warp. Eight
// samples at a time; the same bits on every x86-64 (no contraction, fixed order).
//
// Of a sample p of frame a (in b's frame) and the cell q of frame b that its projection falls into,
// the residual is the symmetric point-to-plane distance
//     r = (p - q) . (n_a + n_b) / |n_a + n_b|
// S. Rusinkiewicz, "A symmetric objective function for ICP", ACM TOG 38(4), 2019,
// doi:10.1145/3306346.3323037: it vanishes for any two points of a surface of constant curvature,
// so the nearest cell does for a correspondence; the distance to q's plane alone would pull convex
// things smaller, pair by pair. Robust weight: S. Geman, D. McClure, 1/(1 + (r/k)^2)^2.
//
// Sensor frames, mm. Threads: a pure function.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "pipeline/depth_warp.h"

namespace cusp {

// A small part of an image: the mean of its pixels' planes.
struct Cell {
  float z_mm = 0;                        // at the cell's middle; 0: nothing
  std::array<std::int16_t, 3> normal{};  // in 1/kNormalUnit
  std::uint16_t weight = 0;              // inverse variance, in 1/kWeightUnit
};
inline constexpr float kNormalUnit = 32767.0F;
inline constexpr float kWeightUnit = 4096.0F;

// Which cells there are, the same for all frames of a device.
struct CellLayout {
  int width = 0, height = 0;
  float fx = 0, fy = 0, cx = 0, cy = 0;  // intrinsics, in cells
  float warp_x = 0, warp_y = 0;          // a cell's step in the warp's coordinates, -1..1 over
  float warp_x0 = 0, warp_y0 = 0;        // the image, and where the first cell is
};

struct PairTask {
  const Cell* a = nullptr;
  const Cell* b = nullptr;
  std::array<float, 9> b_from_a{};  // rotation, row by row
  std::array<float, 3> shift_mm{};
  float middle_mm = 0;  // turns are about (0, 0, middle) of b
  int step = 1;         // every step-th row and column of a, from `first` on
  int first = 0;
  float gate_mm = 0;     // samples farther apart do not meet
  float lateral_mm = 0;  // nor those farther apart along the surface
  float kernel_mm = 0;   // k
};

// One row of the least squares problem: turn and shift of a's points in b's frame, the warp's
// terms (mm a mm), and the residual.
inline constexpr int kPairRow = 6 + DepthWarp::kTerms + 1;
struct PairSums {
  std::array<double, kPairRow*(kPairRow + 1) / 2> products{};  // upper triangle, row by row
  double squares = 0;  // of residuals, weighted but not robustly
  double weight = 0;   // of those samples
  double met = 0;      // how many
};

using PairSummer = void (*)(const CellLayout& layout, const PairTask& task,
                            const std::array<float, DepthWarp::kTerms>& warp_mm, PairSums& sums);
// This processor's, and the one that every processor has.
PairSummer pair_summer();
PairSummer baseline_pair_summer();

}  // namespace cusp
