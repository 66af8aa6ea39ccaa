#include "tools/sim/soft_tissue.h"

#include <algorithm>

#include "core/check.h"
#include "tools/sim/random.h"

namespace cusp::sim {
namespace {

constexpr double kMoveS = 0.5;        // in, and out
constexpr double kOutOfSightMm = 22;  // from its deepest place
// Tongue: thick and round. Cheek: wide and flat. Along the row, across it, towards the wand.
const Eigen::Vector3d kTongueMm(22, 12, 9), kCheekMm(30, 9, 14);

double smooth(double x) {
  const double t = std::clamp(x, 0.0, 1.0);
  return t * t * (3 - 2 * t);
}

}  // namespace

SoftTissueMotion::SoftTissueMotion(const SoftTissue& options, const OperatorPath& path,
                                   double rate_hz, double standoff_mm, std::uint64_t seed) {
  CUSP_CHECK(options.mean_period_s > 0 && options.stay_s >= 0, "tissue comes and goes in time");
  RandomStream random(seed, 0, 0, 13);
  double begin_s = options.mean_period_s * random.between(0.2F, 0.6F);
  const double duration_s = static_cast<double>(path.frames()) / rate_hz;
  while (begin_s < duration_s) {
    Intrusion intrusion;
    intrusion.begin_s = begin_s;
    intrusion.end_s = begin_s + 2 * kMoveS + options.stay_s * random.between(0.5F, 1.5F);
    const RigidTransform looks = path.scene_from_sensor(
        static_cast<std::uint64_t>(0.5 * (intrusion.begin_s + intrusion.end_s) * rate_hz));
    const bool tongue = (random.next() & 1U) != 0;
    const double side = tongue ? -1 : 1;
    const Eigen::Vector3d& radii = tongue ? kTongueMm : kCheekMm;
    // Its edge stands `reach` before the axis, its near side a little before the teeth.
    const double reach_mm = options.reach_mm * random.between(0.3F, 1.0F);
    const Eigen::Vector3d centre(random.between(-3, 3),
                                 side * (radii.y() + options.reach_mm - reach_mm),
                                 standoff_mm + radii.z() * random.between(0.2F, 0.6F));
    intrusion.deepest.radii_mm = radii;
    intrusion.deepest.tissue = Tissue::kMucosa;
    intrusion.deepest.scene_from_body = looks;
    intrusion.deepest.scene_from_body.translation() = looks * centre;
    intrusion.way_back_mm = looks.linear() * Eigen::Vector3d(0, side * kOutOfSightMm, 0);
    intrusions_.push_back(intrusion);
    begin_s = intrusion.end_s + options.mean_period_s * random.between(0.3F, 1.2F);
  }
}

std::vector<Occluder> SoftTissueMotion::at(double time_s) const {
  std::vector<Occluder> present;
  for (const Intrusion& intrusion : intrusions_) {
    if (time_s <= intrusion.begin_s || time_s >= intrusion.end_s) continue;
    const double in =
        smooth(std::min(time_s - intrusion.begin_s, intrusion.end_s - time_s) / kMoveS);
    Occluder now = intrusion.deepest;
    now.scene_from_body.translation() += (1 - in) * intrusion.way_back_mm;
    present.push_back(now);
  }
  return present;
}

}  // namespace cusp::sim
