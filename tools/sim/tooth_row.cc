#include "tools/sim/tooth_row.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <limits>

namespace cusp::sim {
namespace {

using Eigen::Vector2d;
using Eigen::Vector3d;

constexpr double kCellMm = 1.5;
constexpr int kNeighbours = 4;       // cells to each side: a tooth is narrower
constexpr double kCrestDepthMm = 2;  // below the highest point near by
constexpr double kLowest = -0.2;     // of the half height: what lies lower is palate or base
constexpr int kNodes = 41;
constexpr int kRounds = 8;
constexpr double kKernelMm = 5;  // along the line, of the mean that draws it
constexpr double kEndMm = 3;     // the outermost views still look at teeth
constexpr double kLeastRowMm = 2;

// Highest points of a raster's cells that belong to a crest.
std::vector<Vector3d> crest_of(const Mesh& mesh, const ScanFrame& frame) {
  const auto columns = static_cast<int>(2 * frame.half_extent_mm.x() / kCellMm) + 1;
  const auto rows = static_cast<int>(2 * frame.half_extent_mm.y() / kCellMm) + 1;
  const auto cells = static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows);
  std::vector<Vector3d> highest(cells, Vector3d::Constant(-std::numeric_limits<double>::max()));
  const auto cell = [&](int column, int row) {
    return static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) +
           static_cast<std::size_t>(column);
  };
  for (const auto& vertex : mesh.vertices_mm) {
    const Vector3d p = frame.axes.transpose() * (vertex.cast<double>() - frame.centre_mm);
    const auto index = [](double from_edge, int count) {
      return std::clamp(static_cast<int>(from_edge / kCellMm), 0, count - 1);
    };
    Vector3d& top = highest[cell(index(p.x() + frame.half_extent_mm.x(), columns),
                                 index(p.y() + frame.half_extent_mm.y(), rows))];
    if (p.z() > top.z()) top = p;
  }
  std::vector<Vector3d> crest;
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column) {
      const Vector3d& here = highest[cell(column, row)];
      if (here.z() < kLowest * frame.half_extent_mm.z()) continue;
      double near = here.z();
      for (int y = std::max(0, row - kNeighbours); y <= std::min(rows - 1, row + kNeighbours); ++y)
        for (int x = std::max(0, column - kNeighbours);
             x <= std::min(columns - 1, column + kNeighbours); ++x)
          near = std::max(near, highest[cell(x, y)].z());
      if (here.z() >= near - kCrestDepthMm) crest.push_back(here);
    }
  return crest;
}

using Polynomial = Eigen::Matrix<double, 5, 1>;

// Of x in units of 30 mm, so that the five of them are of one size.
Polynomial powers(double x_mm) {
  const double x = x_mm / 30;
  return (Polynomial() << 1, x, x * x, x * x * x, x * x * x * x).finished();
}

struct Fit {
  Polynomial polynomial;
  double miss = 0;
};

Fit fit_along(const std::vector<Vector3d>& crest, int axis) {
  Eigen::Matrix<double, 5, 5> normal = 1e-9 * Eigen::Matrix<double, 5, 5>::Identity();
  Polynomial right = Polynomial::Zero();
  double square = 0;
  for (const Vector3d& point : crest) {
    const Polynomial row = powers(point[axis]);
    normal += row * row.transpose();
    right += row * point[1 - axis];
    square += point[1 - axis] * point[1 - axis];
  }
  const Polynomial fit = normal.ldlt().solve(right);
  return {fit, std::max(square - fit.dot(right), 0.0)};
}

}  // namespace

