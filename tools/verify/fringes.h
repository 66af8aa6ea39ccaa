// Fringes: a recorded structured-light scan (drivers/emulation/structured_light_scan.h) through the
// station's decoder, fusion and meshing, as one still view.
//
// Threads: options.threads of its own. Errors: as the decoder, the fusion and the finish say them.
#pragma once

#include "core/mesh.h"
#include "drivers/emulation/structured_light_scan.h"
#include "pipeline/reconstruction.h"

namespace cusp::verify {

struct StillView {
  DepthFrame depth;
  std::uint64_t points = 0;    // measured pixels
  double median_sigma_mm = 0;  // as the decoder expects it
  double median_noise_mm = 0;  // as it is: of a pixel against the line through its neighbours
  Mesh mesh;                   // finished
};
Result<StillView> still_view(const StructuredLightScan& scan, const ReconstructionOptions& options);

// Of the pixels that both measured, the share where they differ by no more than `sigmas` of what
// both expect.
double agreement(const DepthFrame& a, const DepthFrame& b, double sigmas);

}  // namespace cusp::verify
