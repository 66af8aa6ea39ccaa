// orient: the anatomical frame of a jaw, found from its shape.
//
// Anatomical frame: origin in the middle of the arch on the occlusal plane, x to the patient's
// right, y anterior, z up (cranial), mm. The occlusal plane lies on the cusp tips and incisal
// edges: it starts as the plane of least spread, turned outward by the surface's own normals, and
// is fitted again to the highest points of the arch's parts. Anterior is the end of the arch's axis
// of symmetry where the arch is narrow. The mesh is not moved. Errors: kInvalidArgument when the
// model is no arch (too few points, no symmetry: a quadrant, a single tooth, a face). Threads: pure
// function; same mesh, same result.
#pragma once

#include "core/mesh.h"
#include "core/pose.h"
#include "core/result.h"

namespace cusp {

enum class JawKind { kUpper, kLower };

struct JawFrame {
  RigidTransform anatomical_from_model = RigidTransform::Identity();
  double symmetry = 0;      // 0 to 1: share of the arch that its mirror image covers
  double plane_rms_mm = 0;  // of the cusp tips from the occlusal plane
  std::size_t cusp_tips = 0;
};

Result<JawFrame> find_jaw_frame(const Mesh& mesh, JawKind kind);

}  // namespace cusp
