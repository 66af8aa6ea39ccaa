#include "pipeline/mesh.h"

#include <algorithm>
#include <memory>

#include "core/check.h"
#include "pipeline/marching_cubes.h"

namespace cusp {
namespace {

constexpr std::size_t kBlocksAChunk = 16;
constexpr int kPadded = kBlockSide + 1;  // a block and the first voxels of its neighbours
// Vertices keep this share of an edge away from its ends: triangles without area help nobody.
constexpr float kEndGap = 0.02F;

// A block with its neighbours' first layer.
class PaddedBlock {
 public:
  // False when no cube of the block can have triangles.
  bool load(const Volume& volume, const Block& block, float min_weight) {
    std::array<const Block*, 8> around{};
    around[0] = &block;
    for (int k = 1; k < 8; ++k) {
      const std::size_t found =
          volume.find(block.index + Eigen::Vector3i(k & 1, (k >> 1) & 1, k >> 2));
      around[static_cast<std::size_t>(k)] = found == Volume::kNone ? nullptr : &volume.block(found);
    }
    bool any_inside = false;
    bool any_outside = false;
    for (int z = 0; z < kPadded; ++z) {
      for (int y = 0; y < kPadded; ++y) {
        for (int x = 0; x < kPadded; ++x) {
          const Block* from =
              around[static_cast<std::size_t>((x >> 3) + 2 * (y >> 3) + 4 * (z >> 3))];
          Voxel voxel;
          if (from != nullptr) voxel = from->voxels[Block::at(x & 7, y & 7, z & 7)];
          const std::size_t i = at(x, y, z);
          distance_[i] = voxel.distance_mm;
          seen_[i] = voxel.weight >= min_weight;
          any_inside |= seen_[i] && voxel.distance_mm < 0;
          any_outside |= seen_[i] && voxel.distance_mm >= 0;
        }
      }
    }
    return any_inside && any_outside;
  }

  // The cube's case; 0 when a corner was not seen.
  [[nodiscard]] int cube(int x, int y, int z) const {
    int bits = 0;
    for (int c = 0; c < 8; ++c) {
      const std::size_t i = at(x + (c & 1), y + ((c >> 1) & 1), z + (c >> 2));
      if (!seen_[i]) return 0;
      if (distance_[i] < 0) bits |= 1 << c;
    }
    return bits;
  }

  [[nodiscard]] float distance(int x, int y, int z) const { return distance_[at(x, y, z)]; }

 private:
  static std::size_t at(int x, int y, int z) {
    return static_cast<std::size_t>(x + kPadded * (y + kPadded * z));
  }
  std::array<float, kPadded * kPadded * kPadded> distance_{};
  std::array<bool, kPadded * kPadded * kPadded> seen_{};
};

// An edge of the grid: the voxel where it starts, its axis, and so its place in the block that owns
// that voxel.
constexpr std::size_t kEdgesABlock = 3 * kBlockVoxels;
constexpr std::uint32_t kUnused = ~std::uint32_t{0};
struct EdgeRef {
  std::size_t block;
  std::uint32_t edge;  // 3 * voxel + axis
};

struct BlockSurface {
  std::vector<std::array<EdgeRef, 3>> triangles;
  std::vector<std::uint32_t>
      vertex_of_edge;  // of the edges that the block owns; empty, or kEdgesABlock
};

class Extractor {
 public:
  Extractor(const Volume& volume, float min_weight)
      : volume_(volume), min_weight_(min_weight), surfaces_(volume.size()) {}

  void find_triangles(std::size_t b) {
    const Block& block = volume_.block(b);
    PaddedBlock padded;
    if (!padded.load(volume_, block, min_weight_)) return;
    for (int z = 0; z < kBlockSide; ++z)
      for (int y = 0; y < kBlockSide; ++y)
        for (int x = 0; x < kBlockSide; ++x) {
          const marching_cubes::Case& found =
              marching_cubes::kCases[static_cast<std::size_t>(padded.cube(x, y, z))];
          for (int t = 0; t < found.triangles; ++t) {
            std::array<EdgeRef, 3> triangle{};
            for (std::size_t k = 0; k < 3; ++k)
              triangle[k] = edge_ref(b, {x, y, z}, found.edges[static_cast<std::size_t>(t)][k]);
            surfaces_[b].triangles.push_back(triangle);
          }
        }
  }

