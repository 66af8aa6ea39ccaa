#include "tools/bench/arch_error.h"

#include <limits>
#include <numbers>

#include "tools/verify/best_fit.h"

namespace cusp::bench {
namespace {

constexpr double kRadiusMm = 6.5;  // the crown and a rim of gum

Mesh around(const Mesh& mesh, const Eigen::Vector3d& middle_mm) {
  constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
  std::vector<std::uint32_t> number(mesh.vertices_mm.size(), kNone);
  const Eigen::Vector3f middle = middle_mm.cast<float>();
  Mesh part;
  for (std::size_t i = 0; i < number.size(); ++i) {
    if ((mesh.vertices_mm[i] - middle).squaredNorm() > kRadiusMm * kRadiusMm) continue;
    number[i] = static_cast<std::uint32_t>(part.vertices_mm.size());
    part.vertices_mm.push_back(mesh.vertices_mm[i]);
  }
  for (const auto& [a, b, c] : mesh.triangles)
    if (number[a] != kNone && number[b] != kNone && number[c] != kNone)
      part.triangles.push_back({number[a], number[b], number[c]});
  return part;
}

Result<RigidTransform> model_from_truth(const Mesh& model, const sim::Surface& truth,
                                        const Eigen::Vector3d& middle_mm) {
  const Mesh part = around(model, middle_mm);
  if (part.empty())
    return error(ErrorCode::kInvalidArgument, "model: nothing at the molar near ({:.1f}, {:.1f})",
                 middle_mm.x(), middle_mm.y());
  CUSP_ASSIGN(const verify::Fit fit,
              verify::fit_to_surface(part, truth, {RigidTransform::Identity()}));
  return fit.truth_from_model.inverse();
}

}  // namespace

Result<ArchError> measure_arch_error(const Mesh& model_in_truth, const sim::Surface& truth,
                                     const std::pair<Eigen::Vector3d, Eigen::Vector3d>& molars_mm) {
  const auto& [left, right] = molars_mm;
  CUSP_ASSIGN(const RigidTransform at_left, model_from_truth(model_in_truth, truth, left));
  CUSP_ASSIGN(const RigidTransform at_right, model_from_truth(model_in_truth, truth, right));
  const Eigen::AngleAxisd between((at_left.inverse() * at_right).linear());
  return ArchError{
      .intermolar_mm = (at_left * left - at_right * right).norm() - (left - right).norm(),
      .twist_deg = between.angle() * 180 / std::numbers::pi};
}

}  // namespace cusp::bench
