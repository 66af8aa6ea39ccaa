// FringeView: what a camera sees of a scene, pixel by pixel, and how the projector beside it lights
// those points: everything of a fringe picture that does not depend on the pattern.
//
// Sensor frame, millimetres. A pixel's ray goes through the camera's distorted lens; its point is
// lit when it faces the projector, nothing stands between (a shadow ray), and it falls within the
// projector's raster, whose column is found through the projector's own lens. Rays are cast with
// Embree 3 in packets (see depth_renderer.h). Deterministic.
// Threads: look() from any thread, each with its own view.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/calibration.h"
#include "core/mesh.h"
#include "core/result.h"
#include "tools/sim/occluder.h"
#include "tools/sim/tissue.h"

namespace cusp::sim {

// One value a pixel, row by row.
struct FringeView {
  std::vector<float> depth_mm;          // 0: nothing was hit
  std::vector<Eigen::Vector3f> normal;  // unit, towards the camera's side
  std::vector<float> column_px;         // of the projector
  // Light of the projector on the surface: cos(incidence) * (reference distance / distance)^2; 0
  // where it is not lit.
  std::vector<float> irradiance;
  std::vector<Tissue> tissue;
};

class FringeCamera {
 public:
  // Irradiance is 1 on a surface that faces the projector from this far.
  static constexpr float kReferenceMm = 15;

  // kInvalidArgument: a mesh that is empty or not valid, tissues that do not fit its vertices, no
  // fringe optics.
  static Result<FringeCamera> create(const Mesh& mesh, TissueMap tissues,
                                     const Calibration& calibration);
  ~FringeCamera();
  FringeCamera(FringeCamera&&) noexcept;
  FringeCamera& operator=(FringeCamera&&) noexcept;

  // Fills `view`, whose memory is used again.
  void look(const RigidTransform& scene_from_sensor, std::span<const Occluder> occluders,
            FringeView& view) const;

  [[nodiscard]] const Calibration& calibration() const;
  // Of each pixel, z = 1.
  [[nodiscard]] std::span<const Eigen::Vector2f> rays() const;
  [[nodiscard]] Eigen::Vector3f projector_mm() const;  // its centre, sensor frame

 private:
  struct State;
  struct Look;
  explicit FringeCamera(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cusp::sim
