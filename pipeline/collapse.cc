#include "pipeline/collapse.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <optional>

#include "core/check.h"
#include "pipeline/mesh_edges.h"

namespace cusp {
namespace {

// Planes through border edges, square to their triangles, weigh this many times an area.
constexpr double kBorderWeight = 10;
// Pulls towards the middle of the edge where the planes don't say (flat, or straight).
constexpr double kMiddlePull = 1e-3;
// Among collapses that cost nothing the short ones come first.
constexpr double kLengthCost = 1e-6;
// How far a triangle's normal may turn: 60 degrees.
constexpr double kMinTurnCosine = 0.5;
// Least share of an equilateral triangle's area for its edges, unless it was worse before.
constexpr double kMinShape = 0.05;

// Sum of squared, weighted distances to planes, as a function of the place.
struct Quadric {
  Eigen::Matrix3d a = Eigen::Matrix3d::Zero();
  Eigen::Vector3d b = Eigen::Vector3d::Zero();
  double c = 0;
  double weight = 0;

  void add_plane(const Eigen::Vector3d& normal, const Eigen::Vector3d& point, double w) {
    const double d = normal.dot(point);
    a += w * normal * normal.transpose();
    b += w * d * normal;
    c += w * d * d;
    weight += w;
  }
  Quadric& operator+=(const Quadric& other) {
    a += other.a;
    b += other.b;
    c += other.c;
    weight += other.weight;
    return *this;
  }
  [[nodiscard]] double at(const Eigen::Vector3d& p) const {
    return std::max(0.0, p.dot(a * p) - 2 * b.dot(p) + c);
  }
};

struct Candidate {
  std::uint32_t u = 0;
  std::uint32_t v = 0;
  std::uint32_t stamp = 0;  // both vertices' together: out of date when one has moved
};

// Candidates in order of their cost, to within an eighth: a heap's exact order costs more time than
// all the rest and makes no better mesh. Of one shelf the last comes first.
class Shelves {
 public:
  void push(float cost, const Candidate& candidate) {
    // The exponent and three more bits of a number that isn't negative rise with it.
    const std::uint32_t shelf = std::bit_cast<std::uint32_t>(cost) >> 20;
    shelves_[std::max(shelf, lowest_)].push_back(candidate);
  }
  std::optional<Candidate> pop() {
    while (shelves_[lowest_].empty())
      if (++lowest_ == shelves_.size()) return --lowest_, std::nullopt;
    const Candidate next = shelves_[lowest_].back();
    shelves_[lowest_].pop_back();
    return next;
  }

 private:
  std::vector<std::vector<Candidate>> shelves_ = std::vector<std::vector<Candidate>>(2048);
  std::uint32_t lowest_ = 0;
};

double shape_of(const Eigen::Vector3d& a, const Eigen::Vector3d& b, const Eigen::Vector3d& c,
                double cross_norm) {
  const double edges = (b - a).squaredNorm() + (c - b).squaredNorm() + (a - c).squaredNorm();
  // 1 for an equilateral triangle.
  return edges > 0 ? cross_norm * 2 * std::sqrt(3.0) / edges : 0;
}

class Collapser {
 public:
  Collapser(Mesh& patch, const std::vector<std::uint8_t>& locked, const CollapseLimits& limits)
      : mesh_(patch), locked_(locked), limits_(limits), alive_(patch.triangles.size()) {
    const std::size_t vertices = mesh_.vertices_mm.size();
    origin_ = vertices > 0 ? mesh_.vertices_mm[0].cast<double>().eval() : Eigen::Vector3d::Zero();
    quadrics_.resize(vertices);
    stamps_.assign(vertices, 0);
    seen_.assign(vertices, 0);
    border_.assign(vertices, 0);
    for (std::size_t v = 0; v < locked_.size(); ++v) border_[v] = locked_[v];
    dead_.assign(mesh_.triangles.size(), 0);
    link_corners();
    add_planes();
  }

  void run(const std::stop_token& stop) {
    constexpr std::size_t kLookEvery = 1024;
    for (std::size_t step = 1; alive_ > limits_.target_triangles; ++step) {
      if (step % kLookEvery == 0 && stop.stop_requested()) return;
      const std::optional<Candidate> next = queue_.pop();
      if (!next) return;
      if (stamps_[next->u] + stamps_[next->v] == next->stamp) try_collapse(next->u, next->v);
    }
  }

  // Leaves the triangles that are left in the patch, and their marks.
  void finish(std::vector<std::uint8_t>& marks) {
    std::size_t kept = 0;
    for (std::size_t t = 0; t < dead_.size(); ++t) {
      if (dead_[t] != 0) continue;
      mesh_.triangles[kept] = mesh_.triangles[t];
      if (!marks.empty()) marks[kept] = marks[t];
      ++kept;
    }
    mesh_.triangles.resize(kept);
    if (!marks.empty()) marks.resize(kept);
    mesh_.normals.clear();
  }

