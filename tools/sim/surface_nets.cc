#include "tools/sim/surface_nets.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "core/check.h"

namespace cusp::sim {
namespace {

using Cell = Eigen::Vector3i;

constexpr int kBlock = 8;
constexpr int kBlockSamples = kBlock * kBlock * kBlock;
constexpr std::uint32_t kNoVertex = std::numeric_limits<std::uint32_t>::max();
// A vertex keeps this share of a cell away from the cell's faces, so that no two coincide.
constexpr float kCellMargin = 0.04f;

template <typename Work>
void for_each_index(std::size_t count, const Work& work) {
  std::atomic<std::size_t> next{0};
  const auto loop = [&] {
    constexpr std::size_t kChunk = 16;
    for (std::size_t from = next.fetch_add(kChunk); from < count; from = next.fetch_add(kChunk)) {
      for (std::size_t i = from; i < std::min(from + kChunk, count); ++i) work(i);
    }
  };
  const std::jthread helper(loop);
  loop();
}

Cell corner_offset(int corner) { return {corner & 1, (corner >> 1) & 1, (corner >> 2) & 1}; }

// Whether the chosen corners of a cube hang together along its edges.
bool edge_connected(unsigned corners) {
  if (corners == 0) return true;
  unsigned reached = corners & (~corners + 1U);
  for (unsigned before = 0; before != reached;) {
    before = reached;
    for (unsigned axis = 0; axis < 3; ++axis) {
      for (unsigned corner = 0; corner < 8; ++corner) {
        if ((before >> corner) & 1U) reached |= 1U << (corner ^ (1U << axis));
      }
    }
    reached &= corners;
  }
  return reached == corners;
}

std::array<bool, 256> ambiguous_masks() {
  std::array<bool, 256> table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    table[mask] = !edge_connected(mask) || !edge_connected(~mask & 0xffU);
  }
  return table;
}

class SampledField {
 public:
  SampledField(const Field& field, const Eigen::AlignedBox3f& box_mm, float spacing_mm)
      : field_(field), origin_(box_mm.min()), spacing_(spacing_mm) {
    const Eigen::Vector3f size = box_mm.sizes() / (spacing_ * kBlock);
    blocks_ = size.array().ceil().cast<int>() + 1;
    grid_.resize(static_cast<std::size_t>(blocks_.prod()));
    for_each_index(grid_.size(), [this](std::size_t i) { sample_if_near(i); });
    close_seams();
    store_borders();
    make_well_composed();
  }

  Mesh extract() {
    Mesh mesh;
    place_vertices(mesh);
    for_each_index(mesh.vertices_mm.size(), [&](std::size_t i) { project(mesh, i); });
    for (std::size_t i = 0; i < grid_.size(); ++i) {
      if (!grid_[i].samples.empty()) add_quads(block_origin(i), mesh);
    }
    return mesh;
  }

 private:
  struct Block {
    float far_value = 1.0f;  // what the whole block holds when it has no samples
    std::vector<float> samples;
    std::vector<std::uint32_t> vertex;
  };

  std::size_t block_index(const Cell& c) const {
    const Cell b = c / kBlock;
    return static_cast<std::size_t>((b.z() * blocks_.y() + b.y()) * blocks_.x() + b.x());
  }
  static std::size_t sample_index(const Cell& c) {
    return static_cast<std::size_t>(((c.z() % kBlock) * kBlock + c.y() % kBlock) * kBlock +
                                    c.x() % kBlock);
  }
  Cell block_origin(std::size_t i) const {
    const int b = static_cast<int>(i);
    return Cell(b % blocks_.x(), b / blocks_.x() % blocks_.y(), b / (blocks_.x() * blocks_.y())) *
           kBlock;
  }
  bool has_cell(const Cell& c) const {
    return (c.array() >= 0).all() && (c.array() < blocks_.array() * kBlock - 1).all();
  }
  Eigen::Vector3f position(const Cell& c) const { return origin_ + spacing_ * c.cast<float>(); }

