// FringeScene: what a fringe scanner sees of one mesh along an operator's way, picture by picture,
// with the truth beside it.
//
// The way is counted in pictures: the device takes one every 1 / motion.rate_hz, fringes and colour
// alike, and picture k of it is taken at k / rate_hz from pose(k). Past the end the last pose is
// held, with new noise. A picture depends on its number, its FringeIndex and the options alone.
// Millimetres, sensor frame of core/frame.h. Threads: one thread at a time a scene, but for `pose`.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/calibration.h"
#include "core/frame.h"
#include "core/mesh.h"
#include "core/result.h"
#include "tools/sim/fringe_effects.h"
#include "tools/sim/operator_sweeps.h"
#include "tools/sim/tissue.h"
#include "tools/sim/wand_optics.h"

namespace cusp::sim {

struct FringeSceneOptions {
  Calibration calibration = wand_calibration();
  SweepOptions motion;
  FringeEffects effects;
  TissueMap tissues;
  std::uint64_t seed = 1;  // of noise, fog, tissue; the motion has its own
};

struct FringeScene {
  std::string name;
  std::uint64_t frames = 0;  // pictures of the way
  double rate_hz = 0;
  Calibration calibration;
  std::size_t fringe_bytes = 0;  // 8-bit grey
  std::size_t colour_bytes = 0;  // YUY2

  // Fills picture `frame`: index.pattern below index.patterns is a fringe picture and takes
  // fringe_bytes, index.pattern == index.patterns is the colour picture and takes colour_bytes.
  // False: the calibration has no such pattern, or `out` has another size.
  std::function<bool(std::uint64_t frame, const FringeIndex& index, std::span<std::uint8_t> out)>
      picture;
  // scene_from_sensor of a picture.
  std::function<RigidTransform(std::uint64_t frame)> pose;
  // True depth of each pixel of a picture (through the camera's distorted lens), soft tissue
  // included; 0 where there is nothing. Row by row.
  std::function<void(std::uint64_t frame, std::vector<float>& depth_mm)> depth;
};

// kInvalidArgument: a mesh, calibration, motion or tissues that do not do.
Result<FringeScene> make_fringe_scene(std::string name, const Mesh& mesh,
                                      const FringeSceneOptions& options);

}  // namespace cusp::sim
