#include "pipeline/hole_patch.h"

#include <Eigen/Geometry>
#include <Eigen/Sparse>
#include <Eigen/SparseCholesky>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "pipeline/mesh_edges.h"

namespace cusp {
namespace {

// A longer edge is cut in two by its best chord first: the work rises with its third power.
constexpr std::size_t kLongEdge = 150;
constexpr int kRefineRounds = 12;
constexpr int kFlipRounds = 30;
constexpr int kFairRounds = 2;
constexpr std::size_t kMaxPatchTriangles = 20000;

using Pair = std::pair<std::uint32_t, std::uint32_t>;
Pair sorted(std::uint32_t a, std::uint32_t b) { return {std::min(a, b), std::max(a, b)}; }

Eigen::Vector3d cross_of(const Eigen::Vector3f& a, const Eigen::Vector3f& b,
                         const Eigen::Vector3f& c) {
  return (b - a).cast<double>().cross((c - a).cast<double>());
}

// 0 flat to 2 folded back.
double fold(const Eigen::Vector3d& a, const Eigen::Vector3d& b) {
  const double norms = a.norm() * b.norm();
  return norms > 0 ? 1 - a.dot(b) / norms : 2;
}

struct Cost {
  double fold = 0;
  double area = 0;
  bool operator<(const Cost& other) const {
    return fold != other.fold ? fold < other.fold : area < other.area;
  }
};
constexpr Cost kImpossible{std::numeric_limits<double>::infinity(), 0};

class Triangulation {
 public:
  explicit Triangulation(const HoleEdge& edge) : edge_(edge) {
    for (std::uint32_t i = 0; i < edge.vertices_mm.size(); ++i)
      beyond_[sorted(i, next(i))] = edge.beyond[i].cast<double>();
  }

  std::optional<Mesh> run() {
    std::vector<std::uint32_t> all(edge_.vertices_mm.size());
    for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = i;
    mesh_.vertices_mm = edge_.vertices_mm;
    if (all.size() < 3 || !cut(all)) return std::nullopt;
    return std::move(mesh_);
  }

 private:
  [[nodiscard]] std::uint32_t next(std::uint32_t i) const {
    return i + 1 < edge_.vertices_mm.size() ? i + 1 : 0;
  }
  [[nodiscard]] bool may_join(std::uint32_t a, std::uint32_t b) const {
    return !edge_.joined.contains(sorted(a, b));
  }

  bool cut(const std::vector<std::uint32_t>& loop) {
    const std::size_t n = loop.size();
    if (n <= kLongEdge) return solve(loop);
    double shortest = std::numeric_limits<double>::infinity();
    std::pair<std::size_t, std::size_t> best{};
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = i + n / 3; j < std::min(n, i + 2 * n / 3); ++j) {
        const double length =
            (edge_.vertices_mm[loop[i]] - edge_.vertices_mm[loop[j]]).squaredNorm();
        if (length < shortest && may_join(loop[i], loop[j])) {
          shortest = length;
          best = {i, j};
        }
      }
    if (!std::isfinite(shortest)) return false;
    const auto at = [&](std::size_t i) { return loop.begin() + static_cast<std::ptrdiff_t>(i); };
    const std::vector<std::uint32_t> inner(at(best.first), at(best.second + 1));
    std::vector<std::uint32_t> outer(loop.begin(), at(best.first + 1));
    outer.insert(outer.end(), at(best.second), loop.end());
    return cut(inner) && cut(outer);
  }

