// Volume: a truncated signed distance field that exists only near the surface.
//
// Blocks of 8 x 8 x 8 voxels in a hash table (M. Niessner et al., "Real-time 3D reconstruction at
// scale using voxel hashing", ACM TOG 2013, doi:10.1145/2508363.2508374). Voxel (i, j, k) has its
// centre at (i, j, k) * voxel_mm in the model frame; the distance is positive outside (in front of)
// the surface and cut at +-truncation_mm. A voxel takes four bytes: distance and weight are whole
// steps (kDistanceSteps, kWeightSteps), fine enough that a step never shows: 6 nm of distance at a
// truncation of 0.2 mm.
//
// Blocks lie in slabs, never move, and are numbered 0, 1, ... in the order in which they came, so
// every walk over them is the same from run to run. Each knows its 26 neighbours; cells of 8 x 8 x
// 8 blocks find those in view without a walk over all.
// Memory, measured on a jaw at 50 um and a truncation of four voxels: 3.4 MB for a square
// centimetre of surface; its colours take less than as much again, where there are any. Threads:
// const calls from many threads; one writer of the table, or many writers of different blocks.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "core/frame.h"
#include "core/pose.h"

namespace cusp {

inline constexpr int kBlockSide = 8;
inline constexpr int kBlockVoxels = kBlockSide * kBlockSide * kBlockSide;
inline constexpr float kDistanceSteps = 32767;  // in a truncation
inline constexpr float kWeightSteps = 256;      // in the weight of one pixel, head-on at mid range
inline constexpr std::uint32_t kNoBlock = std::numeric_limits<std::uint32_t>::max();

// Frames, head-on at mid range, after which a surface is known: its noise has fallen to a quarter.
inline constexpr float kEnoughFrames = 16;

struct Voxel {
  float distance_mm = 0;
  float weight = 0;  // 0: never seen
};

// Rows of eight voxels along x: one register each of distances and of weights.
struct alignas(64) Block {
  std::array<std::int16_t, kBlockVoxels> distance{};
  std::array<std::uint16_t, kBlockVoxels> weight{};

  // x, y, z within the block, 0..7.
  [[nodiscard]] static std::size_t at(int x, int y, int z) {
    return static_cast<std::size_t>(x + kBlockSide * (y + kBlockSide * z));
  }
};

struct ColouredVoxel {
  std::array<std::uint8_t, 3> rgb{};
  std::uint8_t weight = 0;  // 0: no colour was seen
};
using ColourBlock = std::array<ColouredVoxel, kBlockVoxels>;

// From where a place was seen: the first direction, and how far later ones were away from it.
class ViewSpread {
 public:
  // A unit vector from the place to the sensor, model frame.
  void add(const Eigen::Vector3f& towards_sensor);
  [[nodiscard]] bool empty() const { return !seen_; }
  [[nodiscard]] Eigen::Vector3f first() const {
    return Eigen::Vector3f(first_[0], first_[1], first_[2]) / 127.0F;
  }
  [[nodiscard]] int widest_deg() const { return widest_deg_; }

 private:
  std::array<std::int8_t, 3> first_{};
  std::uint8_t widest_deg_ = 0;
  bool seen_ = false;
};

// What is known of a block as a whole. Frames are Volume::frame() numbers.
struct BlockInfo {
  Eigen::Vector3i index = Eigen::Vector3i::Zero();  // voxels 8 * index .. 8 * index + 7
  std::uint32_t changed = 0;                        // the last frame that changed a voxel
  std::uint32_t grown = 0;           // the last frame that gave it a first voxel near the surface
  std::uint32_t last_seen = 0;       // the last frame that measured surface in it
  std::uint32_t frames_seen = 0;     // how many did
  std::uint32_t wanted = 0;          // the last frame whose surface has its band in the block
  std::int32_t moved = 0;            // steps of distance, since it was last meshed, at most
  std::uint32_t colours = kNoBlock;  // number of its colours, if it has them
  std::uint16_t least_weight = 0;    // of the voxels at the surface
  bool locked = false;               // nothing is fused into it (edit.h)
  ViewSpread views;
  // Of the distances that have a weight; lowest > highest: there are none.
  std::int16_t lowest = std::numeric_limits<std::int16_t>::max();
  std::int16_t highest = std::numeric_limits<std::int16_t>::min();
  // Numbers of the neighbours or kNoBlock, at neighbour_at(dx, dy, dz); the middle is the block.
  std::array<std::uint32_t, 27> around{};

