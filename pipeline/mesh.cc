#include "pipeline/mesh.h"

#include <algorithm>
#include <array>
#include <bit>

namespace cusp {
namespace {

constexpr std::uint32_t kFree = ~std::uint32_t{0};

// Numbers of the vertices that lie between blocks, found by the bits of their position.
class SharedVertices {
 public:
  SharedVertices(const std::vector<Eigen::Vector3f>& points, std::size_t most)
      : points_(points), slots_(std::bit_ceil(2 * most + 2), kFree) {}

  // The number of the vertex that lies there, or `next`, which it then has.
  std::uint32_t find_or_add(const Eigen::Vector3f& point, std::uint32_t next) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = hash(point) & mask;
    while (slots_[slot] != kFree && points_[slots_[slot]] != point) slot = (slot + 1) & mask;
    if (slots_[slot] == kFree) slots_[slot] = next;
    return slots_[slot];
  }

 private:
  static std::size_t hash(const Eigen::Vector3f& point) {
    std::uint64_t bits = 0;
    for (int k = 0; k < 3; ++k) {
      // Adding zero makes -0 and 0 the same bits.
      bits ^= std::bit_cast<std::uint32_t>(point[k] + 0.0F);
      bits *= 0x9e3779b97f4a7c15ULL;
      bits ^= bits >> 29;
    }
    return static_cast<std::size_t>(bits);
  }

  const std::vector<Eigen::Vector3f>& points_;
  std::vector<std::uint32_t> slots_;
};

bool on_border(const PatchVertex& vertex) {
  return std::ranges::any_of(vertex.position, [](std::uint16_t step) {
    return step == 0 || step == kBlockSide * kPatchSteps;
  });
}

}  // namespace

Mesh weld(const LiveMesh& patches) {
  std::size_t on_borders = 0;
  for (std::size_t i = 0; i < patches.size(); ++i)
    on_borders +=
        static_cast<std::size_t>(std::ranges::count_if(patches.patch(i).vertices, on_border));
  Mesh mesh;
  mesh.vertices_mm.reserve(patches.vertex_count() - on_borders / 2);
  mesh.triangles.reserve(patches.triangle_count());
  SharedVertices shared(mesh.vertices_mm, on_borders);
  std::vector<std::uint32_t> number;
  for (std::size_t i = 0; i < patches.size(); ++i) {
    const MeshPatch patch = patches.patch(i);
    number.clear();
    for (const PatchVertex& vertex : patch.vertices) {
      const auto next = static_cast<std::uint32_t>(mesh.vertices_mm.size());
      const Eigen::Vector3f point = patches.point_mm(patch, vertex);
      number.push_back(on_border(vertex) ? shared.find_or_add(point, next) : next);
      if (number.back() == next) mesh.vertices_mm.push_back(point);
    }
    for (const auto& [a, b, c] : patch.triangles)
      mesh.triangles.push_back({number[a], number[b], number[c]});
  }
  return mesh;
}

Mesh extract_mesh(const Volume& volume, float min_weight, WorkerPool& pool) {
  LiveMesh patches(volume.voxel_mm(), min_weight);
  patches.update_all(volume, pool);
  return weld(patches);
}

}  // namespace cusp