  // The cheapest triangulation of every stretch of the loop, short ones first.
  bool solve(const std::vector<std::uint32_t>& loop) {
    const std::size_t n = loop.size();
    std::vector<Cost> cost(n * n);
    std::vector<std::size_t> apex(n * n, 0);
    const auto normal = [&](std::size_t i, std::size_t m, std::size_t k) {
      return cross_of(edge_.vertices_mm[loop[i]], edge_.vertices_mm[loop[m]],
                      edge_.vertices_mm[loop[k]]);
    };
    // What stands beyond the side from i to k: a triangle of its best, or of the surface.
    const auto fold_at = [&](std::size_t i, std::size_t k, const Eigen::Vector3d& own) {
      if (k - i > 1) return fold(own, normal(i, apex[i * n + k], k));
      const auto found = beyond_.find(sorted(loop[i], loop[k]));
      return found == beyond_.end() ? 0 : fold(own, found->second);
    };
    for (std::size_t length = 2; length < n; ++length)
      for (std::size_t i = 0; i + length < n; ++i) {
        const std::size_t k = i + length;
        Cost& best = cost[i * n + k];
        best = kImpossible;
        const bool last = length == n - 1;
        if (!last && !may_join(loop[i], loop[k])) continue;
        for (std::size_t m = i + 1; m < k; ++m) {
          const Cost& left = cost[i * n + m];
          const Cost& right = cost[m * n + k];
          const double so_far = std::max(left.fold, right.fold);
          if (so_far > best.fold || !std::isfinite(so_far)) continue;
          const Eigen::Vector3d own = normal(i, m, k);
          Cost sum{std::max({so_far, fold_at(i, m, own), fold_at(m, k, own)}),
                   left.area + right.area + 0.5 * own.norm()};
          if (const auto found = beyond_.find(sorted(loop[i], loop[k]));
              last && found != beyond_.end())
            sum.fold = std::max(sum.fold, fold(own, found->second));
          if (sum < best) {
            best = sum;
            apex[i * n + k] = m;
          }
        }
      }
    if (!std::isfinite(cost[n - 1].fold)) return false;
    std::vector<std::pair<std::size_t, std::size_t>> open = {{0, n - 1}};
    while (!open.empty()) {
      const auto [i, k] = open.back();
      open.pop_back();
      if (k - i < 2) continue;
      const std::size_t m = apex[i * n + k];
      mesh_.triangles.push_back({loop[i], loop[m], loop[k]});
      open.emplace_back(i, m);
      open.emplace_back(m, k);
    }
    return true;
  }

  const HoleEdge& edge_;
  std::map<Pair, Eigen::Vector3d> beyond_;
  Mesh mesh_;
};

// Whether the edge's two triangles are better as the other two of their four corners.
bool better_flipped(const Mesh& patch, std::uint32_t a, std::uint32_t b, std::uint32_t left,
                    std::uint32_t right) {
  const auto angle = [&](std::uint32_t at) {
    const Eigen::Vector3f to_a = patch.vertices_mm[a] - patch.vertices_mm[at];
    const Eigen::Vector3f to_b = patch.vertices_mm[b] - patch.vertices_mm[at];
    return std::atan2(to_a.cross(to_b).norm(), to_a.dot(to_b));
  };
  if (angle(left) + angle(right) <= static_cast<float>(M_PI) * 1.0001F) return false;
  // In a fold the other two might face each other.
  const Eigen::Vector3d one =
      cross_of(patch.vertices_mm[left], patch.vertices_mm[a], patch.vertices_mm[right]);
  const Eigen::Vector3d two =
      cross_of(patch.vertices_mm[left], patch.vertices_mm[right], patch.vertices_mm[b]);
  return one.dot(two) > 0;
}

void flip_edges(Mesh& patch, const HoleEdge& edge) {
  WorkerPool here(1);
  for (int round = 0; round < kFlipRounds; ++round) {
    const Twins twins = find_twins(patch, find_corners(patch), here);
    std::set<Pair> edges = edge.joined;
    for (std::uint32_t h = 0; h < twins.of.size(); ++h)
      edges.insert(sorted(from_vertex(patch, h), to_vertex(patch, h)));
    std::vector<bool> changed(patch.triangles.size(), false);
    bool any = false;
    for (std::uint32_t h = 0; h < twins.of.size(); ++h) {
      const std::uint32_t twin = twins.of[h];
      if (twin == kNoTwin || twin < h || changed[h / 3] || changed[twin / 3]) continue;
      const std::uint32_t a = from_vertex(patch, h);
      const std::uint32_t b = to_vertex(patch, h);
      const std::uint32_t left = from_vertex(patch, prev_in_triangle(h));
      const std::uint32_t right = from_vertex(patch, prev_in_triangle(twin));
      if (!better_flipped(patch, a, b, left, right) || edges.contains(sorted(left, right)))
        continue;
      edges.erase(sorted(a, b));
      edges.insert(sorted(left, right));
      patch.triangles[h / 3] = {left, a, right};
      patch.triangles[twin / 3] = {left, right, b};
      changed[h / 3] = changed[twin / 3] = any = true;
    }
    if (!any) return;
  }
}

}  // namespace

std::optional<Mesh> triangulate_hole(const HoleEdge& edge) { return Triangulation(edge).run(); }

