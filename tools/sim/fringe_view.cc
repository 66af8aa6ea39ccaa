#include "tools/sim/fringe_view.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "tools/sim/embree_scene_internal.h"
#include "tools/sim/lens.h"

namespace cusp::sim {
namespace {

using Eigen::Vector2f;
using Eigen::Vector3f;

// A packet is a tile of pixels: neighbours hit the same nodes of the tree.
constexpr int kTile = 4;
constexpr int kLanes = kTile * kTile;
static_assert(kLanes == 16);

// A shadow ray ends this far off its surface.
constexpr float kOffSurfaceMm = 0.01F;

// The projector's lens in single precision, for every pixel of every frame.
struct ProjectorLens {
  Eigen::Matrix3f rotation;
  Vector3f translation;
  float fx, fy, cx, cy, k1, k2, k3, p1, p2;
  float last_column, last_row;

  explicit ProjectorLens(const FringeOptics& optics)
      : rotation(optics.projector_from_camera.linear().cast<float>()),
        translation(optics.projector_from_camera.translation().cast<float>()),
        fx(static_cast<float>(optics.projector.fx_px)),
        fy(static_cast<float>(optics.projector.fy_px)),
        cx(static_cast<float>(optics.projector.cx_px)),
        cy(static_cast<float>(optics.projector.cy_px)),
        k1(static_cast<float>(optics.projector_distortion.k1)),
        k2(static_cast<float>(optics.projector_distortion.k2)),
        k3(static_cast<float>(optics.projector_distortion.k3)),
        p1(static_cast<float>(optics.projector_distortion.p1)),
        p2(static_cast<float>(optics.projector_distortion.p2)),
        last_column(static_cast<float>(optics.projector.width_px) - 0.5F),
        last_row(static_cast<float>(optics.projector.height_px) - 0.5F) {}

  // {column, row}; beyond the raster for points behind the projector.
  [[nodiscard]] Vector2f pixel(const Vector3f& point_mm) const {
    const Vector3f p = rotation * point_mm + translation;
    if (p.z() <= 0) return {-1e6F, -1e6F};
    const float x = p.x() / p.z(), y = p.y() / p.z();
    const float r2 = x * x + y * y;
    const float radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3));
    return {fx * (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)) + cx,
            fy * (y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)) + cy};
  }
  [[nodiscard]] bool within(const Vector2f& pixel) const {
    return pixel.x() >= -0.5F && pixel.x() < last_column && pixel.y() >= -0.5F &&
           pixel.y() < last_row;
  }
};

// Rays of one tile. Every camera ray has one origin, and so has every shadow ray, which runs from
// the projector to just before its surface.
struct Packet {
  alignas(64) RTCRayHit16 rays;
  alignas(64) RTCRay16 shadows;
  alignas(64) int valid[kLanes];
  alignas(64) int asks[kLanes];

  Packet(const Vector3f& camera, const Vector3f& projector) : rays{}, shadows{}, valid{}, asks{} {
    begin_at(camera, rays.ray);
    begin_at(projector, shadows);
  }

 private:
  static void begin_at(const Vector3f& origin, RTCRay16& rays) {
    std::fill_n(rays.mask, kLanes, 0xFFFFFFFFU);
    std::fill_n(rays.org_x, kLanes, origin.x());
    std::fill_n(rays.org_y, kLanes, origin.y());
    std::fill_n(rays.org_z, kLanes, origin.z());
  }
};

}  // namespace

struct FringeCamera::State {
  EmbreeScene scene;
  Mesh mesh;  // its triangles and normals, for smooth shading
  TissueMap tissues;
  Calibration calibration;
  std::vector<Vector2f> rays;
  ProjectorLens projector;
  Vector3f projector_mm;

