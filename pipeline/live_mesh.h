// LiveMesh: the surface of a volume as it grows, one patch of triangles a block.
//
// Marching cubes (marching_cubes.h) over the blocks that changed and those that touch them; all
// other patches stay as they are. Patch i belongs to block i: the cubes whose first corner lies in
// it. Vertices on a border are repeated in each patch that has them, with the same bits, so patches
// can be drawn as they are and joined exactly (mesh.h). The normal is the
// gradient of the field.
//
// What a vertex is good for (SurfaceLevel): it lies on the rim when a cube that would go on from it
// has a corner that was never seen: the surface is open there. It is `enough` when its weight is
// that of kEnoughFrames pixels, head-on at mid range (the noise has then fallen to a quarter of a
// pixel's sigma), and its block was seen from directions at least kEnoughSpread_deg apart, so that
// what tilts with the view has shown itself. Everything else is thin.
//
// Model frame; positions in 1/4096 of a voxel. Threads: one update at a time, which uses the pool;
// const calls from many threads between updates. Same bits with any number of threads.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "pipeline/volume.h"
#include "pipeline/worker_pool.h"

namespace cusp {

enum class SurfaceLevel : std::uint8_t { kRim = 0, kThin = 1, kEnough = 2 };

inline constexpr int kEnoughSpread_deg = 20;
inline constexpr int kPatchSteps = 4096;  // of a voxel

struct PatchVertex {
  std::array<std::uint16_t, 3> position{};  // steps from the block's first voxel
  std::array<std::int8_t, 3> normal{};      // 127 a unit, outward
  std::array<std::uint8_t, 3> rgb{};        // black where no colour was seen
  SurfaceLevel level = SurfaceLevel::kThin;
};
using PatchTriangle = std::array<std::uint16_t, 3>;  // counter-clockwise seen from outside

// A look at one patch, valid until the next update.
struct MeshPatch {
  Eigen::Vector3i block;        // index; its first voxel is 8 * block
  std::uint32_t changed = 0;    // number of the update that made it; 0: never had a surface
  std::uint32_t last_seen = 0;  // frame that measured it last
  std::span<const PatchVertex> vertices{};
  std::span<const PatchTriangle> triangles{};
};

class LiveMesh {
 public:
  // Voxels below min_weight are taken as never seen.
  LiveMesh(float voxel_mm, float min_weight);

  // Meshes these blocks anew and the others whose triangles reach into them; where a block grew,
  // all around it. (Beyond its border a block that only moved turns normals, by little.)
  void update(const Volume& volume, std::span<const std::uint32_t> changed, WorkerPool& pool);
  // The same for a volume that changes frame by frame, in turns: what has no surface yet gets it
  // now, everything else when the volume's frame is its cube of blocks' turn, at most kTurns
  // frames later.
  void follow(const Volume& volume, std::span<const std::uint32_t> changed, WorkerPool& pool);
  void update_all(const Volume& volume, WorkerPool& pool);
  void clear();
  // Another takes its place: for a viewer, it was cleared, and all of that came in one update.
  void swap_in(LiveMesh& other);

  [[nodiscard]] float voxel_mm() const { return voxel_mm_; }
  [[nodiscard]] std::size_t size() const { return patches_.size(); }
  [[nodiscard]] MeshPatch patch(std::size_t i) const;
  [[nodiscard]] Eigen::Vector3f point_mm(const MeshPatch& patch, const PatchVertex& vertex) const {
    const Eigen::Vector3f inside(vertex.position[0], vertex.position[1], vertex.position[2]);
    return (patch.block.cast<float>() * kBlockSide + inside / kPatchSteps) * voxel_mm_;
  }

  // Counts the updates. Those patches changed since one that a viewer has are what it lacks.
  [[nodiscard]] std::uint32_t updates() const { return updates_; }
  // The update after which it was cleared: nothing of what a viewer had then is left.
  [[nodiscard]] std::uint32_t begun() const { return begun_; }
  [[nodiscard]] std::vector<std::uint32_t> changed_since(std::uint32_t update) const;

  [[nodiscard]] std::size_t vertex_count() const { return vertices_; }  // repeated ones too
  [[nodiscard]] std::size_t triangle_count() const { return triangles_; }
  [[nodiscard]] std::size_t bytes() const;
  // Blocks that the last update looked at.
  [[nodiscard]] std::size_t last_work() const { return dirty_.size(); }

 private:
  struct Patch {
    std::unique_ptr<std::byte[]> data;  // vertices, then triangles
    std::uint16_t vertices = 0;
    std::uint16_t triangles = 0;
    std::uint32_t last_seen = 0;
    Eigen::Vector3i block = Eigen::Vector3i::Zero();
  };

  void begin_update(const Volume& volume);
  void remesh(const Volume& volume, WorkerPool& pool);

  float voxel_mm_;
  std::uint16_t min_weight_;  // steps
  std::uint32_t updates_ = 0;
  std::uint32_t begun_ = 0;
  std::uint32_t frame_ = 0;  // the volume's at the last update
  std::vector<Patch> patches_;
  std::vector<std::uint32_t> changed_;  // update a patch
  std::vector<std::uint32_t> marked_;   // update that put it on the list
  std::vector<std::uint32_t> dirty_;
  std::vector<std::uint32_t> waiting_;  // for their turn
  std::vector<std::uint8_t> waits_;     // is a patch among these?
  std::size_t vertices_ = 0;
  std::size_t triangles_ = 0;
};

}  // namespace cusp
