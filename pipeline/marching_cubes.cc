#include "pipeline/marching_cubes.h"

namespace cusp::marching_cubes {
namespace {

constexpr int kNoEdge = -1;
constexpr int kMaxLoop = 12;

// Corners of the six faces, counter-clockwise seen from outside the cube.
constexpr std::array<std::array<int, 4>, 6> kFaces = {
    {{0, 4, 6, 2}, {1, 3, 7, 5}, {0, 1, 5, 4}, {2, 6, 7, 3}, {0, 2, 3, 1}, {4, 5, 7, 6}}};

constexpr int edge_between(int a, int b) {
  const int start = a < b ? a : b;
  const int axis = (a ^ b) >> 1;  // 1, 2, 4 -> 0, 1, 2
  for (int k = 0; k < 4; ++k)
    if (kEdgeStart[static_cast<std::size_t>(4 * axis + k)] == start) return 4 * axis + k;
  return kNoEdge;
}

constexpr bool on_face(int edge, const std::array<int, 4>& face) {
  for (std::size_t k = 0; k < 4; ++k)
    if (edge_between(face[k], face[(k + 1) % 4]) == edge) return true;
  return false;
}

constexpr bool share_face(int a, int b) {
  for (const auto& face : kFaces)
    if (on_face(a, face) && on_face(b, face)) return true;
  return false;
}

constexpr bool inside(int cube, int corner) { return (cube >> corner & 1) != 0; }

// For every crossing edge the one that follows on the loop around the inside.
constexpr std::array<int, 12> joints(int cube) {
  std::array<int, 12> next{};
  next.fill(kNoEdge);
  for (const auto& face : kFaces) {
    for (std::size_t k = 0; k < 4; ++k) {
      // A run of inside corners begins at k: the joint goes from the edge where it ends to the edge
      // where it begins.
      if (!inside(cube, face[k]) || inside(cube, face[(k + 3) % 4])) continue;
      std::size_t last = k;
      while (inside(cube, face[(last + 1) % 4])) last = (last + 1) % 4;
      const int begin = edge_between(face[(k + 3) % 4], face[k]);
      const int end = edge_between(face[last], face[(last + 1) % 4]);
      next[static_cast<std::size_t>(begin)] = end;
    }
  }
  return next;
}

struct Loop {
  int size = 0;
  std::array<int, kMaxLoop> edges{};
};

constexpr int at(const Loop& loop, int i) { return loop.edges[static_cast<std::size_t>(i)]; }

// Cuts loop[first..last] into triangles; false when every cut has a diagonal in a face.
constexpr bool cut(const Loop& loop, int first, int last, Case& result) {
  if (last - first < 2) return true;
  for (int tip = first + 1; tip < last; ++tip) {
    if (tip - first > 1 && share_face(at(loop, first), at(loop, tip))) continue;
    if (last - tip > 1 && share_face(at(loop, tip), at(loop, last))) continue;
    const int before = result.triangles;
    auto& triangle = result.edges[static_cast<std::size_t>(result.triangles++)];
    triangle = {static_cast<std::uint8_t>(at(loop, first)),
                static_cast<std::uint8_t>(at(loop, tip)),
                static_cast<std::uint8_t>(at(loop, last))};
    if (cut(loop, first, tip, result) && cut(loop, tip, last, result)) return true;
    result.triangles = before;
  }
  return false;
}

constexpr Case make_case(int cube) {
  Case result;
  const std::array<int, 12> next = joints(cube);
  std::array<bool, 12> used{};
  for (int start = 0; start < 12; ++start) {
    if (next[static_cast<std::size_t>(start)] == kNoEdge || used[static_cast<std::size_t>(start)])
      continue;
    Loop loop;
    for (int edge = start; !used[static_cast<std::size_t>(edge)];
         edge = next[static_cast<std::size_t>(edge)]) {
      used[static_cast<std::size_t>(edge)] = true;
      loop.edges[static_cast<std::size_t>(loop.size++)] = edge;
    }
    if (!cut(loop, 0, loop.size - 1, result)) throw "a loop that cannot be cut";
  }
  return result;
}

constexpr std::array<Case, 256> make_cases() {
  std::array<Case, 256> cases{};
  for (int cube = 0; cube < 256; ++cube) cases[static_cast<std::size_t>(cube)] = make_case(cube);
  return cases;
}

}  // namespace

constexpr std::array<Case, 256> kDerivedCases = make_cases();
const std::array<Case, 256> kCases = kDerivedCases;

}  // namespace cusp::marching_cubes
