// Blur of a picture by each pixel's own amount, as a lens with little depth of field does it.
//
// Pictures blurred by a few Gaussians, and of each pixel the two next to its own width, mixed so
// that the variance is right (M. Potmesil, I. Chakravarty, "A lens and aperture camera model for
// synthetic image generation", SIGGRAPH 1981, doi:10.1145/800224.806818). Widths in pixels.
// Threads: one thread at a time an object (it keeps its scratch memory).
#pragma once

#include <span>
#include <vector>

namespace cusp::sim {

class PictureBlur {
 public:
  PictureBlur(int width_px, int height_px);

  // In place. One sigma a pixel, 0: not blurred; above the widest (8 px) it is cut off there.
  void apply(std::span<const float> sigma_px, std::span<float> picture);

 private:
  void smooth(std::span<const float> picture, float sigma_px, std::vector<float>& result);
  std::size_t width_, height_;
  std::vector<float> lower_, upper_, rows_, result_;
};

}  // namespace cusp::sim