  // dx, dy, dz: -1, 0 or 1.
  [[nodiscard]] static std::size_t neighbour_at(int dx, int dy, int dz) {
    return static_cast<std::size_t>((dx + 1) + 3 * (dy + 1) + 9 * (dz + 1));
  }
};

// floor() and division that round down, without the function call that baseline x86-64 makes of
// std::floor.
inline int floor_to_int(float value) {
  const int cut = static_cast<int>(value);
  return cut - (value < static_cast<float>(cut) ? 1 : 0);
}
// Work that need not be done every frame is done in turns: each cube of 4 x 4 x 4 blocks has one of
// kTurns, so that neighbours come together; with half or a quarter as many turns it comes more
// often. No plane through the cubes has all of its cubes in one turn.
inline constexpr unsigned kTurns = 16;
inline bool has_turn(const Eigen::Vector3i& block, std::uint32_t frame, unsigned turns = kTurns) {
  const auto cube = [&](int axis) { return static_cast<unsigned>(block[axis] >> 2); };
  const unsigned x = cube(0), y = cube(1), z = cube(2);
  const unsigned turn = ((x + z) & 1) | ((y + z) & 1) << 1 | (((x >> 1) + (z >> 1)) & 1) << 2 |
                        (((y >> 1) + (z >> 1)) & 1) << 3;
  return ((turn ^ frame) & (turns - 1)) == 0;
}
inline Eigen::Vector3i block_of_voxel(const Eigen::Vector3i& voxel) {
  return {voxel.x() >> 3, voxel.y() >> 3, voxel.z() >> 3};
}
inline Eigen::Vector3f middle_of_block(const Eigen::Vector3i& index, float voxel_mm) {
  return (index.cast<float>() * kBlockSide + Eigen::Vector3f::Constant(3.5F)) * voxel_mm;
}

// Where a place is in the table of its kind: open addressing, linear probing, at most half full.
class PlaceTable {
 public:
  PlaceTable();
  // kNoBlock when it isn't there.
  [[nodiscard]] std::uint32_t find(const Eigen::Vector3i& place) const;
  // The place must fit and not be there yet.
  void add(const Eigen::Vector3i& place, std::uint32_t number);
  [[nodiscard]] static bool fits(const Eigen::Vector3i& place);
  [[nodiscard]] std::size_t bytes() const { return slots_.size() * sizeof(Slot); }
  // What it takes when one more place comes.
  [[nodiscard]] std::size_t bytes_after_add() const;

 private:
  struct Slot {
    std::uint64_t key;
    std::uint32_t number;
  };
  [[nodiscard]] std::size_t slot_of(std::uint64_t key) const;

  std::vector<Slot> slots_;
  std::size_t used_ = 0;
};

// What lies in pages of its own, that go back to the system with it. The heap would keep them, and
// a volume that another one takes the place of (live_closure.h) is most of a scan's memory.
struct InPages {
  static void* operator new(std::size_t bytes);
  static void operator delete(void* pages, std::size_t bytes);
};

class Volume {
 public:
  Volume(double voxel_mm, double truncation_mm, std::size_t max_bytes);

  [[nodiscard]] float voxel_mm() const { return voxel_mm_; }
  [[nodiscard]] float truncation_mm() const { return truncation_mm_; }
  [[nodiscard]] float block_mm() const { return voxel_mm_ * kBlockSide; }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] Block& block(std::size_t i) { return slabs_[i / kSlab]->blocks[i % kSlab]; }
  [[nodiscard]] const Block& block(std::size_t i) const {
    return slabs_[i / kSlab]->blocks[i % kSlab];
  }
  // Tells the processor that the block is wanted soon.
  void prefetch(std::size_t i) const {
    constexpr std::size_t kCacheLine = 64;
    const auto* line = reinterpret_cast<const std::byte*>(&block(i));
    for (std::size_t k = 0; k < sizeof(Block); k += kCacheLine) __builtin_prefetch(line + k);
    __builtin_prefetch(&info(i));
  }
  [[nodiscard]] BlockInfo& info(std::size_t i) { return slabs_[i / kSlab]->infos[i % kSlab]; }
  [[nodiscard]] const BlockInfo& info(std::size_t i) const {
    return slabs_[i / kSlab]->infos[i % kSlab];
  }