  // Unit, in the scene's frame; the vertex normals' mean when the mesh has some.
  [[nodiscard]] Vector3f normal(const RTCRayHit16& hit, int lane) const {
    Vector3f facet(hit.hit.Ng_x[lane], hit.hit.Ng_y[lane], hit.hit.Ng_z[lane]);
    if (mesh.normals.empty()) return facet.normalized();
    const auto& corners = mesh.triangles[hit.hit.primID[lane]];
    const float u = hit.hit.u[lane], v = hit.hit.v[lane];
    const Vector3f smooth = (1 - u - v) * mesh.normals[corners[0]] + u * mesh.normals[corners[1]] +
                            v * mesh.normals[corners[2]];
    const float length = smooth.norm();
    return length > 0.1F ? Vector3f(smooth / length) : facet.normalized();
  }
  // That of the nearest corner.
  [[nodiscard]] Tissue tissue(const RTCRayHit16& hit, int lane) const {
    if (tissues.of_vertex.empty()) return tissues.everywhere;
    const float u = hit.hit.u[lane], v = hit.hit.v[lane], w = 1 - u - v;
    const std::size_t corner = w >= u && w >= v ? 0 : u >= v ? 1 : 2;
    return tissues.of_vertex[mesh.triangles[hit.hit.primID[lane]][corner]];
  }
};

Result<FringeCamera> FringeCamera::create(const Mesh& mesh, TissueMap tissues,
                                          const Calibration& calibration) {
  if (!calibration.fringe || calibration.fringe->patterns.empty())
    return error(ErrorCode::kInvalidArgument, "scene: calibration {} has no projector",
                 calibration.id);
  if (!tissues.of_vertex.empty() && tissues.of_vertex.size() != mesh.vertices_mm.size())
    return error(ErrorCode::kInvalidArgument, "scene: {} tissues for {} vertices",
                 tissues.of_vertex.size(), mesh.vertices_mm.size());
  CUSP_ASSIGN(EmbreeScene scene, EmbreeScene::build(mesh));
  std::vector<Vector2f> rays = ray_table(calibration.depth, calibration.fringe->camera_distortion);
  const Vector3f projector_mm =
      calibration.fringe->projector_from_camera.inverse().translation().cast<float>();
  return FringeCamera(std::make_unique<State>(
      State{std::move(scene), Mesh{{}, mesh.normals, mesh.triangles}, std::move(tissues),
            calibration, std::move(rays), ProjectorLens(*calibration.fringe), projector_mm}));
}

FringeCamera::FringeCamera(std::unique_ptr<State> state) : state_(std::move(state)) {}
FringeCamera::~FringeCamera() = default;
FringeCamera::FringeCamera(FringeCamera&&) noexcept = default;
FringeCamera& FringeCamera::operator=(FringeCamera&&) noexcept = default;

const Calibration& FringeCamera::calibration() const { return state_->calibration; }
std::span<const Vector2f> FringeCamera::rays() const { return state_->rays; }
Vector3f FringeCamera::projector_mm() const { return state_->projector_mm; }

// One look: the tiles of one picture.
struct FringeCamera::Look {
  const State& state;
  FringeView& view;
  Eigen::Matrix3f rotation;  // scene from sensor
  Vector3f origin;
  std::vector<OccluderRays> bodies{};
  Packet packet;
  RTCIntersectContext context{};

  Look(const State& of_camera, const RigidTransform& scene_from_sensor,
       std::span<const Occluder> occluders, FringeView& result)
      : state(of_camera),
        view(result),
        rotation(scene_from_sensor.linear().cast<float>()),
        origin(scene_from_sensor.translation().cast<float>()),
        packet(origin, rotation * state.projector_mm + origin) {
    for (const Occluder& occluder : occluders) bodies.emplace_back(occluder, scene_from_sensor);
    rtcInitIntersectContext(&context);
    context.flags = RTC_INTERSECT_CONTEXT_FLAG_COHERENT;
  }

  void take(int tile_x, int tile_y) {
    const int width = state.calibration.depth.width_px, height = state.calibration.depth.height_px;
    std::array<std::size_t, kLanes> pixel{};
    for (int lane = 0; lane < kLanes; ++lane) {
      const int x = tile_x + lane % kTile, y = tile_y + lane / kTile;
      packet.valid[lane] = x < width && y < height ? -1 : 0;
      pixel[static_cast<std::size_t>(lane)] =
          static_cast<std::size_t>(std::min(y, height - 1)) * static_cast<std::size_t>(width) +
          static_cast<std::size_t>(std::min(x, width - 1));
    }
    cast_rays(pixel);
    bool any = false;
    for (int lane = 0; lane < kLanes; ++lane) {
      packet.asks[lane] = 0;
      if (packet.valid[lane] != 0 && see(lane, pixel[static_cast<std::size_t>(lane)]))
        packet.asks[lane] = -1;
      any = any || packet.asks[lane] != 0;
    }
    if (!any) return;
    rtcOccluded16(packet.asks, state.scene.handle(), &context, &packet.shadows);
    for (int lane = 0; lane < kLanes; ++lane)
      if (packet.asks[lane] != 0 && packet.shadows.tfar[lane] < 0)
        view.irradiance[pixel[static_cast<std::size_t>(lane)]] = 0;
  }

