// The built-in scene of the simulator: an upper or lower jaw of fourteen teeth with its gum, made
// by code alone, so that a scan can be tried and measured without a patient and without anybody's
// model.
//
// Sizes and places of the teeth, and the frame (z up out of the occlusal plane towards the scanner,
// y anterior, x to the patient's left in the upper jaw and to the patient's right in the lower,
// mm): dentition.h. Shapes: tooth_shape.h, gingiva.h. Triangles: surface_nets.h. The result is one
// closed manifold with vertex normals; the same options give the same bytes on a given build.
// Threads: make_arch uses two of its own while it runs. Errors: none but CUSP_CHECK on the options.
#pragma once

#include <cstdint>
#include <vector>

#include "core/mesh.h"
#include "tools/sim/dentition.h"
#include "tools/sim/tissue.h"

namespace cusp::sim {

struct ArchSceneOptions {
  Jaw jaw = Jaw::kUpper;
  double resolution_mm = 0.15;  // 0.05 to 0.5
  std::uint32_t seed = 1;       // of the teeth's small individual differences
};

Mesh make_arch(const ArchSceneOptions& options);

// Of each vertex of a jaw that was made with these options: enamel, gum, and, near the gum, where
// enamel is thin, dentine. A coarse mesh of another make gets what is nearest in the jaw.
std::vector<Tissue> arch_tissues(const ArchSceneOptions& options, const Mesh& mesh);

}  // namespace cusp::sim
