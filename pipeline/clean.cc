#include "pipeline/clean.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>

#include "core/check.h"
#include "pipeline/first_equal.h"

namespace cusp {
namespace {

constexpr std::size_t kGrain = 32768;
// A triangle is flat when its height is below this share of its longest edge.
constexpr double kMinHeightShare = 1e-5;

using Triangle = std::array<std::uint32_t, 3>;

std::array<std::int64_t, 3> cell_of(const Eigen::Vector3f& p, float grid_mm) {
  std::array<std::int64_t, 3> cell{};
  for (std::size_t k = 0; k < 3; ++k) {
    const float value = p[static_cast<Eigen::Index>(k)];
    // Adding zero makes -0 and 0 the same bits.
    cell[k] = grid_mm > 0 ? std::llround(static_cast<double>(value) / grid_mm)
                          : std::bit_cast<std::int32_t>(value + 0.0F);
  }
  return cell;
}

template <typename Integer>
std::uint64_t hash_of(const std::array<Integer, 3>& key) {
  std::uint64_t hash = 0;
  for (const Integer part : key) hash = mix_bits(hash + static_cast<std::uint64_t>(part));
  return hash;
}

Triangle sorted(Triangle t) {
  if (t[0] > t[1]) std::swap(t[0], t[1]);
  if (t[1] > t[2]) std::swap(t[1], t[2]);
  if (t[0] > t[1]) std::swap(t[0], t[1]);
  return t;
}

double triangle_area(const Mesh& mesh, const Triangle& t) {
  const Eigen::Vector3d a = mesh.vertices_mm[t[0]].cast<double>();
  const Eigen::Vector3d b = mesh.vertices_mm[t[1]].cast<double>();
  const Eigen::Vector3d c = mesh.vertices_mm[t[2]].cast<double>();
  return 0.5 * (b - a).cross(c - a).norm();
}

double edge_mm2(const Mesh& mesh, std::uint32_t a, std::uint32_t b) {
  return (mesh.vertices_mm[a].cast<double>() - mesh.vertices_mm[b].cast<double>()).squaredNorm();
}

bool flat(const Mesh& mesh, const Triangle& t) {
  const double longest = std::max(
      {edge_mm2(mesh, t[0], t[1]), edge_mm2(mesh, t[1], t[2]), edge_mm2(mesh, t[2], t[0])});
  return 2 * triangle_area(mesh, t) <= kMinHeightShare * longest;
}

class DisjointSets {
 public:
  explicit DisjointSets(std::size_t count) : parent_(count) {
    std::iota(parent_.begin(), parent_.end(), 0U);
  }
  std::uint32_t find(std::uint32_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(std::uint32_t a, std::uint32_t b) {
    const std::uint32_t ra = find(a);
    const std::uint32_t rb = find(b);
    parent_[std::max(ra, rb)] = std::min(ra, rb);
  }

 private:
  std::vector<std::uint32_t> parent_;
};

// Calls visit(h) for the corners of one fan, from any of them on.
template <typename Visit>
void walk_fan(const Twins& twins, std::uint32_t start, const Visit& visit) {
  std::uint32_t h = start;
  do {
    visit(h);
    h = twins.of[prev_in_triangle(h)];
  } while (h != kNoTwin && h != start);
  if (h == start) return;
  for (h = twins.of[start]; h != kNoTwin; h = twins.of[h]) {
    h = next_in_triangle(h);
    visit(h);
  }
}

// Each fan of a vertex gets a vertex of its own; the fan of the first corner keeps the old one.
void split_fans(Mesh& mesh, const Corners& corners, const Twins& twins, WorkerPool& pool) {
  const std::size_t count = mesh.vertices_mm.size();
  std::vector<std::vector<std::uint32_t>> parts((count + kGrain - 1) / kGrain);
  pool.for_chunks(count, kGrain, [&](std::size_t begin, std::size_t end) {
    for (auto v = static_cast<std::uint32_t>(begin); v < end; ++v) {
      const std::size_t size = corners.first[v + 1] - corners.first[v];
      if (size < 2) continue;
      std::size_t in_fan = 0;
      walk_fan(twins, corners.half_edges[corners.first[v]], [&](std::uint32_t) { ++in_fan; });
      if (in_fan != size) parts[begin / kGrain].push_back(v);
    }
  });
  std::vector<bool> seen;
  for (const auto& part : parts)
    for (const std::uint32_t v : part) {
      if (seen.empty()) seen.assign(corners.half_edges.size(), false);
      for (std::size_t i = corners.first[v]; i < corners.first[v + 1]; ++i) {
        const std::uint32_t start = corners.half_edges[i];
        if (seen[start]) continue;
        std::uint32_t vertex = v;
        if (i != corners.first[v]) {
          vertex = static_cast<std::uint32_t>(mesh.vertices_mm.size());
          mesh.vertices_mm.push_back(Eigen::Vector3f(mesh.vertices_mm[v]));
          if (!mesh.normals.empty()) mesh.normals.push_back(Eigen::Vector3f(mesh.normals[v]));
        }
        walk_fan(twins, start, [&](std::uint32_t h) {
          seen[h] = true;
          mesh.triangles[h / 3][h % 3] = vertex;
        });
      }
    }
}

bool spike(const Mesh& mesh, const Twins& twins, const std::vector<std::uint8_t>& keep,
           std::uint32_t t) {
  int borders = 0;
  std::uint32_t root = 0;  // the half-edge that it hangs by
  for (std::uint32_t h = 3 * t; h < 3 * t + 3; ++h)
    if (twins.of[h] == kNoTwin || keep[twins.of[h] / 3] == 0)
      ++borders;
    else
      root = h;
  if (borders != 2) return false;
  const std::uint32_t a = from_vertex(mesh, root);
  const std::uint32_t b = to_vertex(mesh, root);
  const std::uint32_t tip = to_vertex(mesh, next_in_triangle(root));
  return edge_mm2(mesh, a, b) < std::min(edge_mm2(mesh, a, tip), edge_mm2(mesh, b, tip));
}

}  // namespace

void weld(Mesh& mesh, float grid_mm, WorkerPool& pool) {
  mesh.normals.clear();
  const auto cell = [&](std::size_t i) { return cell_of(mesh.vertices_mm[i], grid_mm); };
  std::vector<std::uint32_t> now = first_equal(
      mesh.vertices_mm.size(), [&](std::size_t i) { return hash_of(cell(i)); },
      [&](std::size_t i, std::size_t j) { return cell(i) == cell(j); }, pool);
  std::uint32_t kept = 0;
  for (std::size_t i = 0; i < now.size(); ++i) {
    const bool is_first = now[i] == i;
    if (is_first) mesh.vertices_mm[kept] = mesh.vertices_mm[i];
    now[i] = is_first ? kept++ : now[now[i]];
  }
  mesh.vertices_mm.resize(kept);
  pool.for_chunks(mesh.triangles.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      for (std::uint32_t& vertex : mesh.triangles[i]) vertex = now[vertex];
  });
}

void drop_bad_triangles(Mesh& mesh, WorkerPool& pool) {
  const auto key = [&](std::size_t i) { return sorted(mesh.triangles[i]); };
  const std::vector<std::uint32_t> first = first_equal(
      mesh.triangles.size(), [&](std::size_t i) { return hash_of(key(i)); },
      [&](std::size_t i, std::size_t j) { return key(i) == key(j); }, pool);
  std::vector<std::uint8_t> keep(mesh.triangles.size());
  pool.for_chunks(keep.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const Triangle& t = mesh.triangles[i];
      keep[i] = t[0] != t[1] && t[1] != t[2] && t[2] != t[0] && first[i] == i && !flat(mesh, t);
    }
  });
  keep_triangles(mesh, keep);
}

