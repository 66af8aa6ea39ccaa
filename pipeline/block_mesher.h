// BlockMesher: marching cubes over one block of a volume and the first voxels of its neighbours.
//
// Rows of signs and of "was seen" are bit masks, so that cubes which the surface does not cross
// cost next to nothing; only blocks with a crossing are copied out. Vertices stay away from the
// ends of their edge by kEndGap: triangles without area help nobody. A vertex has the same bits in
// every block that has it. Units and levels: live_mesh.h. Threads: one mesher a thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "pipeline/live_mesh.h"

namespace cusp {

class BlockMesher {
 public:
  // Voxels below min_weight (steps) are taken as never seen.
  BlockMesher(const Volume& volume, std::uint16_t min_weight)
      : volume_(volume), min_weight_(min_weight) {}

  // False: the surface does not cross a cube of this block. What it made is kept until the next.
  bool mesh(std::uint32_t block);
  [[nodiscard]] const std::vector<PatchVertex>& vertices() const { return vertices_; }
  [[nodiscard]] const std::vector<PatchTriangle>& triangles() const { return triangles_; }

 private:
  static constexpr int kCubeRows = kBlockSide + 1;  // voxels 0..8
  static constexpr int kSide = kBlockSide + 3;      // voxels -1..9
  static constexpr int kStride = kBlockSide + 4;
  static constexpr int kEdgePlace = kCubeRows * kCubeRows * kCubeRows;  // an axis
  static constexpr std::uint16_t kNoVertex = 0xffff;

  struct Masks {
    unsigned inside = 0, seen = 0;
  };

  [[nodiscard]] static std::size_t at(int x, int y, int z) {
    return static_cast<std::size_t>((x + 1) + kStride * ((y + 1) + kSide * (z + 1)));
  }
  [[nodiscard]] static std::size_t cube_row(int y, int z) {
    return static_cast<std::size_t>(y + kCubeRows * z);
  }
  [[nodiscard]] const Block* around(int dx, int dy, int dz) const {
    return around_[BlockInfo::neighbour_at(dx, dy, dz)];
  }
  [[nodiscard]] bool may_cross() const;
  void read_rows(int y, int z);
  [[nodiscard]] bool find_cubes();
  void copy_out();
  void find_whole_cubes();
  void mesh_cube(int x, int y, int z);
  std::uint16_t add_vertex(int x, int y, int z, int axis);
  [[nodiscard]] float slope(std::size_t voxel, std::size_t step) const;
  [[nodiscard]] std::array<std::uint8_t, 3> colour_between(int x, int y, int z, int axis,
                                                           float share) const;
  [[nodiscard]] bool on_rim(int x, int y, int z, int axis) const;

  const Volume& volume_;
  std::uint16_t min_weight_;
  const BlockInfo* info_ = nullptr;
  bool coloured_ = false;     // some block around has colours
  bool wide_enough_ = false;  // seen from directions far enough apart
  std::array<const Block*, 27> around_{};
  std::array<const ColourBlock*, 27> colours_{};
  std::array<Masks, kCubeRows * kCubeRows> rows_{};
  std::array<std::uint8_t, kBlockSide * kBlockSide> cubes_{};  // that the surface crosses
  std::array<std::int16_t, kStride * kSide * kSide> distance_{};
  std::array<std::uint16_t, kStride * kSide * kSide> weight_{};
  // Cubes -1..8 whose corners were all seen: bit x + 1.
  std::array<std::uint16_t, 10 * 10> whole_{};
  std::array<std::uint16_t, 3 * kEdgePlace> vertex_of_edge_{};
  std::vector<PatchVertex> vertices_;
  std::vector<PatchTriangle> triangles_;
};

}  // namespace cusp