 private:
  [[nodiscard]] bool locked(std::uint32_t v) const { return !locked_.empty() && locked_[v] != 0; }
  [[nodiscard]] Eigen::Vector3d place(std::uint32_t v) const {
    return mesh_.vertices_mm[v].cast<double>() - origin_;
  }

  // --- the corners of each vertex as a list that two vertices can join at once ---

  void link_corners() {
    head_.assign(mesh_.vertices_mm.size(), kNoTwin);
    tail_.assign(mesh_.vertices_mm.size(), kNoTwin);
    next_.assign(mesh_.triangles.size() * 3, kNoTwin);
    for (std::uint32_t h = 0; h < next_.size(); ++h) {
      const std::uint32_t v = from_vertex(mesh_, h);
      if (head_[v] == kNoTwin)
        head_[v] = h;
      else
        next_[tail_[v]] = h;
      tail_[v] = h;
    }
  }

  // Calls visit(h) for the living corners of a vertex; forgets the dead ones on the way.
  template <typename Visit>
  void for_corners(std::uint32_t v, const Visit& visit) {
    std::uint32_t before = kNoTwin;
    for (std::uint32_t h = head_[v]; h != kNoTwin; h = next_[h]) {
      if (dead_[h / 3] != 0) {
        (before == kNoTwin ? head_[v] : next_[before]) = next_[h];
        if (tail_[v] == h) tail_[v] = before;
        continue;
      }
      before = h;
      visit(h);
    }
  }

  void add_planes() {
    WorkerPool here(1);
    const Twins twins = find_twins(mesh_, find_corners(mesh_), here);
    for (std::uint32_t t = 0; t < mesh_.triangles.size(); ++t) {
      const auto& corners = mesh_.triangles[t];
      const Eigen::Vector3d a = place(corners[0]);
      Eigen::Vector3d normal = (place(corners[1]) - a).cross(place(corners[2]) - a);
      const double length = normal.norm();
      if (!(length > 0)) continue;
      normal /= length;
      for (const std::uint32_t v : corners) quadrics_[v].add_plane(normal, a, 0.5 * length);
      for (std::uint32_t h = 3 * t; h < 3 * t + 3; ++h) {
        const std::uint32_t from = from_vertex(mesh_, h);
        const std::uint32_t to = to_vertex(mesh_, h);
        // Between two locked vertices the patch may just have been cut.
        if (twins.of[h] != kNoTwin || (locked(from) && locked(to))) continue;
        border_[from] = border_[to] = 1;
        const Eigen::Vector3d along = place(to) - place(from);
        const Eigen::Vector3d outward = along.cross(normal).normalized();
        for (const std::uint32_t v : {from, to})
          quadrics_[v].add_plane(outward, place(from), kBorderWeight * along.squaredNorm());
      }
    }
    for (std::uint32_t h = 0; h < twins.of.size(); ++h)
      if (twins.of[h] == kNoTwin || h < twins.of[h])
        offer(from_vertex(mesh_, h), to_vertex(mesh_, h));
  }

  // Where the edge's two vertices would go.
  [[nodiscard]] Eigen::Vector3d target(std::uint32_t u, std::uint32_t v, const Quadric& q) const {
    if (locked(u)) return place(u);
    if (locked(v)) return place(v);
    if (border_[u] != border_[v]) return place(border_[u] != 0 ? u : v);
    const Eigen::Vector3d middle = 0.5 * (place(u) + place(v));
    const double pull = kMiddlePull * q.a.trace() / 3;
    if (!(pull > 0)) return middle;
    const Eigen::Matrix3d a = q.a + pull * Eigen::Matrix3d::Identity();
    Eigen::Matrix3d inverse = Eigen::Matrix3d::Identity();
    bool invertible = false;
    a.computeInverseWithCheck(inverse, invertible, 0.0);
    const Eigen::Vector3d found = inverse * (q.b + pull * middle);
    // A place beyond the edge's own length is none: the planes were all but parallel.
    return invertible && (found - middle).squaredNorm() <= (place(u) - place(v)).squaredNorm()
               ? found
               : middle;
  }

  void offer(std::uint32_t u, std::uint32_t v) {
    if (locked(u) && locked(v)) return;
    Quadric sum = quadrics_[u];
    sum += quadrics_[v];
    const double cost = sum.at(target(u, v, sum));
    if (!(cost <= limits_.max_error_mm * limits_.max_error_mm * sum.weight)) return;
    const double length = (place(u) - place(v)).squaredNorm();
    queue_.push(static_cast<float>(cost + kLengthCost * length * sum.weight),
                {u, v, stamps_[u] + stamps_[v]});
  }

