#include "pipeline/fill_holes.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "core/check.h"
#include "pipeline/clean.h"
#include "pipeline/hole_patch.h"
#include "pipeline/mesh_edges.h"

namespace cusp {
namespace {

// The longest loop of a part is its outer border when a disc with that edge has at least this share
// of the part's area. A flat disc has 1, a lone tooth about 0.2.
constexpr double kMinDiscShare = 0.1;
// More edges than this are no small hole.
constexpr std::size_t kMaxEdges = 4000;

using Loop = std::vector<std::uint32_t>;

double length_mm(const Mesh& mesh, const Loop& loop) {
  double sum = 0;
  for (const std::uint32_t h : loop)
    sum += (mesh.vertices_mm[to_vertex(mesh, h)] - mesh.vertices_mm[from_vertex(mesh, h)])
               .cast<double>()
               .norm();
  return sum;
}

double extent_mm(const Mesh& mesh, const Loop& loop) {
  Eigen::AlignedBox3f box;
  for (const std::uint32_t h : loop) box.extend(mesh.vertices_mm[from_vertex(mesh, h)]);
  return box.diagonal().cast<double>().norm();
}

std::vector<Loop> holes_among(const Mesh& mesh, std::vector<Loop> loops) {
  const Components components = find_components(mesh);
  constexpr auto kNone = ~std::size_t{0};
  std::vector<std::size_t> longest(components.parts.size(), kNone);
  std::vector<double> lengths;
  for (std::size_t i = 0; i < loops.size(); ++i) {
    lengths.push_back(length_mm(mesh, loops[i]));
    std::size_t& best = longest[components.of_triangle[loops[i][0] / 3]];
    if (best == kNone || lengths[i] > lengths[best]) best = i;
  }
  std::vector<Loop> holes;
  for (std::size_t i = 0; i < loops.size(); ++i) {
    const std::uint32_t part = components.of_triangle[loops[i][0] / 3];
    const double disc_mm2 = lengths[i] * lengths[i] / (4 * M_PI);
    if (longest[part] == i && disc_mm2 >= kMinDiscShare * components.parts[part].area_mm2) continue;
    holes.push_back(std::move(loops[i]));
  }
  return holes;
}

// The hole's edge as its patch sees it: the other way round.
HoleEdge edge_of(const Mesh& mesh, const Corners& corners, const Loop& hole,
                 std::vector<std::uint32_t>& vertices) {
  HoleEdge edge;
  std::unordered_map<std::uint32_t, std::uint32_t> number;
  for (auto h = hole.rbegin(); h != hole.rend(); ++h) {
    const std::uint32_t v = to_vertex(mesh, *h);
    number.emplace(v, static_cast<std::uint32_t>(vertices.size()));
    vertices.push_back(v);
    edge.vertices_mm.push_back(mesh.vertices_mm[v]);
    const auto& [a, b, c] = mesh.triangles[*h / 3];
    edge.beyond.push_back((mesh.vertices_mm[b] - mesh.vertices_mm[a])
                              .cross(mesh.vertices_mm[c] - mesh.vertices_mm[a])
                              .normalized());
  }
  edge.neighbours_mm.resize(vertices.size());
  for (std::uint32_t i = 0; i < vertices.size(); ++i) {
    const std::uint32_t v = vertices[i];
    std::set<std::uint32_t> around;
    for (std::size_t k = corners.first[v]; k < corners.first[v + 1]; ++k) {
      const std::uint32_t h = corners.half_edges[k];
      around.insert(to_vertex(mesh, h));
      around.insert(from_vertex(mesh, prev_in_triangle(h)));
    }
    for (const std::uint32_t other : around) {
      const auto found = number.find(other);
      if (found == number.end())
        edge.neighbours_mm[i].push_back(mesh.vertices_mm[other]);
      else
        edge.joined.insert({std::min(i, found->second), std::max(i, found->second)});
    }
  }
  return edge;
}

}  // namespace

std::vector<Loop> find_holes(const Mesh& mesh, WorkerPool& pool) {
  return holes_among(mesh, border_loops(mesh, find_twins(mesh, find_corners(mesh), pool)));
}

HoleReport fill_holes(Mesh& mesh, double max_hole_mm, std::vector<std::uint8_t>& marks,
                      WorkerPool& pool) {
  CUSP_CHECK(marks.empty() || marks.size() == mesh.triangles.size(), "one mark a triangle");
  const Corners corners = find_corners(mesh);
  std::vector<Loop> holes = holes_among(mesh, border_loops(mesh, find_twins(mesh, corners, pool)));
  HoleReport report;
  const auto leave_open = [&](const Loop& hole) {
    ++report.left_open;
    report.largest_open_mm = std::max(report.largest_open_mm, extent_mm(mesh, hole));
  };
  const auto is_small = [&](const Loop& hole) {
    return hole.size() <= kMaxEdges && extent_mm(mesh, hole) <= max_hole_mm;
  };
  const auto large = std::stable_partition(holes.begin(), holes.end(), is_small);
  std::for_each(large, holes.end(), leave_open);
  holes.erase(large, holes.end());

  struct Filled {
    std::optional<Mesh> patch;
    std::vector<std::uint32_t> vertices;
  };
  std::vector<Filled> filled(holes.size());
  pool.for_chunks(holes.size(), 1, [&](std::size_t i, std::size_t) {
    const HoleEdge edge = edge_of(mesh, corners, holes[i], filled[i].vertices);
    filled[i].patch = triangulate_hole(edge);
    if (!filled[i].patch) return;
    refine_patch(*filled[i].patch, edge);
    fair_patch(*filled[i].patch, edge);
  });

  marks.resize(mesh.triangles.size(), 0);
  for (std::size_t i = 0; i < holes.size(); ++i) {
    const auto& [patch, vertices] = filled[i];
    if (!patch) {
      leave_open(holes[i]);
      continue;
    }
    ++report.filled;
    report.filled_mm2 += area_mm2(*patch);
    const std::size_t first = mesh.vertices_mm.size() - vertices.size();
    mesh.vertices_mm.insert(
        mesh.vertices_mm.end(),
        patch->vertices_mm.begin() + static_cast<std::ptrdiff_t>(vertices.size()),
        patch->vertices_mm.end());
    for (auto triangle : patch->triangles) {
      for (std::uint32_t& v : triangle)
        v = v < vertices.size() ? vertices[v] : static_cast<std::uint32_t>(first + v);
      mesh.triangles.push_back(triangle);
      marks.push_back(kFilledMark);
    }
    mesh.normals.clear();
  }
  return report;
}

}  // namespace cusp