  float value(const Cell& c) const {
    const Block& block = grid_[block_index(c)];
    return block.samples.empty() ? block.far_value : block.samples[sample_index(c)];
  }
  unsigned mask(const Cell& c) const {
    unsigned bits = 0;
    for (int i = 0; i < 8; ++i) {
      if (value(c + corner_offset(i)) < 0.0f) bits |= 1U << static_cast<unsigned>(i);
    }
    return bits;
  }

  void sample_if_near(std::size_t i) {
    const Cell from = block_origin(i);
    const float centre =
        field_(position(from) + Eigen::Vector3f::Constant(spacing_ * (kBlock - 1) / 2.0f));
    const float reach = kFieldSlopeLimit * spacing_ * (kBlock + 1) / 2.0f * std::sqrt(3.0f);
    grid_[i].far_value = centre;
    if (std::abs(centre) <= reach) sample(i);
  }

  void sample(std::size_t i) {
    Block& block = grid_[i];
    const Cell from = block_origin(i);
    block.samples.resize(kBlockSamples);
    for (int s = 0; s < kBlockSamples; ++s) {
      const Cell c = from + Cell(s % kBlock, s / kBlock % kBlock, s / (kBlock * kBlock));
      block.samples[static_cast<std::size_t>(s)] = field_(position(c));
    }
  }

  // Where the field is steeper than promised, the surface may run on into a block that was passed
  // over.
  void close_seams() {
    std::vector<std::size_t> unseen(grid_.size());
    std::iota(unseen.begin(), unseen.end(), std::size_t{0});
    while (!unseen.empty()) {
      const std::size_t i = unseen.back();
      unseen.pop_back();
      for (int side = 0; side < 6; ++side) {
        const Cell step = (side < 3 ? 1 : -1) * Cell::Unit(side % 3);
        const Cell other = block_origin(i) + kBlock * step;
        if ((other.array() < 0).any() || (other.array() >= blocks_.array() * kBlock).any())
          continue;
        const std::size_t j = block_index(other);
        if (!grid_[i].samples.empty() && !grid_[j].samples.empty()) continue;
        if (!changes_sign_between(i, side)) continue;
        for (const std::size_t k : {i, j}) {
          if (!grid_[k].samples.empty()) continue;
          sample(k);
          unseen.push_back(k);
        }
      }
    }
  }

  // A cell belongs to the block of its lowest corner; where its others lie in a sampled block, it
  // must be visited.
  void store_borders() {
    std::vector<Cell> sampled;
    for (std::size_t i = 0; i < grid_.size(); ++i) {
      if (!grid_[i].samples.empty()) sampled.push_back(block_origin(i));
    }
    for (const Cell& from : sampled) {
      for (int i = 1; i < 8; ++i) {
        const Cell lower = from - kBlock * corner_offset(i);
        if ((lower.array() >= 0).all()) stored_samples(lower);
      }
    }
  }

  bool changes_sign_between(std::size_t i, int side) const {
    const int axis = side % 3;
    const Cell from = block_origin(i);
    for (int s = 0; s < kBlock * kBlock; ++s) {
      Cell here = from;
      here[axis] += side < 3 ? kBlock - 1 : 0;
      here[(axis + 1) % 3] += s % kBlock;
      here[(axis + 2) % 3] += s / kBlock;
      const Cell there = here + (side < 3 ? 1 : -1) * Cell::Unit(axis);
      if ((value(here) < 0.0f) != (value(there) < 0.0f)) return true;
    }
    return false;
  }

  std::vector<float>& stored_samples(const Cell& c) {
    Block& block = grid_[block_index(c)];
    if (block.samples.empty()) block.samples.assign(kBlockSamples, block.far_value);
    return block.samples;
  }

