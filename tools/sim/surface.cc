#include "tools/sim/surface.h"

#include <Eigen/Geometry>
#include <cmath>

#include "tools/sim/embree_scene_internal.h"

namespace cusp::sim {
namespace {

// Ericson 2005, section 5.1.5: which of the triangle's seven regions the point projects to.
Eigen::Vector3f closest_on_triangle(const Eigen::Vector3f& p, const Eigen::Vector3f& a,
                                    const Eigen::Vector3f& b, const Eigen::Vector3f& c) {
  const Eigen::Vector3f ab = b - a, ac = c - a, ap = p - a;
  const float d1 = ab.dot(ap), d2 = ac.dot(ap);
  if (d1 <= 0 && d2 <= 0) return a;
  const Eigen::Vector3f bp = p - b;
  const float d3 = ab.dot(bp), d4 = ac.dot(bp);
  if (d3 >= 0 && d4 <= d3) return b;
  const float vc = d1 * d4 - d3 * d2;
  if (vc <= 0 && d1 >= 0 && d3 <= 0) return d1 > d3 ? Eigen::Vector3f(a + d1 / (d1 - d3) * ab) : a;
  const Eigen::Vector3f cp = p - c;
  const float d5 = ab.dot(cp), d6 = ac.dot(cp);
  if (d6 >= 0 && d5 <= d6) return c;
  const float vb = d5 * d2 - d1 * d6;
  if (vb <= 0 && d2 >= 0 && d6 <= 0) return d2 > d6 ? Eigen::Vector3f(a + d2 / (d2 - d6) * ac) : a;
  const float va = d3 * d6 - d5 * d4;
  const float along = d4 - d3, back = d5 - d6;
  if (va <= 0 && along >= 0 && back >= 0)
    return along + back > 0 ? Eigen::Vector3f(b + along / (along + back) * (c - b)) : b;
  const float sum = va + vb + vc;
  return a + ab * (vb / sum) + ac * (vc / sum);
}

struct Search {
  const Mesh* mesh;
  Eigen::Vector3f point_mm;
  std::optional<SurfacePoint> best;
};

bool visit_triangle(RTCPointQueryFunctionArguments* arguments) {
  auto& search = *static_cast<Search*>(arguments->userPtr);
  const auto& corners = search.mesh->triangles[arguments->primID];
  const auto& vertices = search.mesh->vertices_mm;
  const Eigen::Vector3f nearest = closest_on_triangle(search.point_mm, vertices[corners[0]],
                                                      vertices[corners[1]], vertices[corners[2]]);
  const float distance = (nearest - search.point_mm).norm();
  if (!(distance < arguments->query->radius)) return false;
  arguments->query->radius = distance;
  search.best = SurfacePoint{nearest, arguments->primID, distance};
  return true;  // the radius shrank
}

}  // namespace

Result<Surface> Surface::create(Mesh mesh) {
  CUSP_ASSIGN(EmbreeScene scene, EmbreeScene::build(mesh));
  return Surface(std::move(mesh), std::make_unique<EmbreeScene>(std::move(scene)));
}

Surface::Surface(Mesh mesh, std::unique_ptr<EmbreeScene> scene)
    : mesh_(std::move(mesh)), scene_(std::move(scene)) {}
Surface::~Surface() = default;
Surface::Surface(Surface&&) noexcept = default;
Surface& Surface::operator=(Surface&&) noexcept = default;

Eigen::Vector3f Surface::normal(std::uint32_t triangle) const {
  const auto& corners = mesh_.triangles[triangle];
  const Eigen::Vector3f& a = mesh_.vertices_mm[corners[0]];
  const Eigen::Vector3f cross =
      (mesh_.vertices_mm[corners[1]] - a).cross(mesh_.vertices_mm[corners[2]] - a);
  const float length = cross.norm();
  return length > 0 ? Eigen::Vector3f(cross / length) : Eigen::Vector3f(Eigen::Vector3f::Zero());
}

std::optional<SurfacePoint> Surface::closest(const Eigen::Vector3f& point_mm,
                                             float limit_mm) const {
  RTCPointQueryContext context;
  rtcInitPointQueryContext(&context);
  RTCPointQuery query;
  query.x = point_mm.x();
  query.y = point_mm.y();
  query.z = point_mm.z();
  query.time = 0;
  query.radius = limit_mm;
  Search search{&mesh_, point_mm, std::nullopt};
  rtcPointQuery(scene_->handle(), &query, &context, visit_triangle, &search);
  return search.best;
}

bool Surface::blocked(const Eigen::Vector3f& from_mm, const Eigen::Vector3f& to_mm,
                      float slack_mm) const {
  const Eigen::Vector3f way = to_mm - from_mm;
  const float length = way.norm();
  if (length <= 2 * slack_mm) return false;
  RTCIntersectContext context;
  rtcInitIntersectContext(&context);
  RTCRay ray{};
  ray.org_x = from_mm.x();
  ray.org_y = from_mm.y();
  ray.org_z = from_mm.z();
  ray.dir_x = way.x() / length;
  ray.dir_y = way.y() / length;
  ray.dir_z = way.z() / length;
  ray.tnear = slack_mm;
  ray.tfar = length - slack_mm;
  ray.mask = 0xFFFFFFFFU;
  rtcOccluded1(scene_->handle(), &context, &ray);
  return ray.tfar < 0;  // Embree marks a hit with minus infinity
}

}  // namespace cusp::sim
