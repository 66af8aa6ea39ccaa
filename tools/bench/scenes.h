// The built-in scenes: what is scanned, along which way, by which sensor with which noise. All of
// it follows from the request; the truth is known to the last digit.
//
//  arch10  a full upper arch (tools/sim/arch_scene.h) under a wand of 640 x 480 pixels, f = 600 px,
//          15 mm away at 30 Hz: occlusal, lingual and buccal pass; noise 10 um, warp 4 um
//          (depth_noise.h)
//  arch30  the same, noise 30 um, warp 12 um
//  face    a face under a stereo depth camera (tools/sim/noise_model.h) 35 cm away
//  hair    the same with hair, a beard and a neck
//
// The seed makes another scan by the same device: other noise, another hand; the warp and the
// object stay. Threads: values; make_measure's results belong to a thread each.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/calibration.h"
#include "core/mesh.h"
#include "core/pose.h"
#include "core/result.h"
#include "pipeline/reconstruction.h"
#include "tools/sim/depth_renderer.h"

namespace cusp::bench {

struct SceneRequest {
  std::string name = "arch10";
  std::uint64_t frames = 0;  // 0: the whole way
  std::uint64_t seed = 1;
};

struct SceneContent {
  Mesh truth;
  std::vector<RigidTransform> truth_from_sensor;  // one a frame
};

using Measure = std::function<void(const sim::DepthImage& ideal, std::uint64_t frame,
                                   std::span<std::uint16_t> z16)>;

struct Scene {
  std::string parameters;  // all that the frames follow from
  Calibration calibration;
  ReconstructionOptions reconstruction;
  double rate_hz = 30;
  // Middles of the first molars' crowns, of a jaw.
  std::optional<std::pair<Eigen::Vector3d, Eigen::Vector3d>> molars_mm{};
  std::optional<std::uint32_t> first_hairy{};  // the truth's triangles from here on are hair
  std::function<Result<SceneContent>()> make_content;
  std::function<Measure()> make_measure;
};

// kNotFound names the scenes.
Result<Scene> find_scene(const SceneRequest& request);

}  // namespace cusp::bench