  void try_collapse(std::uint32_t u, std::uint32_t v) {
    if (locked(v)) std::swap(u, v);  // u stays, v goes
    if (!keeps_manifold(u, v)) return;
    Quadric sum = quadrics_[u];
    sum += quadrics_[v];
    const Eigen::Vector3d to = target(u, v, sum);
    if (spoils(u, v, to) || spoils(v, u, to)) return;

    for_corners(v, [&](std::uint32_t h) {
      auto& corners = mesh_.triangles[h / 3];
      if (std::find(corners.begin(), corners.end(), u) != corners.end()) {
        dead_[h / 3] = 1;
        --alive_;
      } else {
        corners[h % 3] = u;
      }
    });
    if (head_[v] != kNoTwin) {
      (head_[u] == kNoTwin ? head_[u] : next_[tail_[u]]) = head_[v];
      tail_[u] = tail_[v];
    }
    head_[v] = tail_[v] = kNoTwin;
    quadrics_[u] = sum;
    border_[u] |= border_[v];
    if (!locked(u)) mesh_.vertices_mm[u] = (to + origin_).cast<float>();
    ++stamps_[u];
    ++stamps_[v];

    const std::uint32_t mark = ++visit_;
    seen_[u] = mark;
    for_corners(u, [&](std::uint32_t h) {
      for (const std::uint32_t other : mesh_.triangles[h / 3]) {
        if (seen_[other] == mark) continue;
        seen_[other] = mark;
        offer(u, other);
      }
    });
  }

  // The link condition: T. Dey, H. Edelsbrunner, S. Guha, D. Nekhayev, "Topology preserving edge
  // contraction", Publ. Inst. Math. (Beograd) 66(80), 1999.
  bool keeps_manifold(std::uint32_t u, std::uint32_t v) {
    const std::uint32_t mark = ++visit_;
    int on_edge = 0;
    std::array<std::uint32_t, 2> opposite{};
    for_corners(u, [&](std::uint32_t h) {
      const auto& corners = mesh_.triangles[h / 3];
      const bool on = std::find(corners.begin(), corners.end(), v) != corners.end();
      for (const std::uint32_t other : corners) {
        seen_[other] = mark;
        if (on && other != u && other != v && on_edge < 2)
          opposite[static_cast<std::size_t>(on_edge)] = other;
      }
      on_edge += on ? 1 : 0;
    });
    if (on_edge < 1 || on_edge > 2) return false;
    if (on_edge == 2 && border_[u] != 0 && border_[v] != 0) return false;
    int shared = 0;
    seen_[u] = mark - 1;
    seen_[v] = mark - 1;
    for_corners(v, [&](std::uint32_t h) {
      for (const std::uint32_t other : mesh_.triangles[h / 3])
        if (seen_[other] == mark) {
          seen_[other] = mark - 1;
          ++shared;
        }
    });
    if (shared != on_edge) return false;
    for (int k = 0; k < on_edge; ++k) {
      const std::uint32_t other = opposite[static_cast<std::size_t>(k)];
      int triangles = 0;
      for_corners(other, [&](std::uint32_t) { ++triangles; });
      if (triangles <= (border_[other] != 0 ? 1 : 3)) return false;
    }
    return true;
  }

  // Whether moving u spoils one of its triangles that stay.
  bool spoils(std::uint32_t u, std::uint32_t v, const Eigen::Vector3d& to) {
    bool bad = false;
    for_corners(u, [&](std::uint32_t h) {
      const std::uint32_t second = to_vertex(mesh_, h);
      const std::uint32_t third = from_vertex(mesh_, prev_in_triangle(h));
      if (bad || second == v || third == v) return;
      const Eigen::Vector3d a = place(u);
      const Eigen::Vector3d b = place(second);
      const Eigen::Vector3d c = place(third);
      const Eigen::Vector3d was = (b - a).cross(c - a);
      const Eigen::Vector3d is = (b - to).cross(c - to);
      const double was_norm = was.norm();
      const double is_norm = is.norm();
      bad = !(was.dot(is) >= kMinTurnCosine * was_norm * is_norm) || is_norm == 0 ||
            shape_of(to, b, c, is_norm) < std::min(kMinShape, shape_of(a, b, c, was_norm));
    });
    return bad;
  }

  Mesh& mesh_;
  const std::vector<std::uint8_t>& locked_;
  CollapseLimits limits_;
  std::size_t alive_;
  Eigen::Vector3d origin_;
  std::vector<Quadric> quadrics_;
  std::vector<std::uint32_t> stamps_;
  std::vector<std::uint32_t> seen_;
  std::uint32_t visit_ = 1;
  std::vector<std::uint8_t> border_;
  std::vector<std::uint8_t> dead_;
  std::vector<std::uint32_t> head_;
  std::vector<std::uint32_t> tail_;
  std::vector<std::uint32_t> next_;
  Shelves queue_;
};

}  // namespace

void collapse_edges(Mesh& patch, const std::vector<std::uint8_t>& locked,
                    std::vector<std::uint8_t>& marks, const CollapseLimits& limits,
                    const std::stop_token& stop) {
  CUSP_CHECK(locked.empty() || locked.size() == patch.vertices_mm.size(), "one lock a vertex");
  CUSP_CHECK(marks.empty() || marks.size() == patch.triangles.size(), "one mark a triangle");
  Collapser collapser(patch, locked, limits);
  collapser.run(stop);
  collapser.finish(marks);
}

}  // namespace cusp
