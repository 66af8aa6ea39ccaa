// Sweeps: how a hand leads a wand along a row of teeth: over the occlusal side, along the lingual
// side, along the buccal side, one after the other and each back the way the last one came.
//
// The row is the object's own (tooth_row.h). The sensor's x
// runs along the row and its y points to the buccal side. The stand-off (depth of the nearest point
// in the view) is held, so it serves a wand's 10 to 20 mm as well as a depth camera's 76. A cubic
// B-spline through the views, C2; constant speed but for a soft start, soft stop and the events of
// the hand: pauses, a wait, and lifts, in which the sensor backs out of its range and comes back a
// little further on. Events and tremor (tremor.h) follow from the seed. `scene_from_sensor`,
// millimetres. Threads: a pure function.
#pragma once

#include <cstdint>
#include <vector>

#include "core/mesh.h"
#include "core/result.h"
#include "tools/sim/operator_path.h"

namespace cusp::sim {

enum class Sweep { kOcclusal, kLingual, kBuccal };

struct SweepOptions {
  std::vector<Sweep> sweeps = {Sweep::kOcclusal, Sweep::kLingual, Sweep::kBuccal};
  double rate_hz = 60;    // poses a second
  double speed_mm_s = 8;  // of the sensor along its way, lifts apart
  // What lies so far in front of the sensor passes by no faster than that, either: a hand slows
  // down for a turn. 0: it turns as fast as the way has it.
  double turning_arm_mm = 0;
  double standoff_mm = 14;
  double tilt_deg = 50;  // of the lingual and buccal views, away from the occlusal one
  int pauses = 2;
  double pause_s = 0.8;
  int lifts = 1;
  double lift_mm = 30;  // further away than the stand-off
  double lift_s = 2.0;  // out and back
  // Once, after so many seconds of going, the hand waits: for a fogged tip to clear. 0: it doesn't.
  double wait_at_s = 0, wait_s = 0;
  double tremor_scale = 1;
  std::uint64_t most_frames = 0;  // 0: as many as the speed needs; else cut off there
  std::uint64_t seed = 1;
};

// kInvalidArgument: a mesh without area; no sweeps; a rate, speed or stand-off that is not
// positive; more than a million poses.
Result<OperatorPath> sweep_teeth(const Mesh& mesh, const SweepOptions& options);

}  // namespace cusp::sim
