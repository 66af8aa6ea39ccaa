// Volume: a truncated signed distance field that exists only near the surface.
//
// Blocks of 8 x 8 x 8 voxels in a hash table (M. Niessner et al., "Real-time 3D reconstruction at
// scale using voxel hashing", ACM TOG 2013, doi:10.1145/2508363.2508374). Voxel (i, j, k) has its
// centre at (i, j, k) * voxel_mm in the model frame; the distance is positive outside (in front of)
// the surface, in mm, cut at +-truncation_mm. Blocks keep the order in which they came, so every
// walk over them is the same from run to run. Threads: const calls from many threads; one writer of
// the table, or many writers of different blocks.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace cusp {

inline constexpr int kBlockSide = 8;
inline constexpr int kBlockVoxels = kBlockSide * kBlockSide * kBlockSide;

struct Voxel {
  float distance_mm = 0;
  float weight = 0;  // 0: never seen
};

struct Block {
  Eigen::Vector3i index;  // voxels 8 * index .. 8 * index + 7
  std::array<Voxel, kBlockVoxels> voxels{};

  // x, y, z within the block, 0..7.
  [[nodiscard]] static std::size_t at(int x, int y, int z) {
    return static_cast<std::size_t>(x + kBlockSide * (y + kBlockSide * z));
  }
};

// floor() and division that round down, without the function call that baseline x86-64 makes of
// std::floor.
inline int floor_to_int(float value) {
  const int cut = static_cast<int>(value);
  return cut - (value < static_cast<float>(cut) ? 1 : 0);
}
inline Eigen::Vector3i block_of_voxel(const Eigen::Vector3i& voxel) {
  return {voxel.x() >> 3, voxel.y() >> 3, voxel.z() >> 3};
}

class Volume {
 public:
  Volume(double voxel_mm, double truncation_mm, std::size_t max_bytes);

  [[nodiscard]] float voxel_mm() const { return voxel_mm_; }
  [[nodiscard]] float truncation_mm() const { return truncation_mm_; }
  [[nodiscard]] float block_mm() const { return voxel_mm_ * kBlockSide; }

  [[nodiscard]] std::size_t size() const { return blocks_.size(); }
  [[nodiscard]] Block& block(std::size_t i) { return *blocks_[i]; }
  [[nodiscard]] const Block& block(std::size_t i) const { return *blocks_[i]; }

  // Number of the block, or kNone.
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  [[nodiscard]] std::size_t find(const Eigen::Vector3i& index) const;
  // kNone when the budget is used up or the index is beyond what a key can hold.
  std::size_t find_or_add(const Eigen::Vector3i& index);

  [[nodiscard]] std::size_t bytes() const;
  void clear();

 private:
  struct Slot {
    std::uint64_t key = kEmpty;
    std::size_t block = 0;
  };
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};

  [[nodiscard]] std::size_t slot_of(std::uint64_t key) const;
  void grow();

  float voxel_mm_;
  float truncation_mm_;
  std::size_t max_bytes_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<Slot> slots_;  // a power of two, at most half full; linear probing
};

// Reads the field between voxels; keeps the last blocks at hand, so one reader a thread.
class VolumeReader {
 public:
  explicit VolumeReader(const Volume& volume)
      : volume_(volume), per_voxel_(1.0F / volume.voxel_mm()) {}

  // The block of a voxel, nullptr where there is none.
  const Block* block_at(const Eigen::Vector3i& voxel) {
    const Eigen::Vector3i index = block_of_voxel(voxel);
    // Neighbours never share a place.
    Known& known = known_[static_cast<std::size_t>((index.x() & 3) | (index.y() & 3) << 2 |
                                                   (index.z() & 3) << 4)];
    if (!known.valid || index != known.index) {
      const std::size_t found = volume_.find(index);
      known = {.index = index,
               .block = found == Volume::kNone ? nullptr : &volume_.block(found),
               .valid = true};
    }
    return known.block;
  }

  // Trilinear; false where one of the eight voxels was never seen.
  bool interpolate(const Eigen::Vector3f& p_in_model, float& distance_mm);
  // Gradient by central differences, unit length; false at the rim of what was seen.
  bool normal(const Eigen::Vector3f& p_in_model, Eigen::Vector3f& normal);

 private:
  Voxel voxel(const Eigen::Vector3i& at) {
    const Block* block = block_at(at);
    if (block == nullptr) return {};
    return block->voxels[Block::at(at.x() & 7, at.y() & 7, at.z() & 7)];
  }

  struct Known {
    Eigen::Vector3i index = Eigen::Vector3i::Zero();
    const Block* block = nullptr;
    bool valid = false;
  };

  const Volume& volume_;
  float per_voxel_;
  std::array<Known, 64> known_;
};

}  // namespace cusp