ToothRow::ToothRow(const Mesh& mesh, const ScanFrame& frame) {
  const std::vector<Vector3d> crest = crest_of(mesh, frame);
  // An arch is a function of the axis across its opening; only a clear win says it is the shorter.
  const Fit along = fit_along(crest, 0), across = fit_along(crest, 1);
  const int axis = across.miss < 0.5 * along.miss ? 1 : 0;
  const Polynomial& polynomial = axis == 0 ? along.polynomial : across.polynomial;
  double low = std::numeric_limits<double>::max(), high = -low;
  for (const Vector3d& point : crest) {
    low = std::min(low, point[axis]);
    high = std::max(high, point[axis]);
  }
  if (high - low < kLeastRowMm) {
    const double middle = 0.5 * (low + high);
    low = middle - 0.5 * kLeastRowMm;
    high = middle + 0.5 * kLeastRowMm;
  }
  for (int i = 0; i < kNodes; ++i) {
    const double x = low + (high - low) * i / (kNodes - 1);
    const double y = polynomial.dot(powers(x));
    nodes_.emplace_back(axis == 0 ? x : y, axis == 0 ? y : x, frame.half_extent_mm.z());
  }
  measure();
  for (int round = 0; round < kRounds; ++round) refine(crest);

  // A row that bends has the tongue inside the bend: to the left of the way along it.
  const Vector3d bulge = nodes_[kNodes / 2] - 0.5 * (nodes_.front() + nodes_.back());
  const Vector3d ahead = nodes_.back() - nodes_.front();
  if (ahead.x() * bulge.y() - ahead.y() * bulge.x() > 0) {
    std::reverse(nodes_.begin(), nodes_.end());
    measure();
  }
}

void ToothRow::measure() {
  way_.assign(1, 0.0);
  for (std::size_t i = 1; i < nodes_.size(); ++i)
    way_.push_back(way_.back() + (nodes_[i] - nodes_[i - 1]).head<2>().norm());
}

// Each node moves to where a line through the points near it along the way, weighted, passes it.
void ToothRow::refine(const std::vector<Vector3d>& crest) {
  std::vector<double> along;
  for (const Vector3d& point : crest) {
    double best = std::numeric_limits<double>::max(), at = 0;
    for (std::size_t i = 1; i < nodes_.size(); ++i) {
      const Vector2d from = nodes_[i - 1].head<2>(), piece = nodes_[i].head<2>() - from;
      const double length2 = piece.squaredNorm();
      if (length2 <= 0) continue;
      // The end pieces run on.
      const double share = std::clamp((point.head<2>() - from).dot(piece) / length2,
                                      i == 1 ? -9.0 : 0.0, i + 1 == nodes_.size() ? 10.0 : 1.0);
      const double distance2 = (point.head<2>() - from - share * piece).squaredNorm();
      if (distance2 >= best) continue;
      best = distance2;
      at = way_[i - 1] + share * std::sqrt(length2);
    }
    along.push_back(at);
  }
  const auto [low, high] = std::minmax_element(along.begin(), along.end());
  if (*high - *low < kLeastRowMm) return;
  const double margin = std::min(kEndMm, 0.2 * (*high - *low));
  const double first = *low + margin, last = *high - margin;
  for (int i = 0; i < kNodes; ++i) {
    const double here = first + (last - first) * i / (kNodes - 1);
    double sum = 0, sum_x = 0, sum_xx = 0;
    Vector3d sum_p = Vector3d::Zero(), sum_xp = Vector3d::Zero();
    for (std::size_t k = 0; k < crest.size(); ++k) {
      const double x = along[k] - here;
      const double weight = std::exp(-0.5 * x * x / (kKernelMm * kKernelMm));
      sum += weight;
      sum_x += weight * x;
      sum_xx += weight * x * x;
      sum_p += weight * crest[k];
      sum_xp += weight * x * crest[k];
    }
    const double spread = sum * sum_xx - sum_x * sum_x;
    if (spread > 1e-6 * sum * sum)
      nodes_[static_cast<std::size_t>(i)] = (sum_xx * sum_p - sum_x * sum_xp) / spread;
  }
  measure();
}

ToothRow::Place ToothRow::place(double share) const {
  const double gone = std::clamp(share, 0.0, 1.0) * way_.back();
  const auto above = std::upper_bound(way_.begin() + 1, way_.end() - 1, gone);
  const auto i = static_cast<std::size_t>(above - way_.begin());
  const double piece = way_[i] - way_[i - 1];
  const Vector3d here =
      nodes_[i - 1] + (piece > 0 ? (gone - way_[i - 1]) / piece : 0) * (nodes_[i] - nodes_[i - 1]);
  const Vector2d ahead = (nodes_[i] - nodes_[i - 1]).head<2>();
  return {here.head<2>(), ahead.normalized(), here.z()};
}

}  // namespace cusp::sim
