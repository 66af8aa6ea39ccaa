// What colour a finished surface has, place by place: the volume's colours (fuse_colour.h), kept
// when the volume itself goes, at half its resolution: a mean of eight voxels.
//
// Model frame, mm. Threads: pure functions, use the pool; same bits with any number of threads.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/mesh.h"
#include "pipeline/volume.h"
#include "pipeline/worker_pool.h"

namespace cusp {

using Rgb = std::array<std::uint8_t, 3>;

class ColourMap {
 public:
  ColourMap() = default;  // of nothing
  ColourMap(const Volume& volume, WorkerPool& pool);

  // A colour a vertex, between those of the cells around it. Where none was seen, what its
  // neighbours on the surface have, up to some edges away, and the mean of all beyond that. Of
  // nothing: empty.
  [[nodiscard]] std::vector<Rgb> of(const Mesh& mesh, WorkerPool& pool) const;
  [[nodiscard]] bool empty() const { return blocks_.empty(); }

 private:
  static constexpr int kSide = kBlockSide / 2;  // cells of a block
  struct Cell {
    Rgb rgb{};
    bool seen = false;
  };
  using CellBlock = std::array<Cell, static_cast<std::size_t>(kSide* kSide* kSide)>;

  [[nodiscard]] bool between_cells(const Eigen::Vector3f& p_in_model, Rgb& rgb) const;

  float cell_mm_ = 1;
  PlaceTable table_;
  std::vector<CellBlock> blocks_;
};

}  // namespace cusp
