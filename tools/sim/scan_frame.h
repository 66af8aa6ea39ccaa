// ScanFrame: from which side, and along which axes, an unknown object wants to be scanned.
//
// `up` is the direction of least extent (principal axes of the surface), turned to the side that
// was or will be scanned: an open surface's mean normal; of a closed one the side with more relief
// (the larger variance of normals), because a cast's base is flat and its teeth are not.
// Millimetres, in the mesh's frame. Threads: a pure function.
#pragma once

#include <Eigen/Core>

#include "core/mesh.h"
#include "core/result.h"

namespace cusp::sim {

struct ScanFrame {
  Eigen::Vector3d centre_mm;       // middle of the extents
  Eigen::Matrix3d axes;            // columns: along (longest), across, up; right-handed
  Eigen::Vector3d half_extent_mm;  // along each column
};

// kInvalidArgument: the mesh is not valid, has no area or is no surface (all of it on one line).
Result<ScanFrame> find_scan_frame(const Mesh& mesh);

}  // namespace cusp::sim