Twins make_manifold(Mesh& mesh, WorkerPool& pool) {
  Corners corners = find_corners(mesh);
  Twins twins = find_twins(mesh, corners, pool);
  split_fans(mesh, corners, twins, pool);
  if (twins.crowded.empty()) return twins;

  // A fan may come back to its vertex's edge from the other side: then cutting left it crowded.
  corners = find_corners(mesh);
  twins = find_twins(mesh, corners, pool);
  if (!twins.crowded.empty()) {
    std::vector<std::uint8_t> keep(mesh.triangles.size(), 1);
    for (const std::uint32_t h : twins.crowded) keep[h / 3] = 0;
    keep_triangles(mesh, keep);
    corners = find_corners(mesh);
    twins = find_twins(mesh, corners, pool);
    CUSP_CHECK(twins.crowded.empty(), "no edge kept more than two triangles");
  }
  split_fans(mesh, corners, twins, pool);
  return twins;
}

Components find_components(const Mesh& mesh) {
  DisjointSets sets(mesh.vertices_mm.size());
  for (const auto& t : mesh.triangles) {
    sets.join(t[0], t[1]);
    sets.join(t[1], t[2]);
  }
  constexpr auto kNone = ~std::uint32_t{0};
  std::vector<std::uint32_t> part_of_root(mesh.vertices_mm.size(), kNone);
  Components result;
  result.of_triangle.reserve(mesh.triangles.size());
  for (const auto& t : mesh.triangles) {
    std::uint32_t& part = part_of_root[sets.find(t[0])];
    if (part == kNone) {
      part = static_cast<std::uint32_t>(result.parts.size());
      result.parts.emplace_back();
    }
    result.of_triangle.push_back(part);
    ++result.parts[part].triangles;
    result.parts[part].area_mm2 += triangle_area(mesh, t);
  }
  return result;
}

