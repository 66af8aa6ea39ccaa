// marching_cubes: which triangles a cube of eight samples has.
//
// W. E. Lorensen and H. E. Cline, "Marching cubes", SIGGRAPH 1987, doi:10.1145/37401.37422. The
// table is derived at compile time instead of typed in: on every face the crossing edges are joined
// so that inside corners stay apart, which two cubes that share the face decide alike (no holes);
// the joints close to loops, and loops are cut into triangles without a diagonal that lies in a
// face (no edge with four triangles). Corner c is at (c & 1, c >> 1 & 1, c >> 2). Edges 0-3 run
// along x, 4-7 along y, 8-11 along z; edge 4 * axis + k starts at kEdgeStart. Triangles are
// counter-clockwise seen from outside (where the distance is positive).
#pragma once

#include <array>
#include <cstdint>

namespace cusp::marching_cubes {

inline constexpr int kMaxTriangles = 5;

struct Case {
  int triangles = 0;
  std::array<std::array<std::uint8_t, 3>, kMaxTriangles> edges{};
};

// The corner where an edge starts; it ends at start + (1 << axis).
inline constexpr std::array<std::uint8_t, 12> kEdgeStart = {0, 2, 4, 6, 0, 1, 4, 5, 0, 1, 2, 3};

// Index: bit c is set when corner c is inside.
extern const std::array<Case, 256> kCases;

}  // namespace cusp::marching_cubes
