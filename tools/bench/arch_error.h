// Arch error: how far a scanned jaw is bent or stretched as a whole, which a best fit of all of it
// hides.
//
// Around the middle of either first molar the model is fitted to the truth on its own. What the two
// fits differ by is the error: the distance between the molars in the model against that in truth,
// and the angle by which one molar is turned against the other (as in studies of cross-arch
// distortion, where the molars carry balls or cylinders). mm, degrees. Threads: a pure function.
#pragma once

#include <Eigen/Core>
#include <utility>

#include "core/mesh.h"
#include "core/result.h"
#include "tools/sim/surface.h"

namespace cusp::bench {

struct ArchError {
  double intermolar_mm = 0;  // model minus truth
  double twist_deg = 0;
};

// The model lies roughly (within a millimetre) in the truth's frame. kInvalidArgument when there is
// no surface around a molar.
Result<ArchError> measure_arch_error(const Mesh& model_in_truth, const sim::Surface& truth,
                                     const std::pair<Eigen::Vector3d, Eigen::Vector3d>& molars_mm);

}  // namespace cusp::bench
