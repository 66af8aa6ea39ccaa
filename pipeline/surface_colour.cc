#include "pipeline/surface_colour.h"

#include <Eigen/Core>
#include <cmath>
#include <cstddef>

namespace cusp {
namespace {

constexpr std::size_t kBlocksAChunk = 256, kVerticesAChunk = 4096;
constexpr int kMostEdges = 64;  // over which a colour spreads to what was not seen

struct Sum {
  std::array<std::uint64_t, 3> rgb{};
  std::uint64_t count = 0;

  void add(const Rgb& colour) {
    for (std::size_t c = 0; c < 3; ++c) rgb[c] += colour[c];
    ++count;
  }
  [[nodiscard]] Rgb mean() const {
    Rgb mean{};
    for (std::size_t c = 0; c < 3 && count > 0; ++c)
      mean[c] = static_cast<std::uint8_t>((2 * rgb[c] + count) / (2 * count));
    return mean;
  }
};

// Edge by edge from what has a colour to what has none.
void spread(const Mesh& mesh, std::vector<Rgb>& colours, std::vector<std::uint8_t>& known) {
  std::vector<std::array<std::uint32_t, 3>> open;
  for (const auto& triangle : mesh.triangles)
    if (known[triangle[0]] == 0 || known[triangle[1]] == 0 || known[triangle[2]] == 0)
      open.push_back(triangle);
  std::vector<Sum> sums(colours.size());
  for (int k = 0; k < kMostEdges && !open.empty(); ++k) {
    std::vector<std::uint32_t> reached;
    for (const auto& triangle : open)
      for (const std::uint32_t to : triangle) {
        if (known[to] != 0) continue;
        for (const std::uint32_t from : triangle) {
          if (known[from] == 0) continue;
          if (sums[to].count == 0) reached.push_back(to);
          sums[to].add(colours[from]);
        }
      }
    if (reached.empty()) break;
    for (const std::uint32_t v : reached) {
      colours[v] = sums[v].mean();
      known[v] = 1;
    }
    std::erase_if(open, [&](const auto& triangle) {
      return known[triangle[0]] != 0 && known[triangle[1]] != 0 && known[triangle[2]] != 0;
    });
  }
}

}  // namespace

ColourMap::ColourMap(const Volume& volume, WorkerPool& pool) : cell_mm_(2 * volume.voxel_mm()) {
  std::vector<std::size_t> coloured;
  for (std::size_t i = 0; i < volume.size(); ++i) {
    if (volume.colours(i) == nullptr) continue;
    table_.add(volume.info(i).index, static_cast<std::uint32_t>(coloured.size()));
    coloured.push_back(i);
  }
  blocks_.resize(coloured.size());
  pool.for_chunks(coloured.size(), kBlocksAChunk, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const ColourBlock& from = *volume.colours(coloured[i]);
      for (int k = 0; k < kSide * kSide * kSide; ++k) {
        const int x = 2 * (k % kSide), y = 2 * (k / kSide % kSide), z = 2 * (k / (kSide * kSide));
        Sum sum;
        for (int corner = 0; corner < 8; ++corner) {
          const ColouredVoxel& voxel =
              from[Block::at(x + (corner & 1), y + (corner >> 1 & 1), z + (corner >> 2))];
          if (voxel.weight > 0) sum.add(voxel.rgb);
        }
        blocks_[i][static_cast<std::size_t>(k)] = {.rgb = sum.mean(), .seen = sum.count > 0};
      }
    }
  });
}

bool ColourMap::between_cells(const Eigen::Vector3f& p_in_model, Rgb& rgb) const {
  // Cell i has its middle between voxels 2i and 2i + 1, at (i + 1/4) cells.
  const Eigen::Vector3f at = p_in_model / cell_mm_ - Eigen::Vector3f::Constant(0.25F);
  const Eigen::Vector3i first(floor_to_int(at.x()), floor_to_int(at.y()), floor_to_int(at.z()));
  const Eigen::Vector3f beyond = at - first.cast<float>();
  Eigen::Vector3f sum = Eigen::Vector3f::Zero();
  float weights = 0;
  for (int corner = 0; corner < 8; ++corner) {
    const Eigen::Vector3i step(corner & 1, corner >> 1 & 1, corner >> 2);
    const Eigen::Vector3i cell = first + step;
    const std::uint32_t block = table_.find({cell.x() >> 2, cell.y() >> 2, cell.z() >> 2});
    if (block == kNoBlock) continue;
    const Cell& here = blocks_[block][static_cast<std::size_t>(
        (cell.x() & 3) + kSide * ((cell.y() & 3) + kSide * (cell.z() & 3)))];
    if (!here.seen) continue;
    float weight = 1;
    for (int axis = 0; axis < 3; ++axis)
      weight *= step[axis] == 1 ? beyond[axis] : 1 - beyond[axis];
    sum += weight * Eigen::Vector3f(here.rgb[0], here.rgb[1], here.rgb[2]);
    weights += weight;
  }
  if (!(weights > 0)) return false;
  for (std::size_t c = 0; c < 3; ++c)
    rgb[c] = static_cast<std::uint8_t>(sum[static_cast<Eigen::Index>(c)] / weights + 0.5F);
  return true;
}

std::vector<Rgb> ColourMap::of(const Mesh& mesh, WorkerPool& pool) const {
  if (empty()) return {};
  std::vector<Rgb> colours(mesh.vertices_mm.size());
  std::vector<std::uint8_t> known(colours.size());
  pool.for_chunks(colours.size(), kVerticesAChunk, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      known[i] = between_cells(mesh.vertices_mm[i], colours[i]) ? 1 : 0;
  });
  Sum all;
  for (std::size_t i = 0; i < colours.size(); ++i)
    if (known[i] != 0) all.add(colours[i]);
  if (all.count == 0) return {};
  spread(mesh, colours, known);
  for (std::size_t i = 0; i < colours.size(); ++i)
    if (known[i] == 0) colours[i] = all.mean();
  return colours;
}

}  // namespace cusp