  // Number of the block, or kNone.
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  [[nodiscard]] std::size_t find(const Eigen::Vector3i& index) const;
  // kNone when the budget is used up or the index is beyond what a key can hold.
  std::size_t find_or_add(const Eigen::Vector3i& index);
  [[nodiscard]] static bool holds(const Eigen::Vector3i& index) { return PlaceTable::fits(index); }

  // A voxel in mm and frames; `k` as Block::at says.
  [[nodiscard]] Voxel voxel(const Block& block, std::size_t k) const {
    return {.distance_mm = static_cast<float>(block.distance[k]) * mm_a_step_,
            .weight = static_cast<float>(block.weight[k]) / kWeightSteps};
  }
  // Rounded and cut to what a voxel can hold; the block's lowest and highest follow.
  void set_voxel(std::size_t block, std::size_t k, const Voxel& voxel);
  // As if the block were never seen; it stays where it is.
  void forget(std::size_t block);
  // After voxels were lowered or unseen: lowest and highest anew.
  void measure_range(std::size_t block);

  // nullptr where no colour was seen.
  [[nodiscard]] ColourBlock* colours(std::size_t i) { return colours_of(i); }
  [[nodiscard]] const ColourBlock* colours(std::size_t i) const { return colours_of(i); }
  // Nothing happens where they are already, or the budget is used up.
  void add_colours(std::size_t i);

  // Counts the frames that were fused; 0: none yet.
  [[nodiscard]] std::uint32_t frame() const { return frame_; }
  std::uint32_t next_frame() { return ++frame_; }

  // Appends the numbers of the blocks that a sensor may see up to a depth, and of some around them
  // (whole cells). Costs a walk over the cells, of which there is one for some hundred blocks.
  void blocks_in_view(const RigidTransform& model_from_sensor, const Intrinsics& sensor,
                      double max_depth_mm, std::vector<std::uint32_t>& numbers) const;

  [[nodiscard]] std::size_t bytes() const;
  void clear();

 private:
  static constexpr std::size_t kSlab = 32;
  struct Slab : InPages {
    std::array<Block, kSlab> blocks;
    std::array<BlockInfo, kSlab> infos;
  };
  struct ColourSlab : InPages {
    std::array<ColourBlock, kSlab> blocks;
  };
  static constexpr int kCellShift = 3;  // a cell is 8 blocks wide
  struct Cell {
    Eigen::Vector3i index;
    std::vector<std::uint32_t> blocks;
  };

  [[nodiscard]] ColourBlock* colours_of(std::size_t i) const {
    const std::uint32_t number = info(i).colours;
    return number == kNoBlock ? nullptr : &colour_slabs_[number / kSlab]->blocks[number % kSlab];
  }
  void join_neighbours(std::uint32_t number);
  void put_in_cell(std::uint32_t number);

  float voxel_mm_;
  float truncation_mm_;
  float mm_a_step_;
  std::size_t max_bytes_;
  std::uint32_t frame_ = 0;
  std::size_t size_ = 0;
  std::vector<std::unique_ptr<Slab>> slabs_;
  std::uint32_t colour_size_ = 0;
  std::vector<std::unique_ptr<ColourSlab>> colour_slabs_;
  PlaceTable table_;
  std::vector<Cell> cells_;
  PlaceTable cell_table_;
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

  Voxel voxel(const Eigen::Vector3i& at) {
    const Block* block = block_at(at);
    if (block == nullptr) return {};
    return volume_.voxel(*block, Block::at(at.x() & 7, at.y() & 7, at.z() & 7));
  }

  // Trilinear; false where one of the eight voxels was never seen.
  bool interpolate(const Eigen::Vector3f& p_in_model, float& distance_mm);
  // Gradient by central differences, unit length; false at the rim of what was seen.
  bool normal(const Eigen::Vector3f& p_in_model, Eigen::Vector3f& normal);

 private:
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
