// What a manifold is, asked in the plainest way; and meshes that are none.
#pragma once

#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "core/mesh.h"

namespace cusp::testing {

// Empty when every edge has one triangle or two of opposite directions, and the triangles of every
// vertex hang together by its edges.
inline std::string manifold_fault(const Mesh& mesh) {
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::size_t> edge;
  std::map<std::uint32_t, std::set<std::size_t>> around;
  for (std::size_t t = 0; t < mesh.triangles.size(); ++t)
    for (std::size_t k = 0; k < 3; ++k) {
      const std::uint32_t a = mesh.triangles[t][k];
      const std::uint32_t b = mesh.triangles[t][(k + 1) % 3];
      if (a == b) return "triangle " + std::to_string(t) + " uses a vertex twice";
      if (!edge.emplace(std::pair(a, b), t).second)
        return "two triangles on edge " + std::to_string(a) + "-" + std::to_string(b);
      around[a].insert(t);
    }
  for (auto& [vertex, triangles] : around) {
    std::set<std::size_t> left = triangles;
    std::vector<std::size_t> open = {*left.begin()};
    left.erase(left.begin());
    while (!open.empty()) {
      const std::size_t t = open.back();
      open.pop_back();
      for (const std::uint32_t other : mesh.triangles[t])
        for (const auto& key : {std::pair(vertex, other), std::pair(other, vertex)})
          if (const auto found = edge.find(key); found != edge.end() && left.erase(found->second))
            open.push_back(found->second);
    }
    if (!left.empty()) return "vertex " + std::to_string(vertex) + " has two fans";
  }
  return "";
}

inline bool watertight(const Mesh& mesh) {
  std::set<std::pair<std::uint32_t, std::uint32_t>> edges;
  for (const auto& t : mesh.triangles)
    for (std::size_t k = 0; k < 3; ++k) edges.emplace(t[k], t[(k + 1) % 3]);
  for (const auto& [a, b] : edges)
    if (!edges.contains({b, a})) return false;
  return !mesh.empty();
}

inline double volume_mm3(const Mesh& mesh) {
  double sum = 0;
  for (const auto& [a, b, c] : mesh.triangles)
    sum += mesh.vertices_mm[a].cast<double>().dot(
        mesh.vertices_mm[b].cast<double>().cross(mesh.vertices_mm[c].cast<double>()));
  return sum / 6;
}

// Triangles between vertices at random; most edges have many.
inline Mesh random_soup(unsigned seed, std::size_t vertices, std::size_t triangles) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> place(-1, 1);
  std::uniform_int_distribution<std::uint32_t> pick(0, static_cast<std::uint32_t>(vertices - 1));
  Mesh mesh;
  for (std::size_t i = 0; i < vertices; ++i)
    mesh.vertices_mm.emplace_back(place(random), place(random), place(random));
  for (std::size_t i = 0; i < triangles; ++i)
    mesh.triangles.push_back({pick(random), pick(random), pick(random)});
  return mesh;
}

}  // namespace cusp::testing
