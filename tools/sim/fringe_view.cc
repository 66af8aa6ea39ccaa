#include "tools/sim/fringe_view.h"

#include <cmath>

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

// A shadow ray starts this far off its surface.
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

struct Packet {
  alignas(64) RTCRayHit16 rays;
  alignas(64) RTCRay16 shadows;
  alignas(64) int valid[kLanes];
  alignas(64) int asks[kLanes];
};

void set_common(RTCRay16& rays) {
  for (int lane = 0; lane < kLanes; ++lane) {
    rays.time[lane] = 0;
    rays.mask[lane] = 0xFFFFFFFFU;
    rays.id[lane] = 0;
    rays.flags[lane] = 0;
  }
}

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
  [[nodiscard]] Tissue tissue(std::uint32_t triangle) const {
    return tissues.of_vertex.empty() ? tissues.everywhere
                                     : tissues.of_vertex[mesh.triangles[triangle][0]];
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

void FringeCamera::look(const RigidTransform& scene_from_sensor,
                        std::span<const Occluder> occluders, FringeView& view) const {
  const State& state = *state_;
  const int width = state.calibration.depth.width_px;
  const int height = state.calibration.depth.height_px;
  const std::size_t pixels = state.rays.size();
  view.depth_mm.assign(pixels, 0.0F);
  view.normal.assign(pixels, Vector3f::Zero());
  view.column_px.assign(pixels, 0.0F);
  view.irradiance.assign(pixels, 0.0F);
  view.tissue.assign(pixels, Tissue::kStone);

  const Eigen::Matrix3f rotation = scene_from_sensor.linear().cast<float>();
  const Vector3f origin = scene_from_sensor.translation().cast<float>();
  const Vector3f projector_in_scene = rotation * state.projector_mm + origin;
  std::vector<OccluderRays> bodies;
  for (const Occluder& occluder : occluders) bodies.emplace_back(occluder, scene_from_sensor);

  RTCIntersectContext context;
  rtcInitIntersectContext(&context);
  context.flags = RTC_INTERSECT_CONTEXT_FLAG_COHERENT;
  Packet packet;
  set_common(packet.rays.ray);
  set_common(packet.shadows);

  for (int tile_y = 0; tile_y < height; tile_y += kTile)
    for (int tile_x = 0; tile_x < width; tile_x += kTile) {
      const auto pixel_of = [&](int lane) {
        return static_cast<std::size_t>(tile_y + lane / kTile) * static_cast<std::size_t>(width) +
               static_cast<std::size_t>(tile_x + lane % kTile);
      };
      for (int lane = 0; lane < kLanes; ++lane) {
        packet.asks[lane] = 0;
        packet.valid[lane] =
            tile_x + lane % kTile < width && tile_y + lane / kTile < height ? -1 : 0;
        packet.rays.hit.geomID[lane] = RTC_INVALID_GEOMETRY_ID;
        packet.rays.hit.instID[0][lane] = RTC_INVALID_GEOMETRY_ID;
        if (packet.valid[lane] == 0) continue;
        const Vector2f& ray = state.rays[pixel_of(lane)];
        const Vector3f along = rotation * Vector3f(ray.x(), ray.y(), 1);
        packet.rays.ray.org_x[lane] = origin.x();
        packet.rays.ray.org_y[lane] = origin.y();
        packet.rays.ray.org_z[lane] = origin.z();
        packet.rays.ray.dir_x[lane] = along.x();
        packet.rays.ray.dir_y[lane] = along.y();
        packet.rays.ray.dir_z[lane] = along.z();
        packet.rays.ray.tnear[lane] = 0;
        packet.rays.ray.tfar[lane] = std::numeric_limits<float>::infinity();
      }
      rtcIntersect16(packet.valid, state.scene.handle(), &context, &packet.rays);

      bool any_lit = false;
      for (int lane = 0; lane < kLanes; ++lane) {
        if (packet.valid[lane] == 0) continue;
        const std::size_t pixel = pixel_of(lane);
        const Vector3f ray(state.rays[pixel].x(), state.rays[pixel].y(), 1);
        const OccluderRays* body = nullptr;
        float depth = packet.rays.ray.tfar[lane];
        for (const OccluderRays& candidate : bodies)
          if (const float t = candidate.hit(Vector3f::Zero(), ray); t < depth) {
            depth = t;
            body = &candidate;
          }
        if (!std::isfinite(depth)) continue;
        const Vector3f point = depth * ray;
        Vector3f normal = body != nullptr
                              ? body->normal(point)
                              : Vector3f(rotation.transpose() * state.normal(packet.rays, lane));
        if (normal.dot(ray) > 0) normal = -normal;
        view.depth_mm[pixel] = depth;
        view.normal[pixel] = normal;
        view.tissue[pixel] =
            body != nullptr ? body->tissue() : state.tissue(packet.rays.hit.primID[lane]);

        const Vector3f towards = state.projector_mm - point;
        const float distance = towards.norm();
        const float cosine = normal.dot(towards) / distance;
        if (cosine <= 0) continue;
        const Vector2f column_row = state.projector.pixel(point);
        if (!state.projector.within(column_row)) continue;
        const Vector3f start = point + kOffSurfaceMm * normal;
        bool hidden = false;
        for (const OccluderRays& candidate : bodies)
          hidden = hidden ||
                   (&candidate != body && candidate.hit(start, state.projector_mm - start) < 1);
        if (hidden) continue;
        view.column_px[pixel] = column_row.x();
        view.irradiance[pixel] = cosine * (kReferenceMm * kReferenceMm) / (distance * distance);
        const Vector3f from = rotation * start + origin;
        const Vector3f way = projector_in_scene - from;
        packet.asks[lane] = -1;
        packet.shadows.org_x[lane] = from.x();
        packet.shadows.org_y[lane] = from.y();
        packet.shadows.org_z[lane] = from.z();
        packet.shadows.dir_x[lane] = way.x();
        packet.shadows.dir_y[lane] = way.y();
        packet.shadows.dir_z[lane] = way.z();
        packet.shadows.tnear[lane] = 0;
        packet.shadows.tfar[lane] = 1;
        any_lit = true;
      }
      if (!any_lit) continue;
      rtcOccluded16(packet.asks, state.scene.handle(), &context, &packet.shadows);
      for (int lane = 0; lane < kLanes; ++lane)
        if (packet.asks[lane] != 0 && packet.shadows.tfar[lane] < 0)
          view.irradiance[pixel_of(lane)] = 0;
    }
}

}  // namespace cusp::sim
