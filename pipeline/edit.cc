#include "pipeline/edit.h"

#include <cmath>

namespace cusp {
namespace {

constexpr std::size_t kBlocksAChunk = 256;

Eigen::Vector3f middle_of(const Volume& volume, std::size_t block) {
  return middle_of_block(volume.info(block).index, volume.voxel_mm());
}

// True when a voxel went.
bool cut_block(const RegionTest& test, Volume& volume, std::size_t number) {
  Block& block = volume.block(number);
  const Eigen::Vector3i first = volume.info(number).index * kBlockSide;
  bool cut = false;
  for (int z = 0; z < kBlockSide; ++z)
    for (int y = 0; y < kBlockSide; ++y)
      for (int x = 0; x < kBlockSide; ++x) {
        const std::size_t k = Block::at(x, y, z);
        if (block.weight[k] == 0) continue;
        const Eigen::Vector3i voxel = first + Eigen::Vector3i(x, y, z);
        if (!test.contains(voxel.cast<float>() * volume.voxel_mm())) continue;
        block.weight[k] = 0;
        block.distance[k] = 0;
        cut = true;
      }
  return cut;
}

}  // namespace

std::vector<std::uint32_t> cut_away(const Region& region, Volume& volume, WorkerPool& pool) {
  const RegionTest test(region);
  const float reach = 0.5F * std::sqrt(3.0F) * volume.block_mm();
  std::vector<std::uint8_t> cut(volume.size(), 0);
  pool.for_chunks(volume.size(), kBlocksAChunk, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      if (volume.info(i).locked || !test.may_touch(middle_of(volume, i), reach)) continue;
      cut[i] = cut_block(test, volume, i) ? 1 : 0;
    }
  });
  std::vector<std::uint32_t> changed;
  const std::uint32_t frame = volume.next_frame();
  for (std::size_t i = 0; i < cut.size(); ++i) {
    if (cut[i] == 0) continue;
    volume.measure_range(i);
    volume.info(i).changed = volume.info(i).grown = frame;
    changed.push_back(static_cast<std::uint32_t>(i));
  }
  return changed;
}

void lock(const Region& region, Volume& volume, WorkerPool& pool) {
  const RegionTest test(region);
  pool.for_chunks(volume.size(), kBlocksAChunk, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      volume.info(i).locked = volume.info(i).locked || test.contains(middle_of(volume, i));
  });
}

void unlock_all(Volume& volume) {
  for (std::size_t i = 0; i < volume.size(); ++i) volume.info(i).locked = false;
}

}  // namespace cusp
