#include "pipeline/nearest.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

namespace cusp {
namespace {

constexpr std::size_t kLeafTriangles = 4;
constexpr std::size_t kGrain = 16384;

// Spreads the low 20 bits of a number to every third place.
std::uint64_t every_third_bit(std::uint64_t x) {
  x &= 0xfffff;
  x = (x | (x << 32)) & 0x1f00000000ffffULL;
  x = (x | (x << 16)) & 0x1f0000ff0000ffULL;
  x = (x | (x << 8)) & 0x100f00f00f00f00fULL;
  x = (x | (x << 4)) & 0x10c30c30c30c30c3ULL;
  return (x | (x << 2)) & 0x1249249249249249ULL;
}

// Shares of the corners in the point of a triangle that is nearest to p: each of its seven regions
// in turn.
Eigen::Vector3f nearest_share(const Eigen::Vector3f& p, const std::array<Eigen::Vector3f, 3>& t) {
  const Eigen::Vector3f ab = t[1] - t[0];
  const Eigen::Vector3f ac = t[2] - t[0];
  const Eigen::Vector3f from_a = p - t[0];
  const float ab_a = ab.dot(from_a);
  const float ac_a = ac.dot(from_a);
  if (ab_a <= 0 && ac_a <= 0) return {1, 0, 0};
  const Eigen::Vector3f from_b = p - t[1];
  const float ab_b = ab.dot(from_b);
  const float ac_b = ac.dot(from_b);
  if (ab_b >= 0 && ac_b <= ab_b) return {0, 1, 0};
  const Eigen::Vector3f from_c = p - t[2];
  const float ab_c = ab.dot(from_c);
  const float ac_c = ac.dot(from_c);
  if (ac_c >= 0 && ab_c <= ac_c) return {0, 0, 1};
  const float beyond_ab = ab_a * ac_b - ab_b * ac_a;
  if (beyond_ab <= 0 && ab_a >= 0 && ab_b <= 0) {
    const float along = ab_a > ab_b ? ab_a / (ab_a - ab_b) : 0;
    return {1 - along, along, 0};
  }
  const float beyond_ac = ab_c * ac_a - ab_a * ac_c;
  if (beyond_ac <= 0 && ac_a >= 0 && ac_c <= 0) {
    const float along = ac_a > ac_c ? ac_a / (ac_a - ac_c) : 0;
    return {1 - along, 0, along};
  }
  const float beyond_bc = ab_b * ac_c - ab_c * ac_b;
  const float to_c = ac_b - ab_b;
  const float to_b = ab_c - ac_c;
  if (beyond_bc <= 0 && to_c >= 0 && to_b >= 0) {
    const float along = to_c + to_b > 0 ? to_c / (to_c + to_b) : 0;
    return {0, 1 - along, along};
  }
  const float sum = beyond_ab + beyond_ac + beyond_bc;
  const float b = beyond_ac / sum;
  const float c = beyond_ab / sum;
  return {1 - b - c, b, c};
}

}  // namespace

void NearestSurface::Box::extend(const Box& other) {
  low = low.min(other.low);
  high = high.max(other.high);
}

float NearestSurface::Box::distance2(const Eigen::Array3f& p) const {
  float sum = 0;
  for (int k = 0; k < 3; ++k) {
    const float off = std::max(std::max(low[k] - p[k], p[k] - high[k]), 0.0F);
    sum += off * off;
  }
  return sum;
}

NearestSurface::NearestSurface(const Mesh& mesh, WorkerPool& pool) {
  const std::size_t count = mesh.triangles.size();
  if (count == 0) return;
  Box all;
  for (const Eigen::Vector3f& v : mesh.vertices_mm) all.extend({v.array(), v.array()});
  const Eigen::Vector3d low = all.low.matrix().cast<double>();
  const double size = std::max(1e-30, (all.high.matrix().cast<double>() - low).maxCoeff());
  std::vector<std::pair<std::uint64_t, std::uint32_t>> order(count);
  pool.for_chunks(count, kGrain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      Eigen::Vector3d middle = Eigen::Vector3d::Zero();
      for (const std::uint32_t v : mesh.triangles[i])
        middle += (mesh.vertices_mm[v].cast<double>() - low) / (3 * size);
      std::uint64_t code = 0;
      for (int k = 0; k < 3; ++k)
        code |= every_third_bit(static_cast<std::uint64_t>(middle[k] * 0xfffff)) << k;
      order[i] = {code, static_cast<std::uint32_t>(i)};
    }
  });
  std::sort(order.begin(), order.end());

  leaves_.resize(count);
  const std::size_t groups = (count + kLeafTriangles - 1) / kLeafTriangles;
  first_leaf_box_ = std::bit_ceil(groups) - 1;
  boxes_.assign(first_leaf_box_ + groups, Box());
  pool.for_chunks(groups, kGrain / kLeafTriangles, [&](std::size_t begin, std::size_t end) {
    for (std::size_t g = begin; g < end; ++g)
      for (std::size_t i = g * kLeafTriangles; i < std::min(count, (g + 1) * kLeafTriangles); ++i) {
        Leaf& leaf = leaves_[i];
        leaf.triangle = order[i].second;
        for (std::size_t k = 0; k < 3; ++k) {
          leaf.corners[k] = mesh.vertices_mm[mesh.triangles[leaf.triangle][k]];
          boxes_[first_leaf_box_ + g].extend({leaf.corners[k].array(), leaf.corners[k].array()});
        }
      }
  });
  for (std::size_t i = first_leaf_box_; i-- > 0;)
    for (const std::size_t child : {2 * i + 1, 2 * i + 2})
      if (child < boxes_.size()) boxes_[i].extend(boxes_[child]);
}

std::optional<NearestPoint> NearestSurface::find(const Eigen::Vector3f& p_mm,
                                                 float limit_mm) const {
  if (boxes_.empty()) return std::nullopt;
  struct Open {
    std::size_t box;
    float distance2;
  };
  // The tree is as deep as a number of triangles has bits; each level leaves one box behind.
  std::array<Open, 66> open;
  std::size_t depth = 0;
  float best2 = limit_mm * limit_mm;
  std::optional<NearestPoint> best;
  open[depth++] = {0, boxes_[0].distance2(p_mm.array())};
  while (depth > 0) {
    const Open next = open[--depth];
    if (!(next.distance2 < best2)) continue;
    if (next.box >= first_leaf_box_) {
      const std::size_t first = (next.box - first_leaf_box_) * kLeafTriangles;
      for (std::size_t i = first; i < std::min(leaves_.size(), first + kLeafTriangles); ++i) {
        const Leaf& leaf = leaves_[i];
        const Eigen::Vector3f share = nearest_share(p_mm, leaf.corners);
        const Eigen::Vector3f point =
            share[0] * leaf.corners[0] + share[1] * leaf.corners[1] + share[2] * leaf.corners[2];
        const float distance2 = (point - p_mm).squaredNorm();
        if (!(distance2 < best2)) continue;
        best2 = distance2;
        best = NearestPoint{leaf.triangle, point, share, std::sqrt(distance2)};
      }
      continue;
    }
    Open a{2 * next.box + 1, 0};
    Open b{2 * next.box + 2, 0};
    for (Open* child : {&a, &b})
      child->distance2 = child->box < boxes_.size() ? boxes_[child->box].distance2(p_mm.array())
                                                    : std::numeric_limits<float>::infinity();
    if (a.distance2 < b.distance2) std::swap(a, b);
    if (a.distance2 < best2) open[depth++] = a;
    if (b.distance2 < best2) open[depth++] = b;
  }
  return best;
}

}  // namespace cusp
