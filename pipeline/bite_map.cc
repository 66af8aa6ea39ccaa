#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "core/check.h"
#include "pipeline/bite.h"
#include "pipeline/mesh_edges.h"
#include "pipeline/nearest.h"
#include "pipeline/record_bytes.h"

namespace cusp {
namespace {

constexpr std::size_t kGrain = 1024;
constexpr float kOnSide = 1e-4F;

// A surface that knows on which side of it a point is.
class SidedSurface {
 public:
  SidedSurface(const Mesh& mesh, WorkerPool& pool)
      : mesh_(mesh),
        nearest_(mesh, pool),
        twins_(find_twins(mesh, find_corners(mesh), pool)),
        vertex_normals_(mesh.vertices_mm.size(), Eigen::Vector3d::Zero()),
        border_(mesh.vertices_mm.size(), 0) {
    for (std::uint32_t h = 0; h < twins_.of.size(); ++h) {
      const std::uint32_t v = from_vertex(mesh, h);
      const Eigen::Vector3d at = mesh.vertices_mm[v].cast<double>();
      const Eigen::Vector3d to = mesh.vertices_mm[to_vertex(mesh, h)].cast<double>() - at;
      const Eigen::Vector3d back =
          mesh.vertices_mm[from_vertex(mesh, prev_in_triangle(h))].cast<double>() - at;
      const double angle = std::atan2(to.cross(back).norm(), to.dot(back));
      vertex_normals_[v] += angle * face_normal(h / 3);
      if (twins_.of[h] == kNoTwin) border_[v] = border_[to_vertex(mesh, h)] = 1;
    }
  }

  // Negative inside; nothing beyond the limit, or where the nearest point is the border.
  [[nodiscard]] std::optional<double> distance_mm(const Eigen::Vector3f& p, double limit_mm) const {
    const auto nearest = nearest_.find(p, static_cast<float>(limit_mm));
    if (!nearest) return std::nullopt;
    const auto normal = normal_at(*nearest);
    if (!normal) return std::nullopt;
    const double side = normal->dot((p - nearest->point_mm).cast<double>());
    const auto distance = static_cast<double>(nearest->distance_mm);
    return side < 0 ? -distance : distance;
  }

 private:
  [[nodiscard]] Eigen::Vector3d face_normal(std::uint32_t t) const {
    const auto& [a, b, c] = mesh_.triangles[t];
    const Eigen::Vector3d at = mesh_.vertices_mm[a].cast<double>();
    return (mesh_.vertices_mm[b].cast<double>() - at)
        .cross(mesh_.vertices_mm[c].cast<double>() - at)
        .normalized();
  }

  [[nodiscard]] std::optional<Eigen::Vector3d> normal_at(const NearestPoint& nearest) const {
    const std::uint32_t t = nearest.triangle;
    std::uint32_t off = 0;  // the last corner that has no share
    std::uint32_t on = 0;   // the last that has one
    int without = 0;
    for (std::uint32_t k = 0; k < 3; ++k)
      if (nearest.share[static_cast<Eigen::Index>(k)] <= kOnSide) {
        off = k;
        ++without;
      } else {
        on = k;
      }
    if (without == 0) return face_normal(t);
    if (without == 2) {
      const std::uint32_t v = mesh_.triangles[t][on];
      if (border_[v] != 0) return std::nullopt;
      return vertex_normals_[v];
    }
    const std::uint32_t twin = twins_.of[next_in_triangle(3 * t + off)];
    if (twin == kNoTwin) return std::nullopt;
    return Eigen::Vector3d(face_normal(t) + face_normal(twin / 3));
  }

  const Mesh& mesh_;
  NearestSurface nearest_;
  Twins twins_;
  std::vector<Eigen::Vector3d> vertex_normals_;
  std::vector<std::uint8_t> border_;
};

}  // namespace

BiteMap map_bite(const Mesh& jaw, const Mesh& other, const RigidTransform& other_from_jaw,
                 double limit_mm, WorkerPool& pool) {
  CUSP_CHECK(limit_mm > 0 && limit_mm <= 3000, "the bite map's limit is out of range");
  const SidedSurface surface(other, pool);
  const std::size_t count = jaw.vertices_mm.size();
  std::vector<float> distances_mm(count);
  BiteMap map;
  map.steps.assign(count, kFarApart);
  pool.for_chunks(count, kGrain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t v = begin; v < end; ++v) {
      const Eigen::Vector3d p = other_from_jaw * jaw.vertices_mm[v].cast<double>();
      const auto distance = surface.distance_mm(p.cast<float>(), limit_mm);
      if (!distance) continue;
      distances_mm[v] = static_cast<float>(*distance);
      map.steps[v] = static_cast<std::int16_t>(std::lround(*distance / kBiteStepMm));
    }
  });
  for (std::size_t v = 0; v < count; ++v)
    if (map.steps[v] != kFarApart && static_cast<double>(distances_mm[v]) < map.deepest_mm) {
      map.deepest_mm = static_cast<double>(distances_mm[v]);
      map.deepest_at_mm = jaw.vertices_mm[v];
    }
  for (const auto& [a, b, c] : jaw.triangles) {
    const auto all = [&](const auto& holds) { return holds(a) && holds(b) && holds(c); };
    if (!all([&](std::uint32_t v) { return map.steps[v] != kFarApart; })) continue;
    const double area =
        0.5 * static_cast<double>((jaw.vertices_mm[b] - jaw.vertices_mm[a])
                                      .cross(jaw.vertices_mm[c] - jaw.vertices_mm[a])
                                      .norm());
    if (all([&](std::uint32_t v) { return distances_mm[v] < 0; })) map.through_mm2 += area;
    if (all([&](std::uint32_t v) { return static_cast<double>(distances_mm[v]) < kBiteStepMm; }))
      map.contact_mm2 += area;
  }
  return map;
}

std::vector<std::uint8_t> to_bytes(const BiteMap& map) {
  constexpr std::array<char, 8> kMagic{'C', 'U', 'S', 'P', 'B', 'I', 'T', 'E'};
  constexpr std::uint32_t kFormat = 1;
  RecordWriter writer;
  writer.put(kMagic);
  writer.put(kFormat);
  writer.put(static_cast<std::uint32_t>(map.steps.size()));
  for (const double figure : {kBiteStepMm, map.contact_mm2, map.through_mm2, map.deepest_mm})
    writer.put(static_cast<float>(figure));
  for (const std::int16_t step : map.steps) writer.put(step);
  return writer.bytes();
}

}  // namespace cusp
