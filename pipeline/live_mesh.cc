#include "pipeline/live_mesh.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "pipeline/block_mesher.h"

namespace cusp {
namespace {

constexpr std::size_t kBlocksAChunk = 64;
constexpr unsigned kTurnsOfYoung = 8;  // what was seen but a few times changes most

static_assert(sizeof(PatchVertex) % alignof(PatchTriangle) == 0,
              "triangles lie right behind the vertices");

std::uint16_t weight_steps(float weight) {
  constexpr float kMost = std::numeric_limits<std::uint16_t>::max();
  return static_cast<std::uint16_t>(std::clamp(std::ceil(weight * kWeightSteps), 1.0F, kMost));
}

// Calls take(block) for these blocks and those whose triangles reach into them, some more than
// once; for all around a block that grew after `since`.
template <typename Take>
void for_reached(const Volume& volume, std::span<const std::uint32_t> changed, std::uint32_t since,
                 Take take) {
  for (const std::uint32_t block : changed) {
    const BlockInfo& info = volume.info(block);
    const int reach = info.grown > since ? 1 : 0;
    for (int dz = -1; dz <= reach; ++dz)
      for (int dy = -1; dy <= reach; ++dy)
        for (int dx = -1; dx <= reach; ++dx)
          if (const auto near = info.around[BlockInfo::neighbour_at(dx, dy, dz)]; near != kNoBlock)
            take(near);
  }
}

}  // namespace

LiveMesh::LiveMesh(float voxel_mm, float min_weight)
    : voxel_mm_(voxel_mm), min_weight_(weight_steps(min_weight)) {}

void LiveMesh::begin_update(const Volume& volume) {
  patches_.resize(volume.size());
  changed_.resize(volume.size(), 0);
  marked_.resize(volume.size(), 0);
  waits_.resize(volume.size(), 0);
  ++updates_;
  dirty_.clear();
}

void LiveMesh::update(const Volume& volume, std::span<const std::uint32_t> changed,
                      WorkerPool& pool) {
  begin_update(volume);
  for_reached(volume, changed, frame_, [&](std::uint32_t number) {
    if (marked_[number] == updates_) return;
    marked_[number] = updates_;
    dirty_.push_back(number);
  });
  frame_ = volume.frame();
  remesh(volume, pool);
}

void LiveMesh::follow(const Volume& volume, std::span<const std::uint32_t> changed,
                      WorkerPool& pool) {
  begin_update(volume);
  for_reached(volume, changed, frame_, [&](std::uint32_t number) {
    if (waits_[number] != 0) return;
    waits_[number] = 1;
    waiting_.push_back(number);
  });
  frame_ = volume.frame();
  std::erase_if(waiting_, [&](std::uint32_t number) {
    const BlockInfo& info = volume.info(number);
    const bool is_new = patches_[number].vertices == 0 && info.grown == frame_;
    const unsigned turns = info.frames_seen < kEnoughFrames ? kTurnsOfYoung : kTurns;
    if (!is_new && !has_turn(info.index, frame_, turns)) return false;
    waits_[number] = 0;
    dirty_.push_back(number);
    return true;
  });
  remesh(volume, pool);
}

void LiveMesh::update_all(const Volume& volume, WorkerPool& pool) {
  std::vector<std::uint32_t> all(volume.size());
  std::iota(all.begin(), all.end(), 0U);
  update(volume, all, pool);
}

void LiveMesh::remesh(const Volume& volume, WorkerPool& pool) {
  for (const std::uint32_t number : dirty_) {
    vertices_ -= patches_[number].vertices;
    triangles_ -= patches_[number].triangles;
  }
  pool.for_chunks(dirty_.size(), kBlocksAChunk, [&](std::size_t begin, std::size_t end) {
    BlockMesher mesher(volume, min_weight_);
    for (std::size_t i = begin; i < end; ++i) {
      const std::uint32_t number = dirty_[i];
      Patch& patch = patches_[number];
      const bool surface = mesher.mesh(number);
      if (!surface && patch.vertices == 0) continue;
      changed_[number] = updates_;
      const BlockInfo& info = volume.info(number);
      patch.block = info.index;
      patch.last_seen = info.last_seen;
      const std::size_t vertices = surface ? mesher.vertices().size() : 0;
      const std::size_t triangles = surface ? mesher.triangles().size() : 0;
      const std::size_t vertex_bytes = vertices * sizeof(PatchVertex);
      const std::size_t triangle_bytes = triangles * sizeof(PatchTriangle);
      if (patch.vertices != vertices || patch.triangles != triangles)
        patch.data =
            surface ? std::make_unique_for_overwrite<std::byte[]>(vertex_bytes + triangle_bytes)
                    : nullptr;
      patch.vertices = static_cast<std::uint16_t>(vertices);
      patch.triangles = static_cast<std::uint16_t>(triangles);
      if (!surface) continue;
      std::memcpy(patch.data.get(), mesher.vertices().data(), vertex_bytes);
      std::memcpy(patch.data.get() + vertex_bytes, mesher.triangles().data(), triangle_bytes);
    }
  });
  for (const std::uint32_t number : dirty_) {
    vertices_ += patches_[number].vertices;
    triangles_ += patches_[number].triangles;
  }
}

void LiveMesh::clear() {
  patches_.clear();
  changed_.clear();
  marked_.clear();
  dirty_.clear();
  waiting_.clear();
  waits_.clear();
  begun_ = updates_;
  frame_ = 0;
  vertices_ = 0;
  triangles_ = 0;
}

void LiveMesh::swap_in(LiveMesh& other) {
  const std::uint32_t before = updates_;
  std::swap(*this, other);
  begun_ = before;
  updates_ = before + 1;
  std::ranges::fill(changed_, updates_);
  std::ranges::fill(marked_, updates_);
}

MeshPatch LiveMesh::patch(std::size_t i) const {
  const Patch& patch = patches_[i];
  const std::byte* data = patch.data.get();
  return {.block = patch.block,
          .changed = changed_[i],
          .last_seen = patch.last_seen,
          .vertices = {reinterpret_cast<const PatchVertex*>(data), patch.vertices},
          .triangles = {
              reinterpret_cast<const PatchTriangle*>(data + patch.vertices * sizeof(PatchVertex)),
              patch.triangles}};
}

std::vector<std::uint32_t> LiveMesh::changed_since(std::uint32_t update) const {
  std::vector<std::uint32_t> found;
  for (std::size_t i = 0; i < changed_.size(); ++i)
    if (changed_[i] > update) found.push_back(static_cast<std::uint32_t>(i));
  return found;
}

std::size_t LiveMesh::bytes() const {
  // What the allocator adds to a block of memory.
  constexpr std::size_t kOverhead = 16;
  return vertices_ * sizeof(PatchVertex) + triangles_ * sizeof(PatchTriangle) +
         patches_.size() *
             (sizeof(Patch) + 2 * sizeof(std::uint32_t) + sizeof(std::uint8_t) + kOverhead);
}

}  // namespace cusp
