#include "tools/sim/wand_optics.h"

#include <cmath>
#include <numbers>

#include "core/check.h"

namespace cusp::sim {

Calibration wand_calibration(const WandOptics& optics) {
  CUSP_CHECK(optics.width_px > 0 && optics.height_px > 0 && optics.baseline_mm > 0 &&
                 optics.crossing_mm > 0 && optics.fine_pitch_px > 0 &&
                 optics.coarse_pitch_px >= optics.fine_pitch_px,
             "a wand has pixels, a baseline and fringes");
  const double focal_px = optics.focal_px * optics.width_px / 640;
  Calibration calibration;
  calibration.id = "wand-simulated";
  calibration.made_on = "2026-01-15";
  calibration.baseline_mm = optics.baseline_mm;
  calibration.depth = {optics.width_px,
                       optics.height_px,
                       focal_px,
                       focal_px,
                       0.5 * (optics.width_px - 1),
                       0.5 * (optics.height_px - 1)};

  FringeOptics fringe;
  if (optics.distortion) {
    fringe.camera_distortion = {-0.062, 0.021, 0.0006, -0.0004, 0};
    fringe.projector_distortion = {-0.035, 0.008, -0.0003, 0.0005, 0};
  }
  fringe.projector = {optics.projector_width_px,
                      optics.projector_height_px,
                      optics.projector_focal_px,
                      optics.projector_focal_px,
                      0.5 * (optics.projector_width_px - 1),
                      0.5 * (optics.projector_height_px - 1)};
  RigidTransform camera_from_projector = RigidTransform::Identity();
  camera_from_projector.translation().x() = optics.baseline_mm;
  camera_from_projector.linear() =
      Eigen::AngleAxisd(-std::atan2(optics.baseline_mm, optics.crossing_mm),
                        Eigen::Vector3d::UnitY())
          .toRotationMatrix();
  fringe.projector_from_camera = camera_from_projector.inverse();

  const auto three_steps = [&](double pitch_px) {
    for (int step = 0; step < 3; ++step)
      fringe.patterns.push_back({pitch_px, 2 * std::numbers::pi * step / 3});
  };
  if (optics.sequence == FringeSequence::kTwoByThree) three_steps(optics.fine_pitch_px);
  three_steps(optics.coarse_pitch_px);
  fringe.min_depth_mm = optics.min_depth_mm;
  fringe.max_depth_mm = optics.max_depth_mm;
  calibration.fringe = std::move(fringe);
  return calibration;
}

}  // namespace cusp::sim
