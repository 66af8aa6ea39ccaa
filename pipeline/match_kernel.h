// The arithmetic of track: samples of the measured surface against a view of the model, eight at a
// time where the processor has AVX2. The same bits on every x86-64: every lane is summed for
// itself, the lanes at the end, no contraction.
//
// mm; all points in the frame of the view. Threads: a pure function of its rows.
#pragma once

#include <array>
#include <cstddef>

namespace cusp {

// A pixel of the view: the point of the model that it shows. One load for a processor with AVX2.
struct alignas(32) ModelPoint {
  float x = 0, y = 0, z = 0;     // mm, view frame
  float seen = 0;                // 1, or 0: nothing there
  float nx = 0, ny = 0, nz = 0;  // unit, towards the viewer
  float unused = 0;
};

struct MatchInput {
  // The samples, row by row (SampleGrid).
  std::size_t stride = 0;
  const float *ray_x = nullptr, *ray_y = nullptr;
  const float *z_mm = nullptr, *nx = nullptr, *ny = nullptr, *nz = nullptr, *weight = nullptr;
  // The view.
  const ModelPoint* points = nullptr;
  int width = 0, height = 0;
  float fx_px = 0, fy_px = 0, cx_px = 0, cy_px = 0;
  // Where the sensor is taken to be: view_from_sensor, row by row.
  std::array<float, 9> rotation{};
  std::array<float, 3> shift_mm{};
  std::array<float, 3> middle_mm{};  // of the samples, in the view's frame: they turn about it
  float per_radius = 0;              // 1/mm: makes turns as long as shifts
  float search_mm = 0;               // farther is no match
  float kernel_mm = 0;               // width of the robust kernel
  float min_normal_cos = 0;
};

// Normal equations of the motion (turn * radius, shift), and what they rest on.
struct MatchSums {
  std::array<double, 21> matrix{};  // lower triangle, column by column
  std::array<double, 6> right{};
  double squares = 0;  // of the inliers' distances, mm^2
  double weights = 0;
  double inliers = 0;
  double met = 0;  // samples that saw the model at all

  MatchSums& operator+=(const MatchSums& other) {
    for (std::size_t k = 0; k < matrix.size(); ++k) matrix[k] += other.matrix[k];
    for (std::size_t k = 0; k < right.size(); ++k) right[k] += other.right[k];
    squares += other.squares;
    weights += other.weights;
    inliers += other.inliers;
    met += other.met;
    return *this;
  }
};

// Sums of the rows first .. last - 1. Within these rows they are kept in float: few rows at a time.
using MatchRows = MatchSums (*)(const MatchInput& input, std::size_t first, std::size_t last);
// This processor's, and the one that every processor has.
MatchRows match_rows();
MatchRows baseline_match_rows();

}  // namespace cusp
