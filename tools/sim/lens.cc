#include "tools/sim/lens.h"

#include <Eigen/LU>

#include "core/check.h"

namespace cusp::sim {

Eigen::Vector2d distort(const LensDistortion& lens, const Eigen::Vector2d& straight) {
  const double x = straight.x(), y = straight.y();
  const double r2 = x * x + y * y;
  const double radial = 1 + r2 * (lens.k1 + r2 * (lens.k2 + r2 * lens.k3));
  return {x * radial + 2 * lens.p1 * x * y + lens.p2 * (r2 + 2 * x * x),
          y * radial + 2 * lens.p2 * x * y + lens.p1 * (r2 + 2 * y * y)};
}

Eigen::Vector2d undistort(const LensDistortion& lens, const Eigen::Vector2d& distorted) {
  constexpr int kMostSteps = 30;
  constexpr double kTolerance = 1e-12;
  if (lens == LensDistortion{}) return distorted;
  Eigen::Vector2d straight = distorted;
  for (int step = 0; step < kMostSteps; ++step) {
    const Eigen::Vector2d miss = distort(lens, straight) - distorted;
    if (miss.norm() < kTolerance) return straight;
    const double x = straight.x(), y = straight.y();
    const double r2 = x * x + y * y;
    const double radial = 1 + r2 * (lens.k1 + r2 * (lens.k2 + r2 * lens.k3));
    const double slope = 2 * (lens.k1 + r2 * (2 * lens.k2 + 3 * r2 * lens.k3));
    const double cross = slope * x * y + 2 * lens.p1 * x + 2 * lens.p2 * y;
    Eigen::Matrix2d jacobian;
    jacobian << radial + slope * x * x + 2 * lens.p1 * y + 6 * lens.p2 * x, cross,  //
        cross, radial + slope * y * y + 2 * lens.p2 * x + 6 * lens.p1 * y;
    straight -= jacobian.inverse() * miss;
  }
  CUSP_CHECK((distort(lens, straight) - distorted).norm() < 1e-6,
             "a lens does not fold its picture");
  return straight;
}

Eigen::Vector2d project(const Intrinsics& camera, const LensDistortion& lens,
                        const Eigen::Vector3d& point_mm) {
  const Eigen::Vector2d at = distort(lens, point_mm.head<2>() / point_mm.z());
  return {camera.fx_px * at.x() + camera.cx_px, camera.fy_px * at.y() + camera.cy_px};
}

std::vector<Eigen::Vector2f> ray_table(const Intrinsics& camera, const LensDistortion& lens) {
  std::vector<Eigen::Vector2f> rays;
  rays.reserve(static_cast<std::size_t>(camera.width_px) *
               static_cast<std::size_t>(camera.height_px));
  for (int y = 0; y < camera.height_px; ++y)
    for (int x = 0; x < camera.width_px; ++x)
      rays.push_back(
          undistort(lens, {(x - camera.cx_px) / camera.fx_px, (y - camera.cy_px) / camera.fy_px})
              .cast<float>());
  return rays;
}

}  // namespace cusp::sim
