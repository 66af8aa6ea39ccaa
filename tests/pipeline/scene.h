// An analytic thing to scan: a disc of 56 mm with bumps, ridges and pits that repeat nowhere, seen
// by a small depth camera with the noise of active stereo (grows with the square of the distance,
// quantised), and a hand that moves the camera.
#pragma once

#include <cstdint>
#include <vector>

#include "core/calibration.h"
#include "core/frame.h"
#include "core/pose.h"
#include "pipeline/reconstruction.h"

namespace cusp::testing {

class BumpyDisc {
 public:
  BumpyDisc();
  // Height above the disc's plane (z = 0, up), mm; x, y in scene coordinates.
  [[nodiscard]] double height_mm(double x, double y) const;
  // Distance of a point to the surface, near enough: vertical difference over slope.
  [[nodiscard]] double distance_mm(const Eigen::Vector3d& p) const;
  // Depth along the axis for a ray origin + z * direction; 0 when it misses.
  [[nodiscard]] double depth_mm(const Eigen::Vector3d& origin,
                                const Eigen::Vector3d& direction) const;

 private:
  std::vector<float> grid_;
};

inline constexpr double kRadiusMm = 28;

Calibration small_camera();
ReconstructionOptions small_options();

// Camera above the disc, tilted about x and y, looking at its middle (shifted by `aside`).
RigidTransform above(double distance_mm, double tilt_x_rad, double tilt_y_rad,
                     const Eigen::Vector2d& aside_mm = {0, 0});

// The path of frame k: slow swings, as a hand would.
RigidTransform hand(int k);

// noise: standard deviation at 80 mm. Frame `sequence` has its own noise, the same in every run.
RawFrame render(const BumpyDisc& scene, const RigidTransform& scene_from_sensor,
                std::uint64_t sequence, double noise_mm = 0.06);
RawFrame empty_frame(std::uint64_t sequence);

// What the small camera would measure, without noise, of the plane normal . p = d in its frame.
DepthFrame tilted_plane(const Eigen::Vector3d& normal, double d);

}  // namespace cusp::testing
