// Picture: a shaded image of a mesh for people: Blinn-Phong shading (J. Blinn, "Models of light
// reflection for computer synthesized pictures", SIGGRAPH 1977, doi:10.1145/563858.563893), three
// lights, ambient occlusion by rays. The mesh's axes are found by find_scan_frame. Deterministic.
// Threads: a pure function.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/mesh.h"
#include "core/result.h"

namespace cusp::sim {

enum class PictureView { kOcclusal, kFront, kLeft };
std::optional<PictureView> picture_view(std::string_view name);  // "occlusal", "front", "left"

struct PictureOptions {
  PictureView view = PictureView::kOcclusal;
  int width_px = 1280;
  int height_px = 960;
  int occlusion_rays = 24;  // a sample; a pixel has four samples
};

// Three bytes a pixel, row by row. kInvalidArgument: mesh not valid, size outside 16..8192.
Result<std::vector<std::uint8_t>> render_picture(const Mesh& mesh, const PictureOptions& options);

}  // namespace cusp::sim
