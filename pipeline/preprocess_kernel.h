// The arithmetic of preprocess on one row of pixels, eight at a time where the processor has AVX2.
// The same bits on every x86-64: no contraction, only operations that round exactly, no order that
// depends on the width.
//
// Rows of the padded images have zeros on both sides and above and below, so that no pixel is a
// special case. mm; sensor frame. Threads: pure functions of their rows.
#pragma once

#include <cstddef>

namespace cusp {

// Pixels beyond each border of a padded image.
inline constexpr int kImagePadPx = 4;

struct PreprocessGeometry {
  std::size_t width = 0;
  float pixel_x_at_1mm = 0, pixel_y_at_1mm = 0;  // size of a pixel at 1 mm distance
  // Standard deviation of a depth without one of its own: sqrt(matching z^4 + quantisation).
  float matching_variance = 0;  // at 1 mm
  float quantisation_variance = 0;
  float usual_sigma_mm = 0;      // has the weight 1
  const float* ray_x = nullptr;  // a column
};

// Where a row of planes goes.
struct PlaneRow {
  float* planes = nullptr;  // four a pixel
  float* weights = nullptr;
  float* z_mm = nullptr;  // as measured, one a pixel, 0 where there is no plane
};

struct PreprocessKernel {
  // Depth without pixels at jumps, at the rim of what was measured, and without what is no depth.
  // sigma: one a pixel, or nullptr.
  void (*without_jumps)(const PreprocessGeometry& geometry, const float* above, const float* row,
                        const float* below, const float* sigma, float* kept);
  // Two rows of 2 * width pixels, one behind the other, into one of `width`: the mean of each
  // square of four. A diagonal of it counts when both its ends are measured, so that the mean lies
  // in the middle. sigma: of the pixels, or nullptr: then half_sigma is not written.
  void (*halve)(std::size_t width, const float* depth, const float* sigma, float* half_depth,
                float* half_sigma);
  // One pass of the smoothing: along the row (step 1) or across it (step: a row of the image).
  void (*smooth)(const PreprocessGeometry& geometry, const float* depth, std::ptrdiff_t step,
                 const float* sigma, float* smooth);
  // Planes through the kept depth with the normals of the smoothed one.
  void (*planes)(const PreprocessGeometry& geometry, float ray_y, const float* kept,
                 const float* smooth, std::ptrdiff_t row_step, const float* sigma,
                 const PlaneRow& out);
};
// This processor's, and the one that every processor has.
PreprocessKernel preprocess_kernel();
PreprocessKernel baseline_preprocess_kernel();

}  // namespace cusp
