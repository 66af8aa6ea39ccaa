// OperatorPath: where a steady hand would lead the scanner round a jaw.
//
// One smooth way: it starts above, passes over the occlusal side along the arch, leans out to one
// side and goes round the arch tilted, which shows the buccal walls of the near teeth and the
// lingual walls of the far ones. The stand-off (depth of the nearest point of the object) is held.
// A cubic B-spline through the turning points, run at constant speed with a soft start and stop, is
// C2; a hand's tremor (tremor.h) is added.
// `scene_from_sensor`, millimetres, sensor frame of core/frame.h. Deterministic for one mesh and
// seed. Threads: value; const calls from any thread.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/frame.h"
#include "core/mesh.h"
#include "core/pose.h"
#include "core/result.h"

namespace cusp::sim {

struct OperatorPathOptions {
  std::uint64_t frames = 400;  // about 28 mm/s at 30 Hz round a jaw; fewer frames are a faster hand
  double rate_hz = 30.0;
  double standoff_mm = 76.0;  // more when the object would not fit the view
  double tilt_deg = 39.0;     // of the buccal and lingual views
  double orbit_deg = 285.0;   // how far round
  double tremor_scale = 1.0;  // 0: a machine's hand
  std::uint64_t seed = 1;
};

class OperatorPath {
 public:
  // kInvalidArgument: a mesh without area, or fewer than 2 frames.
  static Result<OperatorPath> around(const Mesh& mesh, const Intrinsics& intrinsics,
                                     const OperatorPathOptions& options);

  explicit OperatorPath(std::vector<RigidTransform> poses) : poses_(std::move(poses)) {}

  [[nodiscard]] std::uint64_t frames() const { return poses_.size(); }
  // Frames past the end hold the last pose.
  [[nodiscard]] const RigidTransform& scene_from_sensor(std::uint64_t frame) const;

 private:
  std::vector<RigidTransform> poses_;
};

}  // namespace cusp::sim
