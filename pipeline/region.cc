#include "pipeline/region.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace cusp {
namespace {

constexpr std::size_t kMaxPoints = 100'000;
constexpr std::size_t kBands = 256;
constexpr std::size_t kLegsABox = 16;

Result<void> check(const Brush& brush) {
  if (brush.path_mm.empty() || brush.path_mm.size() > kMaxPoints)
    return error(ErrorCode::kInvalidArgument, "brush: its path has {} points, not 1 to {}",
                 brush.path_mm.size(), kMaxPoints);
  if (!(brush.radius_mm > 0) || !std::isfinite(brush.radius_mm))
    return error(ErrorCode::kInvalidArgument, "brush: a radius of {} mm is none", brush.radius_mm);
  for (const Eigen::Vector3f& point : brush.path_mm)
    if (!point.allFinite())
      return error(ErrorCode::kInvalidArgument, "brush: a point of its path is not finite");
  return {};
}

Result<void> check(const Lasso& lasso) {
  if (lasso.outline.size() < 3 || lasso.outline.size() > kMaxPoints)
    return error(ErrorCode::kInvalidArgument, "lasso: its outline has {} points, not 3 to {}",
                 lasso.outline.size(), kMaxPoints);
  for (const Eigen::Vector2f& point : lasso.outline)
    if (!point.allFinite())
      return error(ErrorCode::kInvalidArgument, "lasso: a point of its outline is not finite");
  const Eigen::Matrix3d turn = lasso.view_from_model.linear();
  if (!lasso.view_from_model.matrix().allFinite() || !(turn.transpose() * turn).isIdentity(1e-4) ||
      turn.determinant() < 0)
    return error(ErrorCode::kInvalidArgument, "lasso: its view is no rigid motion");
  if (!std::isfinite(lasso.focal) || lasso.focal < 0)
    return error(ErrorCode::kInvalidArgument, "lasso: a focal length of {} is none", lasso.focal);
  if (!std::isfinite(lasso.near_mm) || !std::isfinite(lasso.far_mm) ||
      lasso.far_mm <= lasso.near_mm || (lasso.focal > 0 && lasso.near_mm <= 0))
    return error(ErrorCode::kInvalidArgument, "lasso: {} to {} mm is no range of depth",
                 lasso.near_mm, lasso.far_mm);
  return {};
}

float squared_distance(const Eigen::Vector3f& p, const Eigen::Vector3f& a,
                       const Eigen::Vector3f& b) {
  const Eigen::Vector3f along = b - a;
  const float length = along.squaredNorm();
  const float share = length > 0 ? std::clamp((p - a).dot(along) / length, 0.0F, 1.0F) : 0.0F;
  return (p - a - share * along).squaredNorm();
}

}  // namespace

Result<void> validate(const Region& region) {
  return std::visit([](const auto& shape) { return check(shape); }, region);
}

RegionTest::RegionTest(const Region& region)
    : shape_(std::visit([](const auto& shape) { return shape_of(shape); }, region)) {}

std::variant<RegionTest::Stroke, RegionTest::Outline> RegionTest::shape_of(const Brush& brush) {
  Stroke stroke{.path_mm = brush.path_mm, .radius_mm = brush.radius_mm};
  const auto& path = stroke.path_mm;
  for (std::size_t first = 0; first == 0 || first + 1 < path.size(); first += kLegsABox) {
    Eigen::AlignedBox3f& box = stroke.boxes.emplace_back();
    for (std::size_t i = first; i < std::min(first + kLegsABox + 1, path.size()); ++i)
      box.extend(path[i]);
  }
  return stroke;
}

