#include "pipeline/base.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "core/check.h"
#include "pipeline/fill_holes.h"
#include "pipeline/mesh_edges.h"

namespace cusp {
namespace {

using Loop = std::vector<std::uint32_t>;

double cross2(const Eigen::Vector2d& a, const Eigen::Vector2d& b) {
  return a.x() * b.y() - a.y() * b.x();
}

// Cuts ears off a polygon, counter-clockwise; each time the first that is convex and empty, else
// (the polygon crosses itself) any. Always n - 2 triangles of its corners.
class EarCutter {
 public:
  explicit EarCutter(std::vector<Eigen::Vector2d> corners) : at_(std::move(corners)) {
    const std::size_t n = at_.size();
    next_.resize(n);
    before_.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
      next_[i] = (i + 1) % n;
      before_[i] = (i + n - 1) % n;
    }
    make_grid();
  }

  std::vector<std::array<std::size_t, 3>> run() {
    std::vector<std::array<std::size_t, 3>> triangles;
    std::size_t left = at_.size();
    std::size_t here = 0;
    std::size_t passed = 0;
    while (left > 2) {
      const bool stuck = passed > left || work_ > kMaxWork;
      if (!stuck && !is_ear(here)) {
        here = next_[here];
        ++passed;
        continue;
      }
      triangles.push_back({before_[here], here, next_[here]});
      next_[before_[here]] = next_[here];
      before_[next_[here]] = before_[here];
      gone_[here] = true;
      // On from the corner after the next: neighbours in turn would make a fan of slivers.
      here = next_[next_[here]];
      --left;
      passed = 0;
    }
    return triangles;
  }

 private:
  [[nodiscard]] double turn(std::size_t i) const {
    return cross2(at_[i] - at_[before_[i]], at_[next_[i]] - at_[i]);
  }

  // Corners by cells, so that an ear looks only at those near it.
  void make_grid() {
    for (const Eigen::Vector2d& p : at_) box_.extend(p);
    side_ = std::max<std::size_t>(1, static_cast<std::size_t>(std::sqrt(at_.size())));
    cells_.resize(side_ * side_);
    gone_.assign(at_.size(), false);
    for (std::size_t i = 0; i < at_.size(); ++i)
      cells_[cell(at_[i], 1) * side_ + cell(at_[i], 0)].push_back(i);
  }
  [[nodiscard]] std::size_t cell(const Eigen::Vector2d& p, int axis) const {
    const double size = box_.sizes()[axis];
    if (!(size > 0)) return 0;
    const double share = (p[axis] - box_.min()[axis]) / size * static_cast<double>(side_);
    return std::min(side_ - 1, static_cast<std::size_t>(std::max(0.0, share)));
  }

  bool is_ear(std::size_t i) {
    ++work_;
    if (turn(i) <= 0) return false;
    const std::array<Eigen::Vector2d, 3> t = {at_[before_[i]], at_[i], at_[next_[i]]};
    Eigen::AlignedBox2d box;
    for (const Eigen::Vector2d& p : t) box.extend(p);
    for (std::size_t y = cell(box.min(), 1); y <= cell(box.max(), 1); ++y)
      for (std::size_t x = cell(box.min(), 0); x <= cell(box.max(), 0); ++x) {
        ++work_;
        for (const std::size_t j : cells_[y * side_ + x]) {
          ++work_;
          if (gone_[j] || j == i || j == before_[i] || j == next_[i] || turn(j) > 0) continue;
          bool inside = true;
          for (std::size_t k = 0; k < 3; ++k)
            inside = inside && cross2(t[(k + 1) % 3] - t[k], at_[j] - t[k]) >= 0;
          if (inside) return false;
        }
      }
    return true;
  }

  // A border that is no sensible outline costs seconds at most.
  static constexpr std::size_t kMaxWork = 1'000'000'000;
  std::size_t work_ = 0;

  std::vector<Eigen::Vector2d> at_;
  std::vector<std::size_t> next_;
  std::vector<std::size_t> before_;
  std::vector<bool> gone_;
  Eigen::AlignedBox2d box_;
  std::size_t side_ = 1;
  std::vector<std::vector<std::size_t>> cells_;
};

}  // namespace

Result<Mesh> add_base(Mesh mesh, const BaseOptions& options, WorkerPool& pool) {
  CUSP_CHECK(std::abs(options.down.norm() - 1) < 1e-6 && options.height_mm > 0,
             "base options are out of range");
  CUSP_TRY(validate(mesh));
  std::vector<std::uint8_t> marks;
  const HoleReport holes = fill_holes(mesh, std::numeric_limits<double>::infinity(), marks, pool);
  if (holes.left_open > 0)
    return error(ErrorCode::kInvalidArgument,
                 "model: {} holes cannot be filled, the largest of {:.1f} mm; it gets no base",
                 holes.left_open, holes.largest_open_mm);
  const std::vector<Loop> borders = border_loops(mesh, find_twins(mesh, find_corners(mesh), pool));
  if (borders.empty())
    return error(ErrorCode::kInvalidArgument, "model: it has no border that a base could stand on");

  const Eigen::Vector3d down = options.down;
  double lowest = -std::numeric_limits<double>::infinity();
  for (const Loop& border : borders)
    for (const std::uint32_t h : border)
      lowest = std::max(lowest, down.dot(mesh.vertices_mm[from_vertex(mesh, h)].cast<double>()));
  const double floor = lowest + options.height_mm;
  // Seen from below, so that the base's outside is counter-clockwise.
  const Eigen::Vector3d x_axis = down.unitOrthogonal();
  const Eigen::Vector3d y_axis = down.cross(x_axis);

  mesh.normals.clear();
  for (const Loop& border : borders) {
    const auto n = static_cast<std::uint32_t>(border.size());
    const auto first = static_cast<std::uint32_t>(mesh.vertices_mm.size());
    std::vector<std::uint32_t> top;
    std::vector<Eigen::Vector2d> outline;
    for (const std::uint32_t h : border) top.push_back(from_vertex(mesh, h));
    for (const std::uint32_t v : top) {
      const Eigen::Vector3d p = mesh.vertices_mm[v].cast<double>();
      const Eigen::Vector3d foot = p + (floor - down.dot(p)) * down;
      mesh.vertices_mm.push_back(foot.cast<float>());
      outline.emplace_back(x_axis.dot(foot), y_axis.dot(foot));
    }
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t j = (i + 1) % n;
      mesh.triangles.push_back({top[j], top[i], first + i});
      mesh.triangles.push_back({top[j], first + i, first + j});
    }
    // The walls use the foot of the border from i to its next one; the base runs back.
    std::reverse(outline.begin(), outline.end());
    for (const auto& ear : EarCutter(std::move(outline)).run()) {
      std::array<std::uint32_t, 3> triangle{};
      for (std::size_t k = 0; k < 3; ++k)
        triangle[k] = first + n - 1 - static_cast<std::uint32_t>(ear[k]);
      mesh.triangles.push_back(triangle);
    }
  }
  return mesh;
}

}  // namespace cusp
