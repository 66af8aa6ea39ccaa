#include "pipeline/orient.h"

#include <Eigen/Eigenvalues>
#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace cusp {
namespace {

constexpr std::size_t kMinTriangles = 200;
// Cells of the search for the highest points, along the longer side of the arch: a molar is two to
// three of them.
constexpr int kCells = 24;
constexpr std::size_t kMinTips = 8;
constexpr int kPlaneRounds = 12;
// The arch seen from above, to be mirrored.
constexpr int kPictureCells = 48;
constexpr int kAngles = 180;
constexpr double kMinSymmetry = 0.7;
// The broad end must be this much further from the axis than the narrow one, in shares of the
// arch's half width.
constexpr double kMinTaper = 0.08;

Error no_arch(const char* why) {
  return error(ErrorCode::kInvalidArgument, "model: it is not seen as a dental arch: {}", why);
}

// Centre of area, its spread and the sum of normals.
struct Moments {
  Eigen::Vector3d centre = Eigen::Vector3d::Zero();
  Eigen::Matrix3d spread = Eigen::Matrix3d::Zero();
  Eigen::Vector3d outward = Eigen::Vector3d::Zero();
};

std::optional<Moments> moments_of(const Mesh& mesh) {
  Moments m;
  double area = 0;
  const Eigen::Vector3d origin = mesh.vertices_mm[0].cast<double>();
  for (const auto& [a, b, c] : mesh.triangles) {
    const Eigen::Vector3d p = mesh.vertices_mm[a].cast<double>() - origin;
    const Eigen::Vector3d q = mesh.vertices_mm[b].cast<double>() - origin;
    const Eigen::Vector3d r = mesh.vertices_mm[c].cast<double>() - origin;
    const Eigen::Vector3d cross = 0.5 * (q - p).cross(r - p);
    const Eigen::Vector3d middle = (p + q + r) / 3;
    const double weight = cross.norm();
    area += weight;
    m.outward += cross;
    m.centre += weight * middle;
    m.spread += weight * middle * middle.transpose();
  }
  if (!(area > 0)) return std::nullopt;
  m.centre /= area;
  m.spread = m.spread / area - m.centre * m.centre.transpose();
  m.centre += origin;
  return m;
}

struct Plane {
  Eigen::Vector3d point;
  Eigen::Vector3d normal;  // out of the jaw, to the other one
};

Plane fitted(const std::vector<Eigen::Vector3d>& points, const Eigen::Vector3d& outward) {
  Eigen::Vector3d mean = Eigen::Vector3d::Zero();
  for (const Eigen::Vector3d& p : points) mean += p;
  mean /= static_cast<double>(points.size());
  Eigen::Matrix3d spread = Eigen::Matrix3d::Zero();
  for (const Eigen::Vector3d& p : points) spread += (p - mean) * (p - mean).transpose();
  const Eigen::SelfAdjointEigenSolver<Eigen::Matrix3d> axes(spread);
  Eigen::Vector3d normal = axes.eigenvectors().col(0);
  if (normal.dot(outward) < 0) normal = -normal;
  return {mean, normal};
}

// The highest point of each cell over the plane; of those the upper half: cells on the gum or the
// palate have none that counts.
std::vector<Eigen::Vector3d> cusp_tips(const Mesh& mesh, const Plane& plane) {
  const Eigen::Vector3d x = plane.normal.unitOrthogonal();
  const Eigen::Vector3d y = plane.normal.cross(x);
  Eigen::AlignedBox2d box;
  for (const Eigen::Vector3f& v : mesh.vertices_mm) {
    const Eigen::Vector3d p = v.cast<double>() - plane.point;
    box.extend(Eigen::Vector2d(x.dot(p), y.dot(p)));
  }
  const double cell = box.sizes().maxCoeff() / kCells;
  std::map<std::pair<int, int>, std::pair<double, Eigen::Vector3d>> highest;
  for (const Eigen::Vector3f& v : mesh.vertices_mm) {
    const Eigen::Vector3d p = v.cast<double>() - plane.point;
    const std::pair key(static_cast<int>((x.dot(p) - box.min().x()) / cell),
                        static_cast<int>((y.dot(p) - box.min().y()) / cell));
    const double height = plane.normal.dot(p);
    const auto [entry, is_new] = highest.try_emplace(key, height, v.cast<double>());
    if (!is_new && height > entry->second.first) entry->second = {height, v.cast<double>()};
  }
  std::vector<double> heights;
  for (const auto& [key, top] : highest) heights.push_back(top.first);
  const auto middle = heights.begin() + static_cast<std::ptrdiff_t>(heights.size() / 2);
  std::nth_element(heights.begin(), middle, heights.end());
  std::vector<Eigen::Vector3d> tips;
  for (const auto& [key, top] : highest) {
    if (top.first < *middle) continue;
    bool peak = true;  // of its neighbourhood
    for (int dx = -1; dx <= 1; ++dx)
      for (int dy = -1; dy <= 1; ++dy) {
        const auto other = highest.find({key.first + dx, key.second + dy});
        peak = peak && (other == highest.end() || other->second.first <= top.first);
      }
    if (peak) tips.push_back(top.second);
  }
  return tips;
}

// The arch from above: which cells hold surface, about the origin.
class Picture {
 public:
  Picture(const Mesh& mesh, const Eigen::Vector3d& origin, const Eigen::Vector3d& x,
          const Eigen::Vector3d& y) {
    std::vector<Eigen::Vector2d> points;
    points.reserve(mesh.vertices_mm.size());
    for (const Eigen::Vector3f& v : mesh.vertices_mm) {
      const Eigen::Vector3d p = v.cast<double>() - origin;
      points.emplace_back(x.dot(p), y.dot(p));
      reach_ = std::max(reach_, points.back().cwiseAbs().maxCoeff());
    }
    filled_.assign(kSide * kSide, false);
    for (const Eigen::Vector2d& p : points) filled_[index(p)] = true;
    for (std::size_t i = 0; i < filled_.size(); ++i)
      if (filled_[i]) cells_.push_back(place(i));
    for (const Eigen::Vector2d& p : cells_) centre_ += p / static_cast<double>(cells_.size());
  }

