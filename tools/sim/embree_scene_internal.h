// EmbreeScene: one mesh in an Embree scene, owned. Private to this folder's .cc files: it is the
// one header that includes Embree.
//
// Rays must carry mask -1: Debian's Embree is built with ray masks.
// Threads: queries from any thread once built.
#pragma once

#include <embree3/rtcore.h>

#include <memory>

#include "core/mesh.h"
#include "core/result.h"

namespace cusp::sim {

struct ReleaseEmbree {
  void operator()(RTCDevice device) const { rtcReleaseDevice(device); }
  void operator()(RTCScene scene) const { rtcReleaseScene(scene); }
};

class EmbreeScene {
 public:
  // kInvalidArgument when the mesh is empty or not valid.
  static Result<EmbreeScene> build(const Mesh& mesh);

  [[nodiscard]] RTCScene handle() const { return scene_.get(); }

 private:
  EmbreeScene() = default;
  std::unique_ptr<RTCDeviceTy, ReleaseEmbree> device_;
  std::unique_ptr<RTCSceneTy, ReleaseEmbree> scene_;
};

}  // namespace cusp::sim
