#include "pipeline/mesh_edges.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <span>
#include <utility>

namespace cusp {
namespace {

constexpr std::size_t kGrain = 8192;

// A half-edge between a vertex and a later one.
struct Spoke {
  std::uint32_t other = 0;
  std::uint32_t half_edge = 0;
  bool leaves = false;
};

double size_of(const Mesh& mesh, std::uint32_t h) {
  const auto& t = mesh.triangles[h / 3];
  const Eigen::Vector3d a = mesh.vertices_mm[t[0]].cast<double>();
  return (mesh.vertices_mm[t[1]].cast<double>() - a)
      .cross(mesh.vertices_mm[t[2]].cast<double>() - a)
      .squaredNorm();
}

// All half-edges of one edge: pairs the largest of each direction, lists those that are left over.
void pair_edge(const Mesh& mesh, std::span<const Spoke> edge, std::vector<std::uint32_t>& twin_of,
               std::vector<std::uint32_t>& crowded) {
  if (edge.size() == 1) return;
  std::uint32_t leaving = kNoTwin;
  std::uint32_t coming = kNoTwin;
  for (const Spoke& spoke : edge) {
    std::uint32_t& best = spoke.leaves ? leaving : coming;
    if (best == kNoTwin ||
        (edge.size() > 2 && size_of(mesh, spoke.half_edge) > size_of(mesh, best)))
      best = spoke.half_edge;
  }
  if (leaving != kNoTwin && coming != kNoTwin) {
    twin_of[leaving] = coming;
    twin_of[coming] = leaving;
    if (edge.size() == 2) return;
  }
  for (const Spoke& spoke : edge)
    if (twin_of[spoke.half_edge] == kNoTwin) crowded.push_back(spoke.half_edge);
}

}  // namespace

Corners find_corners(const Mesh& mesh) {
  Corners corners;
  corners.first.assign(mesh.vertices_mm.size() + 1, 0);
  for (const auto& t : mesh.triangles)
    for (const std::uint32_t vertex : t) ++corners.first[vertex + 1];
  for (std::size_t v = 0; v < mesh.vertices_mm.size(); ++v)
    corners.first[v + 1] += corners.first[v];
  corners.half_edges.resize(mesh.triangles.size() * 3);
  std::vector<std::uint32_t> next(corners.first.begin(), corners.first.end() - 1);
  std::uint32_t h = 0;
  for (const auto& t : mesh.triangles)
    for (const std::uint32_t vertex : t) corners.half_edges[next[vertex]++] = h++;
  return corners;
}

Twins find_twins(const Mesh& mesh, const Corners& corners, WorkerPool& pool) {
  const std::size_t vertices = mesh.vertices_mm.size();
  Twins twins;
  twins.of.assign(mesh.triangles.size() * 3, kNoTwin);
  std::vector<std::vector<std::uint32_t>> crowded((vertices + kGrain - 1) / kGrain);
  pool.for_chunks(vertices, kGrain, [&](std::size_t begin, std::size_t end) {
    std::vector<Spoke> spokes;
    for (auto v = static_cast<std::uint32_t>(begin); v < end; ++v) {
      spokes.clear();
      for (std::size_t i = corners.first[v]; i < corners.first[v + 1]; ++i) {
        const std::uint32_t leaving = corners.half_edges[i];
        const std::uint32_t coming = prev_in_triangle(leaving);
        if (const std::uint32_t to = to_vertex(mesh, leaving); to > v)
          spokes.push_back({to, leaving, true});
        if (const std::uint32_t from = from_vertex(mesh, coming); from > v)
          spokes.push_back({from, coming, false});
      }
      std::sort(spokes.begin(), spokes.end(), [](const Spoke& a, const Spoke& b) {
        return a.other != b.other ? a.other < b.other : a.half_edge < b.half_edge;
      });
      for (std::size_t first = 0; first < spokes.size();) {
        std::size_t last = first + 1;
        while (last < spokes.size() && spokes[last].other == spokes[first].other) ++last;
        pair_edge(mesh, std::span(spokes).subspan(first, last - first), twins.of,
                  crowded[begin / kGrain]);
        first = last;
      }
    }
  });
  for (const auto& part : crowded)
    twins.crowded.insert(twins.crowded.end(), part.begin(), part.end());
  return twins;
}

std::vector<std::vector<std::uint32_t>> border_loops(const Mesh& mesh, const Twins& twins) {
  // In a manifold one border half-edge leaves each border vertex.
  std::vector<std::uint32_t> leaving(mesh.vertices_mm.size(), kNoTwin);
  std::vector<std::uint32_t> border;
  for (std::uint32_t h = 0; h < twins.of.size(); ++h)
    if (twins.of[h] == kNoTwin) {
      leaving[from_vertex(mesh, h)] = h;
      border.push_back(h);
    }
  std::vector<std::vector<std::uint32_t>> loops;
  for (const std::uint32_t start : border) {
    std::uint32_t h = std::exchange(leaving[from_vertex(mesh, start)], kNoTwin);
    if (h == kNoTwin) continue;
    auto& loop = loops.emplace_back();
    while (h != kNoTwin) {
      loop.push_back(h);
      h = std::exchange(leaving[to_vertex(mesh, h)], kNoTwin);
    }
  }
  return loops;
}

}  // namespace cusp
