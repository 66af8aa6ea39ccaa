#include "pipeline/block_mesher.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "pipeline/marching_cubes.h"

namespace cusp {
namespace {

constexpr float kEndGap = 0.02F;
constexpr float kNormalUnit = 127;
constexpr auto kEnoughWeight = static_cast<std::uint16_t>(kEnoughFrames * kWeightSteps);

// Of two rows of eight, which values are negative and which weights reach the least: bit i for
// value i.
unsigned negative(const std::int16_t* values) {
#if defined(__SSE2__)
  const auto* rows = reinterpret_cast<const __m128i*>(values);
  return static_cast<unsigned>(
      _mm_movemask_epi8(_mm_packs_epi16(_mm_load_si128(rows), _mm_load_si128(rows + 1))));
#else
  unsigned bits = 0;
  for (int i = 0; i < 2 * kBlockSide; ++i) bits |= static_cast<unsigned>(values[i] < 0) << i;
  return bits;
#endif
}
unsigned at_least(const std::uint16_t* weights, std::uint16_t least) {
#if defined(__SSE2__)
  const auto* rows = reinterpret_cast<const __m128i*>(weights);
  const __m128i wanted = _mm_set1_epi16(static_cast<short>(least));
  const __m128i first = _mm_subs_epu16(wanted, _mm_load_si128(rows));
  const __m128i second = _mm_subs_epu16(wanted, _mm_load_si128(rows + 1));
  const __m128i none = _mm_setzero_si128();
  return static_cast<unsigned>(_mm_movemask_epi8(
      _mm_packs_epi16(_mm_cmpeq_epi16(first, none), _mm_cmpeq_epi16(second, none))));
#else
  unsigned bits = 0;
  for (int i = 0; i < 2 * kBlockSide; ++i) bits |= static_cast<unsigned>(weights[i] >= least) << i;
  return bits;
#endif
}

// The block (-1, 0 or 1 from the middle) of a voxel -1..9, and its place there.
constexpr int block_step(int voxel) { return voxel < 0 ? -1 : voxel >> 3; }

}  // namespace

bool BlockMesher::mesh(std::uint32_t block) {
  vertices_.clear();
  triangles_.clear();
  info_ = &volume_.info(block);
  if (!may_cross()) return false;
  for (std::size_t k = 0; k < around_.size(); ++k) {
    const std::uint32_t other = info_->around[k];
    around_[k] = other == kNoBlock ? nullptr : &volume_.block(other);
    colours_[k] = other == kNoBlock ? nullptr : volume_.colours(other);
  }
  coloured_ =
      std::ranges::any_of(colours_, [](const ColourBlock* some) { return some != nullptr; });
  if (!find_cubes()) return false;
  copy_out();
  find_whole_cubes();
  wide_enough_ = info_->views.widest_deg() >= kEnoughSpread_deg;
  vertex_of_edge_.fill(kNoVertex);
  for (int z = 0; z < kBlockSide; ++z)
    for (int y = 0; y < kBlockSide; ++y)
      for (unsigned left = cubes_[static_cast<std::size_t>(y + kBlockSide * z)]; left != 0;
           left &= left - 1)
        mesh_cube(std::countr_zero(left), y, z);
  return true;
}

// By what is known of the blocks as a whole.
bool BlockMesher::may_cross() const {
  int lowest = 0;
  int highest = -1;
  for (int k = 0; k < 8; ++k) {
    const std::uint32_t other = info_->around[BlockInfo::neighbour_at(k & 1, (k >> 1) & 1, k >> 2)];
    if (other == kNoBlock) continue;
    const BlockInfo& known = volume_.info(other);
    lowest = std::min<int>(lowest, known.lowest);
    highest = std::max<int>(highest, known.highest);
  }
  return lowest < 0 && highest >= 0;
}

// Rows y and y + 1 (even y), or the one row that is needed of a neighbour.
void BlockMesher::read_rows(int y, int z) {
  const std::size_t first = Block::at(0, y & 7, z & 7);
  const int rows = y < kBlockSide ? 2 : 1;
  unsigned inside = 0;
  unsigned seen = 0;
  if (const Block* from = around(0, y >> 3, z >> 3); from != nullptr) {
    inside = negative(&from->distance[first]);
    seen = at_least(&from->weight[first], min_weight_);
  }
  const Block* next = around(1, y >> 3, z >> 3);
  for (int row = 0; row < rows; ++row) {
    Masks masks{.inside = inside >> (kBlockSide * row) & 0xff,
                .seen = seen >> (kBlockSide * row) & 0xff};
    if (next != nullptr) {
      const std::size_t at_next = first + static_cast<std::size_t>(kBlockSide * row);
      masks.inside |= static_cast<unsigned>(next->distance[at_next] < 0) << kBlockSide;
      masks.seen |= static_cast<unsigned>(next->weight[at_next] >= min_weight_) << kBlockSide;
    }
    rows_[cube_row(y + row, z)] = masks;
  }
}

bool BlockMesher::find_cubes() {
  for (int z = 0; z < kCubeRows; ++z)
    for (int y = 0; y < kCubeRows; y += 2) read_rows(y, z);
  unsigned any = 0;
  for (int z = 0; z < kBlockSide; ++z)
    for (int y = 0; y < kBlockSide; ++y) {
      const Masks& a = rows_[cube_row(y, z)];
      const Masks& b = rows_[cube_row(y + 1, z)];
      const Masks& c = rows_[cube_row(y, z + 1)];
      const Masks& d = rows_[cube_row(y + 1, z + 1)];
      const unsigned seen = a.seen & b.seen & c.seen & d.seen;
      const unsigned some = a.inside | b.inside | c.inside | d.inside;
      const unsigned all = a.inside & b.inside & c.inside & d.inside;
      const unsigned crossed = seen & (seen >> 1) & (some | some >> 1) & ~(all & (all >> 1)) & 0xff;
      cubes_[static_cast<std::size_t>(y + kBlockSide * z)] = static_cast<std::uint8_t>(crossed);
      any |= crossed;
    }
  return any != 0;
}

void BlockMesher::copy_out() {
  for (int z = -1; z < kSide - 1; ++z)
    for (int y = -1; y < kSide - 1; ++y) {
      const std::size_t to = at(-1, y, z);
      const std::size_t first = Block::at(0, y & 7, z & 7);
      const int dy = block_step(y);
      const int dz = block_step(z);
      std::memset(&distance_[to], 0, kStride * sizeof(distance_[0]));
      std::memset(&weight_[to], 0, kStride * sizeof(weight_[0]));
      if (const Block* from = around(-1, dy, dz); from != nullptr) {
        distance_[to] = from->distance[first + 7];
        weight_[to] = from->weight[first + 7];
      }
      if (const Block* from = around(0, dy, dz); from != nullptr) {
        std::memcpy(&distance_[to + 1], &from->distance[first], kBlockSide * sizeof(std::int16_t));
        std::memcpy(&weight_[to + 1], &from->weight[first], kBlockSide * sizeof(std::uint16_t));
      }
      if (const Block* from = around(1, dy, dz); from != nullptr) {
        std::memcpy(&distance_[to + 9], &from->distance[first], 2 * sizeof(std::int16_t));
        std::memcpy(&weight_[to + 9], &from->weight[first], 2 * sizeof(std::uint16_t));
      }
    }
}

void BlockMesher::find_whole_cubes() {
  std::array<unsigned, kSide * kSide> seen{};
  for (int z = 0; z < kSide; ++z)
    for (int y = 0; y < kSide; ++y) {
      const std::uint16_t* weights = &weight_[at(-1, y - 1, z - 1)];
      unsigned bits = 0;
      for (int x = 0; x < kSide; ++x) bits |= static_cast<unsigned>(weights[x] >= min_weight_) << x;
      seen[static_cast<std::size_t>(y + kSide * z)] = bits;
    }
  for (std::size_t z = 0; z < 10; ++z)
    for (std::size_t y = 0; y < 10; ++y) {
      const std::size_t row = y + kSide * z;
      const unsigned all = seen[row] & seen[row + 1] & seen[row + kSide] & seen[row + kSide + 1];
      whole_[y + 10 * z] = static_cast<std::uint16_t>(all & (all >> 1));
    }
}

void BlockMesher::mesh_cube(int x, int y, int z) {
  const auto pair = [&](int dy, int dz) {
    return rows_[cube_row(y + dy, z + dz)].inside >> x & 3U;
  };
  const unsigned corners = pair(0, 0) | pair(1, 0) << 2 | pair(0, 1) << 4 | pair(1, 1) << 6;
  const marching_cubes::Case& found = marching_cubes::kCases[corners];
  for (int t = 0; t < found.triangles; ++t) {
    PatchTriangle triangle{};
    for (std::size_t k = 0; k < 3; ++k) {
      const int edge = found.edges[static_cast<std::size_t>(t)][k];
      const int corner = marching_cubes::kEdgeStart[static_cast<std::size_t>(edge)];
      triangle[k] =
          add_vertex(x + (corner & 1), y + (corner >> 1 & 1), z + (corner >> 2), edge / 4);
    }
    triangles_.push_back(triangle);
  }
}

// Central difference where both sides were seen, else towards the one that was.
float BlockMesher::slope(std::size_t voxel, std::size_t step) const {
  const bool ahead = weight_[voxel + step] >= min_weight_;
  const bool behind = weight_[voxel - step] >= min_weight_;
  const float here = distance_[voxel];
  if (ahead && behind)
    return 0.5F * static_cast<float>(distance_[voxel + step] - distance_[voxel - step]);
  if (ahead) return static_cast<float>(distance_[voxel + step]) - here;
  if (behind) return here - static_cast<float>(distance_[voxel - step]);
  return 0;
}

// Of the four cubes around an edge, is one not whole?
bool BlockMesher::on_rim(int x, int y, int z, int axis) const {
  const auto whole = [&](int cx, int cy, int cz) {
    return (whole_[static_cast<std::size_t>((cy + 1) + 10 * (cz + 1))] >> (cx + 1) & 1) != 0;
  };
  for (int k = 0; k < 4; ++k) {
    const int u = k & 1;
    const int v = k >> 1;
    const bool there = axis == 0   ? whole(x, y - u, z - v)
                       : axis == 1 ? whole(x - u, y, z - v)
                                   : whole(x - u, y - v, z);
    if (!there) return true;
  }
  return false;
}

// Of the ends of an edge, as near as they are; of the one that has a colour.
std::array<std::uint8_t, 3> BlockMesher::colour_between(int x, int y, int z, int axis,
                                                        float share) const {
  const auto at_end = [&](int cx, int cy, int cz) {
    const ColourBlock* from =
        colours_[BlockInfo::neighbour_at(block_step(cx), block_step(cy), block_step(cz))];
    return from == nullptr ? ColouredVoxel{} : (*from)[Block::at(cx & 7, cy & 7, cz & 7)];
  };
  const ColouredVoxel start = at_end(x, y, z);
  const ColouredVoxel end = at_end(x + (axis == 0), y + (axis == 1), z + (axis == 2));
  if (end.weight == 0) return start.rgb;
  if (start.weight == 0) return end.rgb;
  std::array<std::uint8_t, 3> mixed{};
  for (std::size_t c = 0; c < 3; ++c)
    mixed[c] = static_cast<std::uint8_t>((1 - share) * start.rgb[c] + share * end.rgb[c] + 0.5F);
  return mixed;
}

std::uint16_t BlockMesher::add_vertex(int x, int y, int z, int axis) {
  std::uint16_t& number = vertex_of_edge_[static_cast<std::size_t>(
      axis * kEdgePlace + x + kCubeRows * (y + kCubeRows * z))];
  if (number != kNoVertex) return number;
  number = static_cast<std::uint16_t>(vertices_.size());
  constexpr std::array<std::size_t, 3> kSteps = {1, kStride, kStride * kSide};
  const auto along = static_cast<std::size_t>(axis);
  const std::size_t start = at(x, y, z);
  const std::size_t end = start + kSteps[along];
  const float from = distance_[start];
  const float to = distance_[end];
  const float share = std::clamp(from / (from - to), kEndGap, 1 - kEndGap);

  PatchVertex vertex;
  const std::array<int, 3> voxel = {x, y, z};
  for (std::size_t k = 0; k < 3; ++k)
    vertex.position[k] = static_cast<std::uint16_t>(voxel[k] * kPatchSteps);
  vertex.position[along] = static_cast<std::uint16_t>(vertex.position[along] +
                                                      static_cast<int>(share * kPatchSteps + 0.5F));

  const bool rim = on_rim(x, y, z, axis);
  // Away from the rim all neighbours of both ends were seen.
  const auto slope_at = [&](std::size_t place, std::size_t step) {
    return rim ? slope(place, step)
               : 0.5F * static_cast<float>(distance_[place + step] - distance_[place - step]);
  };
  std::array<float, 3> gradient{};
  for (std::size_t k = 0; k < 3; ++k)
    gradient[k] = k == along
                      ? to - from
                      : (1 - share) * slope_at(start, kSteps[k]) + share * slope_at(end, kSteps[k]);
  const float length =
      std::sqrt(gradient[0] * gradient[0] + gradient[1] * gradient[1] + gradient[2] * gradient[2]);
  const float unit = kNormalUnit / length;  // the ends differ in sign: never 0
  for (std::size_t k = 0; k < 3; ++k) {
    const float part = gradient[k] * unit;
    vertex.normal[k] = static_cast<std::int8_t>(part + (part < 0 ? -0.5F : 0.5F));
  }

  if (coloured_) vertex.rgb = colour_between(x, y, z, axis, share);
  if (rim)
    vertex.level = SurfaceLevel::kRim;
  else if (wide_enough_ && std::min(weight_[start], weight_[end]) >= kEnoughWeight)
    vertex.level = SurfaceLevel::kEnough;
  vertices_.push_back(vertex);
  return number;
}

}  // namespace cusp
