#include "pipeline/clean.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "core/check.h"

namespace cusp {
namespace {

// A triangle is flat when its height is below this share of its longest edge.
constexpr double kMinHeightShare = 1e-5;

struct Cell {
  std::array<std::int64_t, 3> at;
  bool operator==(const Cell&) const = default;
};
struct CellHash {
  std::size_t operator()(const Cell& cell) const {
    std::uint64_t hash = 0;
    for (const std::int64_t part : cell.at)
      hash = (hash ^ static_cast<std::uint64_t>(part)) * 0x9e3779b97f4a7c15ULL + (hash >> 29);
    return static_cast<std::size_t>(hash ^ (hash >> 32));
  }
};

Cell cell_of(const Eigen::Vector3f& p, float grid_mm) {
  Cell cell{};
  for (std::size_t k = 0; k < 3; ++k) {
    const float value = p[static_cast<Eigen::Index>(k)];
    // Adding zero makes -0 and 0 the same bits.
    cell.at[k] = grid_mm > 0 ? std::llround(static_cast<double>(value) / grid_mm)
                             : std::bit_cast<std::int32_t>(value + 0.0F);
  }
  return cell;
}

double triangle_area(const Mesh& mesh, const std::array<std::uint32_t, 3>& t) {
  const Eigen::Vector3d a = mesh.vertices_mm[t[0]].cast<double>();
  const Eigen::Vector3d b = mesh.vertices_mm[t[1]].cast<double>();
  const Eigen::Vector3d c = mesh.vertices_mm[t[2]].cast<double>();
  return 0.5 * (b - a).cross(c - a).norm();
}

bool flat(const Mesh& mesh, const std::array<std::uint32_t, 3>& t) {
  double longest = 0;
  for (std::size_t k = 0; k < 3; ++k)
    longest = std::max(
        longest,
        (mesh.vertices_mm[t[k]] - mesh.vertices_mm[t[(k + 1) % 3]]).cast<double>().squaredNorm());
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

}  // namespace

void weld(Mesh& mesh, float grid_mm) {
  mesh.normals.clear();
  std::unordered_map<Cell, std::uint32_t, CellHash> first;
  first.reserve(mesh.vertices_mm.size());
  std::vector<std::uint32_t> now(mesh.vertices_mm.size());
  std::uint32_t kept = 0;
  for (std::size_t i = 0; i < mesh.vertices_mm.size(); ++i) {
    const auto [entry, is_new] = first.try_emplace(cell_of(mesh.vertices_mm[i], grid_mm), kept);
    if (is_new) mesh.vertices_mm[kept++] = mesh.vertices_mm[i];
    now[i] = entry->second;
  }
  mesh.vertices_mm.resize(kept);
  for (auto& triangle : mesh.triangles)
    for (std::uint32_t& vertex : triangle) vertex = now[vertex];
}

void drop_bad_triangles(Mesh& mesh) {
  std::vector<bool> keep(mesh.triangles.size(), true);
  std::unordered_map<Cell, std::size_t, CellHash> seen;
  seen.reserve(mesh.triangles.size());
  for (std::size_t i = 0; i < mesh.triangles.size(); ++i) {
    std::array<std::uint32_t, 3> sorted = mesh.triangles[i];
    std::sort(sorted.begin(), sorted.end());
    keep[i] = sorted[0] != sorted[1] && sorted[1] != sorted[2] && !flat(mesh, mesh.triangles[i]) &&
              seen.try_emplace(Cell{{sorted[0], sorted[1], sorted[2]}}, i).second;
  }
  keep_triangles(mesh, keep);
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

void keep_triangles(Mesh& mesh, const std::vector<bool>& keep) {
  CUSP_CHECK(keep.size() == mesh.triangles.size(), "one answer a triangle");
  std::vector<bool> used(mesh.vertices_mm.size(), false);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < keep.size(); ++i) {
    if (!keep[i]) continue;
    for (const std::uint32_t vertex : mesh.triangles[i]) used[vertex] = true;
    mesh.triangles[kept++] = mesh.triangles[i];
  }
  mesh.triangles.resize(kept);

  std::vector<std::uint32_t> now(mesh.vertices_mm.size());
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) continue;
    now[i] = next;
    mesh.vertices_mm[next] = mesh.vertices_mm[i];
    if (!mesh.normals.empty()) mesh.normals[next] = mesh.normals[i];
    ++next;
  }
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
