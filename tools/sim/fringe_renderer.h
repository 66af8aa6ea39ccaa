// FringeRenderer: the pictures that a fringe scanner's camera takes of a mesh.
//
// A picture is made in the order of the light: pattern, projector, surface (fringe_shading.h), room
// and tip (ambient light, fog), the camera's lens (picture_blur.h), its imager (sensor_model.h).
// Fringe pictures are 8-bit grey, colour pictures YUY2 with the YCbCr of ITU-R BT.601 of sRGB
// values, black at 16.
// A picture depends on its shot, the options and the seed, never on what was rendered before; what
// the camera sees is only found anew when pose or occluders change. Motion between the pictures of
// a sequence is in their poses; within an exposure nothing moves.
// Threads: one thread at a time an object.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/result.h"
#include "tools/sim/fringe_effects.h"
#include "tools/sim/fringe_view.h"

namespace cusp::sim {

struct FringeShot {
  RigidTransform scene_from_sensor = RigidTransform::Identity();
  std::span<const Occluder> occluders{};
  std::uint64_t frame = 0;  // of the noise
  double time_s = 0;        // of fog and ripple: the middle of the exposure
};

// 1 - t of the fog at a time.
double fog_density(const Fog& fog, double time_s);

class FringeRenderer {
 public:
  // Errors: as FringeCamera::create.
  static Result<FringeRenderer> create(const Mesh& mesh, TissueMap tissues,
                                       const Calibration& calibration, const FringeEffects& effects,
                                       std::uint64_t seed);
  ~FringeRenderer();
  FringeRenderer(FringeRenderer&&) noexcept;
  FringeRenderer& operator=(FringeRenderer&&) noexcept;

  [[nodiscard]] int patterns() const;
  [[nodiscard]] std::size_t fringe_bytes() const;  // width * height
  [[nodiscard]] std::size_t colour_bytes() const;  // twice that

  // Picture `pattern` of the sequence, from 0.
  void fringe(const FringeShot& shot, int pattern, std::span<std::uint8_t> grey);
  void colour(const FringeShot& shot, std::span<std::uint8_t> yuy2);
  // What the camera sees, without any light: the truth behind the pictures.
  const FringeView& view(const FringeShot& shot);

 private:
  struct State;
  explicit FringeRenderer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cusp::sim