  [[nodiscard]] const std::vector<Eigen::Vector2d>& cells() const { return cells_; }
  [[nodiscard]] const Eigen::Vector2d& centre() const { return centre_; }

  // Share of the cells that are met by their mirror image across an axis through the centre.
  [[nodiscard]] double symmetry(const Eigen::Vector2d& axis) const {
    std::size_t met = 0;
    for (const Eigen::Vector2d& p : cells_) {
      const Eigen::Vector2d from = p - centre_;
      const Eigen::Vector2d mirrored = centre_ + 2 * axis.dot(from) * axis - from;
      met += near_filled(mirrored) ? 1 : 0;
    }
    return static_cast<double>(met) / static_cast<double>(cells_.size());
  }

 private:
  static constexpr std::size_t kSide = kPictureCells;

  [[nodiscard]] std::size_t index(const Eigen::Vector2d& p) const {
    const auto at = [&](double value) {
      const double share = (value / reach_ + 1) / 2 * kSide;
      return std::min(kSide - 1, static_cast<std::size_t>(std::max(0.0, share)));
    };
    return at(p.y()) * kSide + at(p.x());
  }
  [[nodiscard]] Eigen::Vector2d place(std::size_t i) const {
    const auto at = [&](std::size_t k) {
      return ((static_cast<double>(k) + 0.5) / kSide * 2 - 1) * reach_;
    };
    return {at(i % kSide), at(i / kSide)};
  }
  [[nodiscard]] bool near_filled(const Eigen::Vector2d& p) const {
    return p.cwiseAbs().maxCoeff() <= reach_ && filled_[index(p)];
  }