  template <typename Visit>
  void for_each_cell(const Visit& visit) const {
    for (std::size_t i = 0; i < grid_.size(); ++i) {
      if (grid_[i].samples.empty()) continue;
      const Cell from = block_origin(i);
      for (int s = 0; s < kBlockSamples; ++s) {
        const Cell c = from + Cell(s % kBlock, s / kBlock % kBlock, s / (kBlock * kBlock));
        if (has_cell(c)) visit(c);
      }
    }
  }

  // Ends, because it only ever fills and a full cell is not ambiguous.
  void make_well_composed() {
    const std::array<bool, 256> ambiguous = ambiguous_masks();
    std::vector<Cell> doubtful;
    for_each_cell([&](const Cell& c) {
      if (ambiguous[mask(c)]) doubtful.push_back(c);
    });
    while (!doubtful.empty()) {
      const Cell c = doubtful.back();
      doubtful.pop_back();
      if (!ambiguous[mask(c)]) continue;
      int nearest = 0;
      float nearest_value = std::numeric_limits<float>::max();
      for (int i = 0; i < 8; ++i) {
        const float v = value(c + corner_offset(i));
        if (v < 0.0f || v >= nearest_value) continue;
        nearest = i;
        nearest_value = v;
      }
      const Cell filled = c + corner_offset(nearest);
      stored_samples(filled)[sample_index(filled)] = -0.05f * spacing_;
      for (int i = 0; i < 8; ++i) {
        const Cell touched = filled - corner_offset(i);
        if (!has_cell(touched)) continue;
        stored_samples(touched);  // or its block would be passed over later
        doubtful.push_back(touched);
      }
    }
  }

  void place_vertices(Mesh& mesh) {
    for_each_cell([&](const Cell& c) {
      const unsigned bits = mask(c);
      if (bits == 0 || bits == 0xffU) return;
      Eigen::Vector3f sum = Eigen::Vector3f::Zero();
      int crossings = 0;
      for (int from = 0; from < 8; ++from) {
        for (int axis = 0; axis < 3; ++axis) {
          const int to = from | (1 << axis);
          if (to == from || ((bits >> from) & 1U) == ((bits >> to) & 1U)) continue;
          const float a = value(c + corner_offset(from));
          const float b = value(c + corner_offset(to));
          Eigen::Vector3f crossing = corner_offset(from).cast<float>();
          crossing[axis] += a / (a - b);
          sum += crossing;
          ++crossings;
        }
      }
      const Eigen::Vector3f within =
          (sum / static_cast<float>(crossings)).cwiseMax(kCellMargin).cwiseMin(1.0f - kCellMargin);
      Block& block = grid_[block_index(c)];
      if (block.vertex.empty()) block.vertex.assign(kBlockSamples, kNoVertex);
      block.vertex[sample_index(c)] = static_cast<std::uint32_t>(mesh.vertices_mm.size());
      mesh.vertices_mm.push_back(position(c) + spacing_ * within);
    });
  }

  // One Newton step with a one-sided gradient, then a second along the same direction.
  void project(Mesh& mesh, std::size_t i) const {
    Eigen::Vector3f& p = mesh.vertices_mm[i];
    const Eigen::Vector3f cell = ((p - origin_) / spacing_).array().floor();
    const float step = 0.2f * spacing_;
    float f = field_(p);
    Eigen::Vector3f gradient;
    for (int axis = 0; axis < 3; ++axis) {
      gradient[axis] = (field_(p + step * Eigen::Vector3f::Unit(axis)) - f) / step;
    }
    const float slope2 = std::max(gradient.squaredNorm(), 0.1f);
    const Eigen::Vector3f low = origin_ + spacing_ * (cell.array() + kCellMargin).matrix();
    const Eigen::Vector3f high = origin_ + spacing_ * (cell.array() + 1.0f - kCellMargin).matrix();
    for (int round = 0; round < 2; ++round) {
      p = (p - gradient * (f / slope2)).cwiseMax(low).cwiseMin(high);
      if (round == 0) f = field_(p);
    }
  }

