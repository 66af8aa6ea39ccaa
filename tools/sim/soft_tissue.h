// Tongue and cheek that push between the wand and the teeth, and go again.
//
// Each intrusion is an ellipsoid of mucosa, fixed to the jaw: it comes from one side of what the
// wand looks at halfway through it (the tongue from the sensor's -y, the cheek from +y:
// operator_sweeps.h), moves in by a smooth step, stays, and moves out. When, from where and how far
// follow from the seed. Millimetres, scene frame. Threads: values.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/sim/fringe_effects.h"
#include "tools/sim/occluder.h"
#include "tools/sim/operator_path.h"

namespace cusp::sim {

class SoftTissueMotion {
 public:
  // Along a path of `rate_hz` poses a second; standoff_mm: where the teeth are, in front of it.
  SoftTissueMotion(const SoftTissue& options, const OperatorPath& path, double rate_hz,
                   double standoff_mm, std::uint64_t seed);

  // What is in the way at a time; often nothing.
  [[nodiscard]] std::vector<Occluder> at(double time_s) const;

  struct Intrusion {
    double begin_s = 0, end_s = 0;
    Occluder deepest;
    Eigen::Vector3d way_back_mm;  // from there to where it is out of sight
  };
  [[nodiscard]] const std::vector<Intrusion>& intrusions() const { return intrusions_; }

 private:
  std::vector<Intrusion> intrusions_;
};

}  // namespace cusp::sim
