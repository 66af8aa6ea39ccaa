#include "tools/sim/fringe_scene.h"

#include <optional>

#include "tools/sim/fringe_renderer.h"
#include "tools/sim/soft_tissue.h"

namespace cusp::sim {
namespace {

struct State {
  FringeRenderer renderer;
  OperatorPath path;
  double rate_hz;
  std::optional<SoftTissueMotion> soft_tissue;
  std::vector<Occluder> occluders{};

  [[nodiscard]] double time_s(std::uint64_t frame) const {
    return static_cast<double>(frame) / rate_hz;
  }
  FringeShot shot(std::uint64_t frame) {
    occluders.clear();
    if (soft_tissue) occluders = soft_tissue->at(time_s(frame));
    return {path.scene_from_sensor(frame), occluders, frame, time_s(frame)};
  }
};

}  // namespace

Result<FringeScene> make_fringe_scene(std::string name, const Mesh& mesh,
                                      const FringeSceneOptions& options) {
  CUSP_ASSIGN(OperatorPath path, sweep_teeth(mesh, options.motion));
  CUSP_ASSIGN(FringeRenderer renderer,
              FringeRenderer::create(mesh, options.tissues, options.calibration, options.effects,
                                     options.seed));
  auto state = std::make_shared<State>(
      State{std::move(renderer), std::move(path), options.motion.rate_hz, std::nullopt});
  if (options.effects.soft_tissue)
    state->soft_tissue.emplace(*options.effects.soft_tissue, state->path, options.motion.rate_hz,
                               options.motion.standoff_mm, options.seed);

  FringeScene scene;
  scene.name = std::move(name);
  scene.frames = state->path.frames();
  scene.rate_hz = options.motion.rate_hz;
  scene.calibration = options.calibration;
  scene.fringe_bytes = state->renderer.fringe_bytes();
  scene.colour_bytes = state->renderer.colour_bytes();
  scene.pose = [state](std::uint64_t frame) { return state->path.scene_from_sensor(frame); };
  scene.depth = [state](std::uint64_t frame, std::vector<float>& depth_mm) {
    depth_mm = state->renderer.view(state->shot(frame)).depth_mm;
  };
  scene.picture = [state](std::uint64_t frame, const FringeIndex& index,
                          std::span<std::uint8_t> out) {
    const bool is_colour = index.pattern == index.patterns;
    if (index.pattern < 0 || (!is_colour && index.pattern >= state->renderer.patterns()))
      return false;
    if (out.size() != (is_colour ? state->renderer.colour_bytes() : state->renderer.fringe_bytes()))
      return false;
    if (is_colour)
      state->renderer.colour(state->shot(frame), out);
    else
      state->renderer.fringe(state->shot(frame), index.pattern, out);
    return true;
  };
  return scene;
}

}  // namespace cusp::sim
