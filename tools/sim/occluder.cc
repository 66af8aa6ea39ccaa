#include "tools/sim/occluder.h"

#include <cmath>

#include "tools/sim/depth_renderer.h"

namespace cusp::sim {

bool operator==(const Occluder& a, const Occluder& b) {
  return a.scene_from_body.matrix() == b.scene_from_body.matrix() && a.radii_mm == b.radii_mm &&
         a.tissue == b.tissue;
}

OccluderRays::OccluderRays(const Occluder& occluder, const RigidTransform& scene_from_sensor)
    : tissue_(occluder.tissue) {
  const RigidTransform body_from_sensor = occluder.scene_from_body.inverse() * scene_from_sensor;
  const Eigen::Matrix3d shrink = occluder.radii_mm.cwiseInverse().asDiagonal();
  shape_ = (shrink * body_from_sensor.linear()).cast<float>();
  centre_ = (shrink * body_from_sensor.translation()).cast<float>();
}

void hide_behind(std::span<const Occluder> occluders, const RigidTransform& scene_from_sensor,
                 DepthImage& image) {
  const Intrinsics& camera = image.intrinsics;
  for (const Occluder& occluder : occluders) {
    const OccluderRays rays(occluder, scene_from_sensor);
    std::size_t pixel = 0;
    for (int y = 0; y < camera.height_px; ++y)
      for (int x = 0; x < camera.width_px; ++x, ++pixel) {
        const Eigen::Vector3f along(static_cast<float>((x - camera.cx_px) / camera.fx_px),
                                    static_cast<float>((y - camera.cy_px) / camera.fy_px), 1);
        const float depth = rays.hit(Eigen::Vector3f::Zero(), along);
        const float before = image.depth_mm[pixel];
        if (!std::isfinite(depth) || (before > 0 && before <= depth)) continue;
        image.depth_mm[pixel] = depth;
        image.cos_incidence[pixel] = std::abs(rays.normal(depth * along).dot(along.normalized()));
        image.triangle[pixel] = kNoTriangle;
      }
  }
}

}  // namespace cusp::sim
