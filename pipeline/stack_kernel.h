// The arithmetic of FrameStack on one row of pixels, eight at a time where the processor has AVX2.
// The same bits on every x86-64: no contraction, only operations that round exactly, no order that
// depends on the width.
//
// mm; pictures row by row. Threads: pure functions of their row.
#pragma once

#include <array>
#include <cstddef>
#include <span>

namespace cusp {

// A frame that pixels of another one are looked up in.
struct StackLayer {
  std::array<float, 9> turn{};  // layer_from_frame, row by row
  std::array<float, 3> shift_mm{};
  const float* depth_mm = nullptr;
  const float* sigma_mm = nullptr;  // or nullptr: the model's
};

struct StackGeometry {
  int width = 0, height = 0;  // at least 2
  float fx_px = 0, fy_px = 0, cx_px = 0, cy_px = 0;
  // Of a pixel without a sigma of its own: matching z^4 + quantisation.
  float matching_variance = 0;  // at 1 mm
  float quantisation_variance = 0;
  bool has_sigma = false;  // the frame
};

// Row y of the frame becomes the mean of itself and of the layers; sigma becomes that of the mean.
using StackRow = void (*)(const StackGeometry& geometry, std::span<const StackLayer> layers, int y,
                          float* depth_mm, float* sigma_mm);
// This processor's, and the one that every processor has.
StackRow stack_row();
StackRow baseline_stack_row();

}  // namespace cusp