 private:
  void cast_rays(const std::array<std::size_t, kLanes>& pixel) {
    RTCRayHit16& rays = packet.rays;
    for (int lane = 0; lane < kLanes; ++lane) {
      const Vector2f& ray = state.rays[pixel[static_cast<std::size_t>(lane)]];
      rays.ray.dir_x[lane] = ray.x();
      rays.ray.dir_y[lane] = ray.y();
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      const float x = rays.ray.dir_x[lane], y = rays.ray.dir_y[lane];
      rays.ray.dir_x[lane] = rotation(0, 0) * x + rotation(0, 1) * y + rotation(0, 2);
      rays.ray.dir_y[lane] = rotation(1, 0) * x + rotation(1, 1) * y + rotation(1, 2);
      rays.ray.dir_z[lane] = rotation(2, 0) * x + rotation(2, 1) * y + rotation(2, 2);
      rays.ray.tnear[lane] = 0;
      rays.ray.tfar[lane] = std::numeric_limits<float>::infinity();
      rays.hit.geomID[lane] = RTC_INVALID_GEOMETRY_ID;
      rays.hit.instID[0][lane] = RTC_INVALID_GEOMETRY_ID;
    }
    rtcIntersect16(packet.valid, state.scene.handle(), &context, &rays);
  }

  // Fills the pixel as if nothing of the scene were in the projector's way; true: it may be, and
  // the shadow ray is set.
  bool see(int lane, std::size_t pixel) {
    const Vector3f ray(state.rays[pixel].x(), state.rays[pixel].y(), 1);
    const OccluderRays* body = nullptr;
    float depth = packet.rays.ray.tfar[lane];
    for (const OccluderRays& candidate : bodies)
      if (const float t = candidate.hit(Vector3f::Zero(), ray); t < depth) {
        depth = t;
        body = &candidate;
      }
    if (!std::isfinite(depth)) return false;
    const Vector3f point = depth * ray;
    Vector3f normal = body != nullptr
                          ? body->normal(point)
                          : Vector3f(rotation.transpose() * state.normal(packet.rays, lane));
    if (normal.dot(ray) > 0) normal = -normal;
    view.depth_mm[pixel] = depth;
    view.normal[pixel] = normal;
    view.tissue[pixel] = body != nullptr ? body->tissue() : state.tissue(packet.rays, lane);

    const Vector3f towards = state.projector_mm - point;
    const float distance2 = towards.squaredNorm();
    const float facing = normal.dot(towards);
    if (facing <= 0) return false;
    const Vector2f column_row = state.projector.pixel(point);
    if (!state.projector.within(column_row)) return false;
    const Vector3f start = point + kOffSurfaceMm * normal;
    for (const OccluderRays& candidate : bodies)
      if (&candidate != body && candidate.hit(start, state.projector_mm - start) < 1) return false;
    view.column_px[pixel] = column_row.x();
    view.irradiance[pixel] =
        facing / std::sqrt(distance2) * (kReferenceMm * kReferenceMm) / distance2;
    const Vector3f way = rotation * (start - state.projector_mm);
    packet.shadows.dir_x[lane] = way.x();
    packet.shadows.dir_y[lane] = way.y();
    packet.shadows.dir_z[lane] = way.z();
    packet.shadows.tfar[lane] = 1;
    return true;
  }
};

void FringeCamera::look(const RigidTransform& scene_from_sensor,
                        std::span<const Occluder> occluders, FringeView& view) const {
  const std::size_t pixels = state_->rays.size();
  view.depth_mm.assign(pixels, 0.0F);
  view.normal.assign(pixels, Vector3f::Zero());
  view.column_px.assign(pixels, 0.0F);
  view.irradiance.assign(pixels, 0.0F);
  view.tissue.assign(pixels, Tissue::kStone);
  Look look(*state_, scene_from_sensor, occluders, view);
  for (int y = 0; y < state_->calibration.depth.height_px; y += kTile)
    for (int x = 0; x < state_->calibration.depth.width_px; x += kTile) look.take(x, y);
}

}  // namespace cusp::sim
