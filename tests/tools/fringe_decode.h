// A textbook decoder of phase-shifted fringes, to hold the renderer against: least squares of the
// three steps (V. Srinivasan, H. Liu, M. Halioua, "Automated phase-measuring profilometry of 3-D
// diffuse objects", Applied Optics 23(18), 1984, doi:10.1364/AO.23.003105), the coarse phase made
// absolute by the working range, the fine one by the coarse one, and the depth at which the
// camera's ray has that column in the projector.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <optional>
#include <vector>

#include "tools/sim/fringe_renderer.h"
#include "tools/sim/lens.h"

namespace cusp::fringe_decode {

// intensity = mean + swing * cos(2 pi u / pitch - phase of the pattern), in counts.
struct Fit {
  double mean = 0, swing = 0;
  double phase = 0;  // 2 pi u / pitch, in -pi .. pi
};

inline Fit fit(const std::array<double, 3>& counts) {
  double cosine = 0, sine = 0, mean = 0;
  for (std::size_t k = 0; k < 3; ++k) {
    const double step = 2 * std::numbers::pi * static_cast<double>(k) / 3;
    mean += counts[k] / 3;
    cosine += 2.0 / 3 * counts[k] * std::cos(step);
    sine += 2.0 / 3 * counts[k] * std::sin(step);
  }
  return {mean, std::hypot(cosine, sine), std::atan2(sine, cosine)};
}

// The three pictures from `first` on, pixel by pixel.
inline std::vector<Fit> fits(sim::FringeRenderer& renderer, const sim::FringeShot& shot,
                             int first = 0) {
  std::array<std::vector<std::uint8_t>, 3> pictures;
  for (int k = 0; k < 3; ++k) {
    auto& picture = pictures[static_cast<std::size_t>(k)];
    picture.resize(renderer.fringe_bytes());
    renderer.fringe(shot, first + k, picture);
  }
  std::vector<Fit> result;
  for (std::size_t i = 0; i < pictures[0].size(); ++i)
    result.push_back(fit({static_cast<double>(pictures[0][i]), static_cast<double>(pictures[1][i]),
                          static_cast<double>(pictures[2][i])}));
  return result;
}

class Triangulation {
 public:
  explicit Triangulation(const Calibration& calibration)
      : calibration_(calibration),
        rays_(sim::ray_table(calibration.depth, calibration.fringe->camera_distortion)) {}

  [[nodiscard]] double column(std::size_t pixel, double depth_mm) const {
    const FringeOptics& optics = *calibration_.fringe;
    const Eigen::Vector3d point(rays_[pixel].x() * depth_mm, rays_[pixel].y() * depth_mm, depth_mm);
    return sim::project(optics.projector, optics.projector_distortion,
                        optics.projector_from_camera * point)
        .x();
  }

  // The column moves one way with the depth: bisection.
  [[nodiscard]] double depth_mm(std::size_t pixel, double column_px) const {
    double low = 5, high = 40;
    const bool rising = column(pixel, high) > column(pixel, low);
    for (int i = 0; i < 60; ++i) {
      const double middle = 0.5 * (low + high);
      ((column(pixel, middle) < column_px) == rising ? low : high) = middle;
    }
    return 0.5 * (low + high);
  }

  // Absolute column of the coarse phase: the only one within the working range.
  [[nodiscard]] std::optional<double> coarse_column(std::size_t pixel, double phase,
                                                    double pitch_px) const {
    const double a = column(pixel, calibration_.fringe->min_depth_mm);
    const double b = column(pixel, calibration_.fringe->max_depth_mm);
    const double part = phase / (2 * std::numbers::pi) * pitch_px;
    const double first = part + std::ceil((std::min(a, b) - part) / pitch_px) * pitch_px;
    if (first > std::max(a, b)) return std::nullopt;
    return first;
  }

  static double fine_column(double coarse_px, double phase, double pitch_px) {
    const double part = phase / (2 * std::numbers::pi) * pitch_px;
    return part + std::round((coarse_px - part) / pitch_px) * pitch_px;
  }

 private:
  Calibration calibration_;
  std::vector<Eigen::Vector2f> rays_;
};

}  // namespace cusp::fringe_decode