std::variant<RegionTest::Stroke, RegionTest::Outline> RegionTest::shape_of(const Lasso& lasso) {
  Outline outline{.rotation = lasso.view_from_model.linear().cast<float>(),
                  .translation = lasso.view_from_model.translation().cast<float>(),
                  .focal = static_cast<float>(lasso.focal),
                  .near_mm = static_cast<float>(lasso.near_mm),
                  .far_mm = static_cast<float>(lasso.far_mm),
                  .low = lasso.outline.front(),
                  .high = lasso.outline.front()};
  for (const Eigen::Vector2f& point : lasso.outline) {
    outline.low = outline.low.cwiseMin(point);
    outline.high = outline.high.cwiseMax(point);
  }
  outline.bands.resize(kBands);
  const float height = outline.high.y() - outline.low.y();
  const auto band_of = [&](float y) {
    const float share = height > 0 ? (y - outline.low.y()) / height : 0;
    return std::min(kBands - 1, static_cast<std::size_t>(share * kBands));
  };
  for (std::size_t i = 0; i < lasso.outline.size(); ++i) {
    const Eigen::Vector2f& a = lasso.outline[i];
    const Eigen::Vector2f& b = lasso.outline[(i + 1) % lasso.outline.size()];
    const auto [low, high] = std::minmax(a.y(), b.y());
    for (std::size_t band = band_of(low); band <= band_of(high); ++band)
      outline.bands[band].emplace_back(a.x(), a.y(), b.x(), b.y());
  }
  return outline;
}

bool RegionTest::Stroke::comes_within(const Eigen::Vector3f& p, float reach_mm) const {
  const float reach = reach_mm * reach_mm;
  if (path_mm.size() == 1) return (p - path_mm.front()).squaredNorm() <= reach;
  for (std::size_t k = 0; k < boxes.size(); ++k) {
    if (boxes[k].squaredExteriorDistance(p) > reach) continue;
    const std::size_t last = std::min((k + 1) * kLegsABox, path_mm.size() - 1);
    for (std::size_t i = k * kLegsABox; i < last; ++i)
      if (squared_distance(p, path_mm[i], path_mm[i + 1]) <= reach) return true;
  }
  return false;
}

bool RegionTest::contains(const Eigen::Vector3f& p) const {
  if (const auto* stroke = std::get_if<Stroke>(&shape_))
    return stroke->comes_within(p, stroke->radius_mm);
  const auto& outline = std::get<Outline>(shape_);
  const Eigen::Vector3f seen = outline.rotation * p + outline.translation;
  if (!(seen.z() >= outline.near_mm && seen.z() <= outline.far_mm)) return false;
  Eigen::Vector2f at = seen.head<2>();
  if (outline.focal > 0) at *= outline.focal / seen.z();
  if ((at.array() < outline.low.array()).any() || (at.array() > outline.high.array()).any())
    return false;
  const float height = outline.high.y() - outline.low.y();
  if (!(height > 0)) return false;
  const auto band =
      std::min(kBands - 1, static_cast<std::size_t>((at.y() - outline.low.y()) / height * kBands));
  bool inside = false;
  for (const Eigen::Vector4f& edge : outline.bands[band]) {
    if ((edge[1] > at.y()) == (edge[3] > at.y())) continue;
    const float x = edge[0] + (at.y() - edge[1]) / (edge[3] - edge[1]) * (edge[2] - edge[0]);
    if (at.x() < x) inside = !inside;
  }
  return inside;
}

bool RegionTest::may_touch(const Eigen::Vector3f& p, float radius_mm) const {
  if (const auto* stroke = std::get_if<Stroke>(&shape_))
    return stroke->comes_within(p, stroke->radius_mm + radius_mm);
  const auto& outline = std::get<Outline>(shape_);
  const Eigen::Vector3f seen = outline.rotation * p + outline.translation;
  if (seen.z() + radius_mm < outline.near_mm || seen.z() - radius_mm > outline.far_mm) return false;
  Eigen::Vector2f at = seen.head<2>();
  float reach = radius_mm;
  if (outline.focal > 0) {
    const float nearest = std::max(seen.z() - radius_mm, outline.near_mm);
    const float scale = outline.focal / std::max(seen.z(), nearest);
    at *= scale;
    // However the ball is turned, no point of it is seen farther than this from its middle.
    reach = outline.focal * radius_mm / nearest + at.norm() * radius_mm / nearest;
  }
  return (at.array() + reach >= outline.low.array()).all() &&
         (at.array() - reach <= outline.high.array()).all();
}

}  // namespace cusp