  void add_quads(const Cell& from, Mesh& mesh) const {
    for (int s = 0; s < kBlockSamples; ++s) {
      const Cell c = from + Cell(s % kBlock, s / kBlock % kBlock, s / (kBlock * kBlock));
      const bool inside = value(c) < 0.0f;
      for (int axis = 0; axis < 3; ++axis) {
        const Cell side1 = Cell::Unit((axis + 1) % 3);
        const Cell side2 = Cell::Unit((axis + 2) % 3);
        const Cell first = c - side1 - side2;
        if (!has_cell(first) || !has_cell(c)) continue;
        if (inside == (value(c + Cell::Unit(axis)) < 0.0f)) continue;
        // Counter-clockwise seen from the upper end; turned over when the outside lies at the
        // lower.
        std::array<std::uint32_t, 4> ring{vertex(first), vertex(c - side2), vertex(c),
                                          vertex(c - side1)};
        if (!inside) std::swap(ring[1], ring[3]);
        add_quad(ring, mesh);
      }
    }
  }

  std::uint32_t vertex(const Cell& c) const {
    const std::vector<std::uint32_t>& vertices = grid_[block_index(c)].vertex;
    CUSP_CHECK(!vertices.empty() && vertices[sample_index(c)] != kNoVertex,
               "a sign change borders a cell that was never visited");
    return vertices[sample_index(c)];
  }

  static void add_quad(const std::array<std::uint32_t, 4>& ring, Mesh& mesh) {
    const auto length2 = [&](std::size_t a, std::size_t b) {
      return (mesh.vertices_mm[ring[a]] - mesh.vertices_mm[ring[b]]).squaredNorm();
    };
    const std::size_t first = length2(0, 2) <= length2(1, 3) ? 0 : 1;
    mesh.triangles.push_back({ring[first], ring[first + 1], ring[first + 2]});
    mesh.triangles.push_back({ring[first], ring[first + 2], ring[(first + 3) % 4]});
  }

  const Field& field_;
  Eigen::Vector3f origin_;
  float spacing_;
  Cell blocks_;
  std::vector<Block> grid_;
};

}  // namespace

Mesh surface_nets(const Field& field, const Eigen::AlignedBox3f& box_mm, float spacing_mm) {
  CUSP_CHECK(spacing_mm > 0.0f && !box_mm.isEmpty(), "surface nets need a box and a spacing");
  return SampledField(field, box_mm, spacing_mm).extract();
}

Mesh largest_part(const Mesh& mesh) {
  std::vector<std::uint32_t> parent(mesh.vertices_mm.size());
  std::iota(parent.begin(), parent.end(), 0U);
  const auto root = [&](std::uint32_t v) {
    while (parent[v] != v) v = parent[v] = parent[parent[v]];
    return v;
  };
  for (const auto& t : mesh.triangles) {
    parent[root(t[1])] = root(t[0]);
    parent[root(t[2])] = root(t[0]);
  }
  std::vector<std::size_t> count(parent.size());
  for (const auto& t : mesh.triangles) ++count[root(t[0])];
  if (count.empty()) return {};
  const auto largest =
      static_cast<std::uint32_t>(std::max_element(count.begin(), count.end()) - count.begin());

  Mesh part;
  std::vector<std::uint32_t> renamed(parent.size(), kNoVertex);
  for (const auto& t : mesh.triangles) {
    if (root(t[0]) != largest) continue;
    std::array<std::uint32_t, 3> triangle{};
    for (std::size_t i = 0; i < 3; ++i) {
      std::uint32_t& name = renamed[t[i]];
      if (name == kNoVertex) {
        name = static_cast<std::uint32_t>(part.vertices_mm.size());
        part.vertices_mm.push_back(mesh.vertices_mm[t[i]]);
      }
      triangle[i] = name;
    }
    part.triangles.push_back(triangle);
  }
  return part;
}

}  // namespace cusp::sim