  double reach_ = 1e-12;
  std::vector<bool> filled_;
  std::vector<Eigen::Vector2d> cells_;
  Eigen::Vector2d centre_ = Eigen::Vector2d::Zero();
};

// How far from the axis the two ends' cells lie, the forward half's less than the backward half's
// when positive.
double taper(const Picture& picture, const Eigen::Vector2d& axis) {
  const Eigen::Vector2d side(-axis.y(), axis.x());
  double sum_along = 0;
  double sum_off = 0;
  double product = 0;
  double along2 = 0;
  double farthest = 0;
  for (const Eigen::Vector2d& p : picture.cells()) {
    const double along = axis.dot(p - picture.centre());
    const double off = std::abs(side.dot(p - picture.centre()));
    sum_along += along;
    sum_off += off;
    product += along * off;
    along2 += along * along;
    farthest = std::max(farthest, off);
  }
  const auto n = static_cast<double>(picture.cells().size());
  const double slope = (product - sum_along * sum_off / n) / (along2 - sum_along * sum_along / n);
  // Change of the distance over one standard deviation along the axis.
  return -slope * std::sqrt(along2 / n) / farthest;
}

}  // namespace

Result<JawFrame> find_jaw_frame(const Mesh& mesh, JawKind kind) {
  CUSP_TRY(validate(mesh));
  if (mesh.triangles.size() < kMinTriangles) return no_arch("it has too few triangles");
  const auto moments = moments_of(mesh);
  if (!moments) return no_arch("it has no area");
  const Eigen::SelfAdjointEigenSolver<Eigen::Matrix3d> axes(moments->spread);
  Plane plane{moments->centre, axes.eigenvectors().col(0)};
  if (plane.normal.dot(moments->outward) < 0) plane.normal = -plane.normal;

  JawFrame frame;
  for (int round = 0; round < kPlaneRounds; ++round) {
    std::vector<Eigen::Vector3d> tips = cusp_tips(mesh, plane);
    if (tips.size() < kMinTips) return no_arch("it shows too few cusps");
    // Tips far below the others' plane are none; the median tells how far is far.
    Plane next = fitted(tips, plane.normal);
    std::vector<double> off;
    for (const Eigen::Vector3d& tip : tips)
      off.push_back(std::abs(next.normal.dot(tip - next.point)));
    std::vector<double> order = off;
    const auto middle = order.begin() + static_cast<std::ptrdiff_t>(order.size() / 2);
    std::nth_element(order.begin(), middle, order.end());
    std::vector<Eigen::Vector3d> close;
    double sum = 0;
    for (std::size_t i = 0; i < tips.size(); ++i)
      if (off[i] <= 3 * *middle) {
        close.push_back(tips[i]);
        sum += off[i] * off[i];
      }
    if (close.size() >= kMinTips) next = fitted(close, plane.normal);
    frame.cusp_tips = close.size();
    frame.plane_rms_mm =
        std::sqrt(sum / static_cast<double>(std::max<std::size_t>(1, close.size())));
    const double turned = std::acos(std::clamp(plane.normal.dot(next.normal), -1.0, 1.0));
    plane = next;
    if (turned < 1e-4) break;
  }

  const Eigen::Vector3d x = plane.normal.unitOrthogonal();
  const Eigen::Vector3d y = plane.normal.cross(x);
  const Picture picture(mesh, plane.point, x, y);
  Eigen::Vector2d anterior = Eigen::Vector2d::UnitX();
  for (int i = 0; i < kAngles; ++i) {
    const double angle = M_PI * i / kAngles;
    const Eigen::Vector2d axis(std::cos(angle), std::sin(angle));
    // A U is alike across its length as well, somewhat; the axis with a taper is the right one.
    const double narrows = taper(picture, axis);
    const double symmetry = picture.symmetry(axis);
    if (!(std::abs(narrows) >= kMinTaper) || symmetry <= frame.symmetry) continue;
    frame.symmetry = symmetry;
    anterior = narrows > 0 ? axis : Eigen::Vector2d(-axis);
  }
  if (frame.symmetry < kMinSymmetry) return no_arch("its two sides are not alike");

  const Eigen::Vector3d front = anterior.x() * x + anterior.y() * y;
  const Eigen::Vector3d up =
      kind == JawKind::kLower ? plane.normal : Eigen::Vector3d(-plane.normal);
  Eigen::Matrix3d rotation;
  rotation.row(0) = front.cross(up);
  rotation.row(1) = front;
  rotation.row(2) = up;
  const Eigen::Vector3d origin = plane.point + picture.centre().x() * x + picture.centre().y() * y;
  frame.anatomical_from_model.linear() = rotation;
  frame.anatomical_from_model.translation() = -rotation * origin;
  return frame;
}

}  // namespace cusp