  // Vertices for the edges that some triangle uses; sequential, so that their order is fixed.
  void number_edges() {
    for (std::size_t b = 0; b < surfaces_.size(); ++b) {
      for (const auto& triangle : surfaces_[b].triangles) {
        for (const EdgeRef& ref : triangle) {
          BlockSurface& owner = surfaces_[ref.block];
          if (owner.vertex_of_edge.empty()) owner.vertex_of_edge.assign(kEdgesABlock, kUnused);
          std::uint32_t& vertex = owner.vertex_of_edge[ref.edge];
          if (vertex == kUnused) vertex = vertex_count_++;
        }
      }
      triangle_count_ += surfaces_[b].triangles.size();
    }
  }

  [[nodiscard]] Mesh mesh(WorkerPool& pool) const {
    Mesh mesh;
    mesh.vertices_mm.resize(vertex_count_);
    mesh.triangles.resize(triangle_count_);
    std::vector<std::size_t> first(surfaces_.size(), 0);
    for (std::size_t b = 1; b < first.size(); ++b)
      first[b] = first[b - 1] + surfaces_[b - 1].triangles.size();
    pool.for_chunks(surfaces_.size(), kBlocksAChunk, [&](std::size_t begin, std::size_t end) {
      for (std::size_t b = begin; b < end; ++b) {
        place_vertices(b, mesh);
        for (std::size_t t = 0; t < surfaces_[b].triangles.size(); ++t)
          for (std::size_t k = 0; k < 3; ++k) {
            const EdgeRef& ref = surfaces_[b].triangles[t][k];
            mesh.triangles[first[b] + t][k] = surfaces_[ref.block].vertex_of_edge[ref.edge];
          }
      }
    });
    return mesh;
  }

 private:
  [[nodiscard]] EdgeRef edge_ref(std::size_t b, const Eigen::Vector3i& cube, int edge) const {
    const int corner = marching_cubes::kEdgeStart[static_cast<std::size_t>(edge)];
    const Eigen::Vector3i voxel =
        cube + Eigen::Vector3i(corner & 1, (corner >> 1) & 1, corner >> 2);
    const Eigen::Vector3i over = block_of_voxel(voxel);
    std::size_t owner = b;
    if (!over.isZero()) owner = volume_.find(volume_.block(b).index + over);
    CUSP_CHECK(owner != Volume::kNone, "a seen voxel has a block");
    const std::size_t local = Block::at(voxel.x() & 7, voxel.y() & 7, voxel.z() & 7);
    return {.block = owner,
            .edge = static_cast<std::uint32_t>(3 * local) + static_cast<std::uint32_t>(edge / 4)};
  }

  void place_vertices(std::size_t b, Mesh& mesh) const {
    const BlockSurface& surface = surfaces_[b];
    if (surface.vertex_of_edge.empty()) return;
    const Block& block = volume_.block(b);
    PaddedBlock padded;
    padded.load(volume_, block, min_weight_);
    for (std::size_t edge = 0; edge < kEdgesABlock; ++edge) {
      const std::uint32_t vertex = surface.vertex_of_edge[edge];
      if (vertex == kUnused) continue;
      const auto local = static_cast<int>(edge / 3);
      const int axis = static_cast<int>(edge % 3);
      const Eigen::Vector3i start(local & 7, (local >> 3) & 7, local >> 6);
      const Eigen::Vector3i end = start + Eigen::Vector3i::Unit(axis);
      const float from = padded.distance(start.x(), start.y(), start.z());
      const float to = padded.distance(end.x(), end.y(), end.z());
      const float share = std::clamp(from / (from - to), kEndGap, 1 - kEndGap);
      mesh.vertices_mm[vertex] =
          ((block.index * kBlockSide + start).cast<float>() + share * Eigen::Vector3f::Unit(axis)) *
          volume_.voxel_mm();
    }
  }

  const Volume& volume_;
  float min_weight_;
  std::vector<BlockSurface> surfaces_;
  std::uint32_t vertex_count_ = 0;
  std::size_t triangle_count_ = 0;
};

}  // namespace

Mesh extract_mesh(const Volume& volume, float min_weight, WorkerPool& pool) {
  Extractor extractor(volume, min_weight);
  pool.for_chunks(volume.size(), kBlocksAChunk, [&](std::size_t begin, std::size_t end) {
    for (std::size_t b = begin; b < end; ++b) extractor.find_triangles(b);
  });
  extractor.number_edges();
  return extractor.mesh(pool);
}

}  // namespace cusp
