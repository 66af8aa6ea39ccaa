#include "pipeline/surface_sample.h"

#include <array>
#include <cmath>

#include "core/check.h"
#include "pipeline/clean.h"
#include "pipeline/first_equal.h"
#include "pipeline/mesh_edges.h"

namespace cusp {
namespace {

// A point is on a side of its triangle when the third corner has less than this share.
constexpr float kOnSide = 1e-4F;

Mesh with_normals(const Mesh& mesh) {
  Mesh copy;
  copy.vertices_mm = mesh.vertices_mm;
  copy.triangles = mesh.triangles;
  compute_normals(copy);
  return copy;
}

std::vector<std::uint8_t> border_vertices(const Mesh& mesh, WorkerPool& pool) {
  std::vector<std::uint8_t> border(mesh.vertices_mm.size(), 0);
  const Twins twins = find_twins(mesh, find_corners(mesh), pool);
  for (std::uint32_t h = 0; h < twins.of.size(); ++h)
    if (twins.of[h] == kNoTwin) border[from_vertex(mesh, h)] = border[to_vertex(mesh, h)] = 1;
  return border;
}

}  // namespace

SurfaceSample sample_surface(const Mesh& mesh, double spacing_mm, WorkerPool& pool) {
  CUSP_CHECK(spacing_mm > 0, "samples need a spacing");
  const Mesh whole = with_normals(mesh);
  const auto cell = [&](std::size_t i) {
    const Eigen::Vector3d p = whole.vertices_mm[i].cast<double>() / spacing_mm;
    return std::array<std::int64_t, 3>{std::llround(p.x()), std::llround(p.y()),
                                       std::llround(p.z())};
  };
  const std::vector<std::uint32_t> first = first_equal(
      whole.vertices_mm.size(),
      [&](std::size_t i) {
        std::uint64_t hash = 0;
        for (const std::int64_t part : cell(i))
          hash = mix_bits(hash + static_cast<std::uint64_t>(part));
        return hash;
      },
      [&](std::size_t i, std::size_t j) { return cell(i) == cell(j); }, pool);
  // Normals are averaged over the cell: one vertex's is noise.
  std::vector<Eigen::Vector3f> sums(first.size(), Eigen::Vector3f::Zero());
  for (std::size_t i = 0; i < first.size(); ++i) sums[first[i]] += whole.normals[i];
  SurfaceSample sample;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const float length = sums[i].norm();
    if (first[i] != i || !(length > 0)) continue;
    sample.points_mm.push_back(whole.vertices_mm[i]);
    sample.normals.push_back(sums[i] / length);
  }
  return sample;
}

TargetSurface::TargetSurface(const Mesh& mesh, WorkerPool& pool)
    : mesh_(mesh),
      nearest_(mesh, pool),
      normals_(with_normals(mesh).normals),
      border_(border_vertices(mesh, pool)) {}

std::optional<TargetSurface::Foot> TargetSurface::find(const Eigen::Vector3d& p_mm,
                                                       double limit_mm) const {
  const auto nearest = nearest_.find(p_mm.cast<float>(), static_cast<float>(limit_mm));
  if (!nearest) return std::nullopt;
  const auto& corners = mesh_.triangles[nearest->triangle];
  Foot foot{nearest->point_mm.cast<double>(), Eigen::Vector3d::Zero(), true};
  bool inner = false;
  int used = 0;
  for (std::size_t k = 0; k < 3; ++k) {
    const float share = nearest->share[static_cast<Eigen::Index>(k)];
    foot.normal += static_cast<double>(share) * normals_[corners[k]].cast<double>();
    if (share <= kOnSide) continue;
    ++used;
    inner = inner || border_[corners[k]] == 0;
  }
  foot.border = used < 3 && !inner;
  foot.normal.normalize();
  return foot;
}

}  // namespace cusp
