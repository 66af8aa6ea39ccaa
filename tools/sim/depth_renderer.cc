#include "tools/sim/depth_renderer.h"

#include <cmath>

#include "tools/sim/embree_scene_internal.h"

namespace cusp::sim {
namespace {

// A packet is a tile of pixels: neighbours hit the same nodes of the tree.
constexpr int kTileWidth = 4;
constexpr int kTileHeight = 4;
constexpr int kLanes = kTileWidth * kTileHeight;
static_assert(kLanes == 16);

}  // namespace

Result<DepthRenderer> DepthRenderer::create(const Mesh& mesh) {
  CUSP_ASSIGN(EmbreeScene scene, EmbreeScene::build(mesh));
  return DepthRenderer(std::make_unique<EmbreeScene>(std::move(scene)));
}

DepthRenderer::DepthRenderer(std::unique_ptr<EmbreeScene> scene) : scene_(std::move(scene)) {}
DepthRenderer::~DepthRenderer() = default;
DepthRenderer::DepthRenderer(DepthRenderer&&) noexcept = default;
DepthRenderer& DepthRenderer::operator=(DepthRenderer&&) noexcept = default;

void DepthRenderer::render(const Intrinsics& intrinsics, const RigidTransform& scene_from_sensor,
                           DepthImage& image) const {
  const int width = intrinsics.width_px;
  const int height = intrinsics.height_px;
  CUSP_CHECK(width > 0 && height > 0, "an image has pixels");
  const auto pixels = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  image.intrinsics = intrinsics;
  image.depth_mm.assign(pixels, 0.0F);
  image.cos_incidence.assign(pixels, 0.0F);
  image.triangle.assign(pixels, kNoTriangle);

  const Eigen::Vector3f origin = scene_from_sensor.translation().cast<float>();
  const Eigen::Matrix3f rotation = scene_from_sensor.linear().cast<float>();
  // Direction of pixel (x, y) with z = 1 in the sensor frame, so that the ray's parameter is the
  // depth.
  const auto direction = [&](int x, int y) -> Eigen::Vector3f {
    return rotation * Eigen::Vector3f(static_cast<float>((x - intrinsics.cx_px) / intrinsics.fx_px),
                                      static_cast<float>((y - intrinsics.cy_px) / intrinsics.fy_px),
                                      1.0F);
  };
  const Eigen::Vector3f corner = direction(0, 0);
  const Eigen::Vector3f step_x = rotation.col(0) / static_cast<float>(intrinsics.fx_px);
  const Eigen::Vector3f step_y = rotation.col(1) / static_cast<float>(intrinsics.fy_px);

  RTCIntersectContext context;
  rtcInitIntersectContext(&context);
  context.flags = RTC_INTERSECT_CONTEXT_FLAG_COHERENT;

  alignas(64) RTCRayHit16 packet;
  alignas(64) int valid[kLanes];
  for (int tile_y = 0; tile_y < height; tile_y += kTileHeight) {
    for (int tile_x = 0; tile_x < width; tile_x += kTileWidth) {
      for (int lane = 0; lane < kLanes; ++lane) {
        const int x = tile_x + lane % kTileWidth;
        const int y = tile_y + lane / kTileWidth;
        const Eigen::Vector3f ray =
            corner + static_cast<float>(x) * step_x + static_cast<float>(y) * step_y;
        valid[lane] = x < width && y < height ? -1 : 0;
        packet.ray.org_x[lane] = origin.x();
        packet.ray.org_y[lane] = origin.y();
        packet.ray.org_z[lane] = origin.z();
        packet.ray.dir_x[lane] = ray.x();
        packet.ray.dir_y[lane] = ray.y();
        packet.ray.dir_z[lane] = ray.z();
        packet.ray.tnear[lane] = 0.0F;
        packet.ray.tfar[lane] = std::numeric_limits<float>::infinity();
        packet.ray.time[lane] = 0.0F;
        packet.ray.mask[lane] = 0xFFFFFFFFU;
        packet.ray.id[lane] = 0;
        packet.ray.flags[lane] = 0;
        packet.hit.geomID[lane] = RTC_INVALID_GEOMETRY_ID;
        packet.hit.instID[0][lane] = RTC_INVALID_GEOMETRY_ID;
      }
      rtcIntersect16(valid, scene_->handle(), &context, &packet);
      for (int lane = 0; lane < kLanes; ++lane) {
        if (valid[lane] == 0 || packet.hit.geomID[lane] == RTC_INVALID_GEOMETRY_ID) continue;
        const Eigen::Vector3f ray(packet.ray.dir_x[lane], packet.ray.dir_y[lane],
                                  packet.ray.dir_z[lane]);
        const Eigen::Vector3f normal(packet.hit.Ng_x[lane], packet.hit.Ng_y[lane],
                                     packet.hit.Ng_z[lane]);
        const float lengths = std::sqrt(ray.squaredNorm() * normal.squaredNorm());
        const std::size_t pixel =
            static_cast<std::size_t>(tile_y + lane / kTileWidth) * static_cast<std::size_t>(width) +
            static_cast<std::size_t>(tile_x + lane % kTileWidth);
        image.depth_mm[pixel] = packet.ray.tfar[lane];
        image.cos_incidence[pixel] = lengths > 0 ? std::abs(ray.dot(normal)) / lengths : 0.0F;
        image.triangle[pixel] = packet.hit.primID[lane];
      }
    }
  }
}

}  // namespace cusp::sim