std::size_t find_spikes(const Mesh& mesh, const Twins& twins, int rounds,
                        std::vector<std::uint8_t>& keep, WorkerPool& pool) {
  CUSP_CHECK(keep.size() == mesh.triangles.size(), "one answer a triangle");
  std::size_t found = 0;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::vector<std::uint32_t>> parts((keep.size() + kGrain - 1) / kGrain);
    pool.for_chunks(keep.size(), kGrain, [&](std::size_t begin, std::size_t end) {
      for (auto t = static_cast<std::uint32_t>(begin); t < end; ++t)
        if (keep[t] != 0 && spike(mesh, twins, keep, t)) parts[begin / kGrain].push_back(t);
    });
    std::size_t now = 0;
    for (const auto& part : parts)
      for (const std::uint32_t t : part) {
        keep[t] = 0;
        ++now;
      }
    if (now == 0) break;
    found += now;
  }
  return found;
}

void keep_triangles(Mesh& mesh, const std::vector<std::uint8_t>& keep) {
  CUSP_CHECK(keep.size() == mesh.triangles.size(), "one answer a triangle");
  std::vector<std::uint8_t> used(mesh.vertices_mm.size(), 0);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < keep.size(); ++i) {
    if (keep[i] == 0) continue;
    for (const std::uint32_t vertex : mesh.triangles[i]) used[vertex] = 1;
    mesh.triangles[kept++] = mesh.triangles[i];
  }
  mesh.triangles.resize(kept);

  std::vector<std::uint32_t> now(mesh.vertices_mm.size());
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (used[i] == 0) continue;
    now[i] = next;
    mesh.vertices_mm[next] = mesh.vertices_mm[i];
    if (!mesh.normals.empty()) mesh.normals[next] = mesh.normals[i];
    ++next;
  }
  if (next == used.size()) return;
  mesh.vertices_mm.resize(next);
  if (!mesh.normals.empty()) mesh.normals.resize(next);
  for (auto& triangle : mesh.triangles)
    for (std::uint32_t& vertex : triangle) vertex = now[vertex];
}

double area_mm2(const Mesh& mesh) {
  double sum = 0;
  for (const auto& triangle : mesh.triangles) sum += triangle_area(mesh, triangle);
  return sum;
}

}  // namespace cusp
