// Best fit of a scanned model to the true surface, as studies of intraoral scanners' trueness (ISO
// 5725-1) do it before they measure.
//
// Iterative closest point with the point-to-plane error (Y. Chen, G. Medioni, "Object modelling by
// registration of multiple range images", Image and Vision Computing 10(3), 1992,
// doi:10.1016/0262-8856(92)90066-C) and exact closest points on the true triangles. Points farther
// than 1 mm in the end do not pull.
// Millimetres. Deterministic. Threads: pure functions.
#pragma once

#include <vector>

#include "core/mesh.h"
#include "core/pose.h"
#include "core/result.h"
#include "tools/sim/surface.h"

namespace cusp::verify {

struct Fit {
  RigidTransform truth_from_model = RigidTransform::Identity();
  double inlier_share = 0;  // of the model's area within 1 mm of the truth
  double rms_mm = 0;        // of those, perpendicular to the surface
};

// Tries the guesses, or, without any, the ways to lay the principal axes on each other.
// kInvalidArgument when the model is not valid, or when less than half of it comes to lie within 1
// mm: then there is no fit to speak of.
Result<Fit> fit_to_surface(const Mesh& model, const sim::Surface& truth,
                           const std::vector<RigidTransform>& guesses);

struct AreaSample {
  Eigen::Vector3f point_mm;
  Eigen::Vector3f normal;
};
// Points spread evenly over the area; the same for the same mesh.
std::vector<AreaSample> sample_by_area(const Mesh& mesh, std::size_t count);

}  // namespace cusp::verify