void refine_patch(Mesh& patch, const HoleEdge& edge) {
  const std::size_t n = edge.vertices_mm.size();
  // How long edges are around each vertex.
  std::vector<float> scale(n, 0);
  for (std::size_t i = 0; i < n; ++i) {
    float sum = (edge.vertices_mm[i] - edge.vertices_mm[(i + 1) % n]).norm() +
                (edge.vertices_mm[i] - edge.vertices_mm[(i + n - 1) % n]).norm();
    for (const Eigen::Vector3f& other : edge.neighbours_mm[i])
      sum += (edge.vertices_mm[i] - other).norm();
    scale[i] = sum / static_cast<float>(2 + edge.neighbours_mm[i].size());
  }
  for (int round = 0; round < kRefineRounds; ++round) {
    const std::size_t count = patch.triangles.size();
    if (count > kMaxPatchTriangles) break;
    for (std::size_t t = 0; t < count; ++t) {
      const auto [a, b, c] = patch.triangles[t];
      const Eigen::Vector3f middle =
          (patch.vertices_mm[a] + patch.vertices_mm[b] + patch.vertices_mm[c]) / 3;
      const float wanted = (scale[a] + scale[b] + scale[c]) / 3;
      bool split = true;
      for (const std::uint32_t v : {a, b, c}) {
        const float far = std::sqrt(2.0F) * (middle - patch.vertices_mm[v]).norm();
        split = split && far > wanted && far > scale[v];
      }
      if (!split) continue;
      const auto v = static_cast<std::uint32_t>(patch.vertices_mm.size());
      patch.vertices_mm.push_back(middle);
      scale.push_back(wanted);
      patch.triangles[t] = {a, b, v};
      patch.triangles.push_back({b, c, v});
      patch.triangles.push_back({c, a, v});
    }
    flip_edges(patch, edge);
    if (patch.triangles.size() == count) break;
  }
}

void fair_patch(Mesh& patch, const HoleEdge& edge) {
  const std::size_t n = edge.vertices_mm.size();
  const std::size_t vertices = patch.vertices_mm.size();
  if (vertices == n) return;
  std::vector<std::set<std::uint32_t>> around(vertices);
  for (const auto& t : patch.triangles)
    for (std::size_t k = 0; k < 3; ++k) {
      around[t[k]].insert(t[(k + 1) % 3]);
      around[t[(k + 1) % 3]].insert(t[k]);
    }
  // The weights are of the lengths that edges have; the second time they are those of the result.
  for (int round = 0; round < kFairRounds; ++round) {
    // A row a vertex: the mean of its neighbours minus itself; a column an inner vertex.
    std::vector<Eigen::Triplet<double>> entries;
    Eigen::MatrixX3d fixed = Eigen::MatrixX3d::Zero(static_cast<Eigen::Index>(vertices), 3);
    for (std::size_t v = 0; v < vertices; ++v) {
      const auto row = static_cast<Eigen::Index>(v);
      const auto weight = [&](const Eigen::Vector3f& other) {
        const auto length = static_cast<double>((patch.vertices_mm[v] - other).norm());
        return length > 0 ? 1 / length : 0;
      };
      double sum = 0;
      for (const std::uint32_t other : around[v]) sum += weight(patch.vertices_mm[other]);
      if (v < n)
        for (const Eigen::Vector3f& other : edge.neighbours_mm[v]) sum += weight(other);
      if (!(sum > 0)) return;
      for (const std::uint32_t other : around[v]) {
        const double share = weight(patch.vertices_mm[other]) / sum;
        if (other >= n)
          entries.emplace_back(static_cast<int>(v), static_cast<int>(other - n), share);
        else
          fixed.row(row) += share * edge.vertices_mm[other].cast<double>().transpose();
      }
      if (v < n) {
        for (const Eigen::Vector3f& other : edge.neighbours_mm[v])
          fixed.row(row) += weight(other) / sum * other.cast<double>().transpose();
        fixed.row(row) -= edge.vertices_mm[v].cast<double>().transpose();
      } else {
        entries.emplace_back(static_cast<int>(v), static_cast<int>(v - n), -1.0);
      }
    }
    Eigen::SparseMatrix<double> umbrella(static_cast<Eigen::Index>(vertices),
                                         static_cast<Eigen::Index>(vertices - n));
    umbrella.setFromTriplets(entries.begin(), entries.end());
    const Eigen::SparseMatrix<double> normal = umbrella.transpose() * umbrella;
    const Eigen::SimplicialLDLT<Eigen::SparseMatrix<double>> solver(normal);
    if (solver.info() != Eigen::Success) return;
    const Eigen::MatrixX3d inner = solver.solve(-(umbrella.transpose() * fixed));
    if (!inner.allFinite()) return;
    for (std::size_t v = n; v < vertices; ++v)
      patch.vertices_mm[v] = inner.row(static_cast<Eigen::Index>(v - n)).transpose().cast<float>();
  }
}

}  // namespace cusp
