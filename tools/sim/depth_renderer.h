// DepthRenderer: what an ideal pinhole camera would measure of a mesh, pixel by pixel.
//
// Millimetres; sensor frame of core/frame.h; depth is z, not the length of the ray. Rays are cast
// with Embree 3 (I. Wald et al., "Embree: A Kernel Framework for Efficient CPU Ray Tracing", ACM
// TOG 33(4), 2014, doi:10.1145/2601097.2601199) in packets of neighbouring pixels. Both sides of a
// triangle are seen. Threads: render() from any thread, each with its own image.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "core/frame.h"
#include "core/mesh.h"
#include "core/pose.h"
#include "core/result.h"

namespace cusp::sim {

class EmbreeScene;

inline constexpr std::uint32_t kNoTriangle = std::numeric_limits<std::uint32_t>::max();

struct DepthImage {
  Intrinsics intrinsics;
  std::vector<float> depth_mm;          // row by row; 0 where nothing was hit
  std::vector<float> cos_incidence;     // between the ray and the surface's normal, 0..1
  std::vector<std::uint32_t> triangle;  // kNoTriangle where nothing was hit
};

class DepthRenderer {
 public:
  // kInvalidArgument when the mesh is empty or not valid.
  static Result<DepthRenderer> create(const Mesh& mesh);
  ~DepthRenderer();
  DepthRenderer(DepthRenderer&&) noexcept;
  DepthRenderer& operator=(DepthRenderer&&) noexcept;

  // Fills `image`, whose memory is used again from frame to frame.
  void render(const Intrinsics& intrinsics, const RigidTransform& scene_from_sensor,
              DepthImage& image) const;

 private:
  explicit DepthRenderer(std::unique_ptr<EmbreeScene> scene);
  std::unique_ptr<EmbreeScene> scene_;
};

}  // namespace cusp::sim
