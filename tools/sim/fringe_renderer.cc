#include "tools/sim/fringe_renderer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/check.h"
#include "tools/sim/fringe_pattern.h"
#include "tools/sim/fringe_shading.h"
#include "tools/sim/picture_blur.h"
#include "tools/sim/random.h"
#include "tools/sim/sensor_model.h"

namespace cusp::sim {
namespace {

// Lamp light that tissue sends back, a share for each of its colours: as albedo does.
float ambient_level(const Ambient& ambient, double exposure_ms, double time_s, std::uint64_t seed) {
  const double turn = std::numbers::pi * ambient.ripple_hz * exposure_ms * 1e-3;
  const double averaged = turn > 1e-9 ? std::sin(turn) / turn : 1;
  RandomStream random(seed, 0, 0, 7);
  const double phase = 2 * std::numbers::pi * static_cast<double>(random.uniform());
  const double wave = std::sin(2 * std::numbers::pi * ambient.ripple_hz * time_s + phase);
  return static_cast<float>(ambient.level * (1 + ambient.ripple * averaged * wave));
}

// IEC 61966-2-1, a count to a count.
std::array<std::uint8_t, 256> srgb_table() {
  std::array<std::uint8_t, 256> table{};
  for (std::size_t i = 0; i < table.size(); ++i) {
    const double light = static_cast<double>(i) / 255;
    const double shown =
        light <= 0.0031308 ? 12.92 * light : 1.055 * std::pow(light, 1 / 2.4) - 0.055;
    table[i] = static_cast<std::uint8_t>(std::lround(255 * shown));
  }
  return table;
}

std::uint8_t to_byte(float value) {
  return static_cast<std::uint8_t>(std::clamp(value, 0.0F, 255.0F) + 0.5F);
}

// Two pixels to four bytes: Y0 Cb Y1 Cr. The imager's black level is taken off, as a camera does.
void to_yuy2(const std::array<std::vector<std::uint8_t>, 3>& rgb, int black,
             std::span<std::uint8_t> yuy2) {
  static const std::array<std::uint8_t, 256> kShown = srgb_table();
  const auto at = [&](std::size_t channel, std::size_t pixel) {
    const int light = std::max(0, rgb[channel][pixel] - black);
    return static_cast<float>(kShown[static_cast<std::size_t>(light)]) / 255;
  };
  for (std::size_t i = 0; i + 1 < rgb[0].size(); i += 2) {
    std::array<float, 2> y{};
    float blue = 0, red = 0;
    for (std::size_t k = 0; k < 2; ++k) {
      y[k] = 0.299F * at(0, i + k) + 0.587F * at(1, i + k) + 0.114F * at(2, i + k);
      blue += 0.5F * (at(2, i + k) - y[k]) / 1.772F;
      red += 0.5F * (at(0, i + k) - y[k]) / 1.402F;
    }
    yuy2[2 * i] = to_byte(16 + 219 * y[0]);
    yuy2[2 * i + 1] = to_byte(128 + 224 * blue);
    yuy2[2 * i + 2] = to_byte(16 + 219 * y[1]);
    yuy2[2 * i + 3] = to_byte(128 + 224 * red);
  }
}

}  // namespace

double fog_density(const Fog& fog, double time_s) {
  const double since = time_s - fog.onset_s;
  if (since <= 0) return 0;
  if (since < fog.growth_s) return fog.densest * since / fog.growth_s;
  return fog.densest * std::exp(-(since - fog.growth_s) / fog.clearing_s);
}

struct FringeRenderer::State {
  FringeCamera camera;
  FringeEffects effects;
  std::uint64_t seed;
  SensorModel sensor;
  PictureBlur blur;
  std::vector<FringePattern> patterns{};
  FringeShading shading{camera, effects};

  FringeView view{};
  bool view_known = false;
  bool prepared = false;
  RigidTransform pose = RigidTransform::Identity();
  std::vector<Occluder> occluders{};
  std::vector<float> blur_px{};
  std::array<std::vector<float>, 3> light{};
  std::array<std::vector<std::uint8_t>, 3> counts{};

  void look(const FringeShot& shot) {
    if (view_known && pose.matrix() == shot.scene_from_sensor.matrix() &&
        std::equal(occluders.begin(), occluders.end(), shot.occluders.begin(),
                   shot.occluders.end()))
      return;
    pose = shot.scene_from_sensor;
    occluders.assign(shot.occluders.begin(), shot.occluders.end());
    camera.look(pose, occluders, view);
    view_known = true;
    prepared = false;
  }

  void prepare(const FringeShot& shot) {
    look(shot);
    if (prepared) return;
    shading.prepare(view);
    if (effects.camera_blur) {
      const CameraBlur& lens = *effects.camera_blur;
      const double focal_px = camera.calibration().depth.fx_px;
      blur_px.resize(view.depth_mm.size());
      std::transform(view.depth_mm.begin(), view.depth_mm.end(), blur_px.begin(), [&](float depth) {
        if (depth <= 0) return static_cast<float>(lens.sigma_px);
        const double circle = 0.25 * lens.aperture_mm * focal_px *
                              std::abs(1 / static_cast<double>(depth) - 1 / lens.focus_mm);
        return static_cast<float>(std::hypot(lens.sigma_px, circle));
      });
    }
    prepared = true;
  }

  // Room and tip, then lens and imager. `clear` is what the fog leaves of the wand's own light;
  // lamp light falls on the tissue from outside and passes it once.
  void develop(const FringeShot& shot, int channel, bool projected,
               std::span<std::uint8_t> result) {
    std::vector<float>& picture = light[static_cast<std::size_t>(channel)];
    const double density = effects.fog ? fog_density(*effects.fog, shot.time_s) : 0;
    const auto once = static_cast<float>(1 - density);
    const float own = projected ? once * once : once;
    const float veil = effects.fog ? static_cast<float>(effects.fog->veil * density) : 0;
    const float lamp = effects.ambient
                           ? ambient_level(*effects.ambient, effects.exposure_ms, shot.time_s, seed)
                           : 0;
    if (lamp > 0 || density > 0)
      for (std::size_t i = 0; i < picture.size(); ++i) {
        const float reflected =
            view.depth_mm[i] > 0 ? lamp * optics_of(view.tissue[i]).albedo[channel] : 0;
        picture[i] = own * picture[i] + once * reflected + veil;
      }
    if (effects.camera_blur) blur.apply(blur_px, picture);
    sensor.expose(picture, shot.frame, static_cast<std::uint64_t>(channel), result);
  }
};

Result<FringeRenderer> FringeRenderer::create(const Mesh& mesh, TissueMap tissues,
                                              const Calibration& calibration,
                                              const FringeEffects& effects, std::uint64_t seed) {
  CUSP_ASSIGN(FringeCamera camera, FringeCamera::create(mesh, std::move(tissues), calibration));
  const int width = calibration.depth.width_px, height = calibration.depth.height_px;
  auto state = std::unique_ptr<State>(
      new State{std::move(camera), effects, seed,
                SensorModel(effects.sensor_noise, effects.exposure, width, height, seed),
                PictureBlur(width, height)});
  for (const FringeOptics::Pattern& pattern : calibration.fringe->patterns)
    state->patterns.emplace_back(pattern, calibration.fringe->projector.width_px, effects);
  return FringeRenderer(std::move(state));
}

FringeRenderer::FringeRenderer(std::unique_ptr<State> state) : state_(std::move(state)) {}
FringeRenderer::~FringeRenderer() = default;
FringeRenderer::FringeRenderer(FringeRenderer&&) noexcept = default;
FringeRenderer& FringeRenderer::operator=(FringeRenderer&&) noexcept = default;

int FringeRenderer::patterns() const { return static_cast<int>(state_->patterns.size()); }
std::size_t FringeRenderer::fringe_bytes() const { return state_->camera.rays().size(); }
std::size_t FringeRenderer::colour_bytes() const { return 2 * fringe_bytes(); }

const FringeView& FringeRenderer::view(const FringeShot& shot) {
  state_->look(shot);
  return state_->view;
}

void FringeRenderer::fringe(const FringeShot& shot, int pattern, std::span<std::uint8_t> grey) {
  CUSP_CHECK(pattern >= 0 && pattern < patterns() && grey.size() == fringe_bytes(),
             "a pattern of the sequence, a byte a pixel");
  constexpr int kBlue = 2;  // the projector's light
  state_->prepare(shot);
  std::vector<float>& light = state_->light[kBlue];
  light.resize(grey.size());
  state_->shading.fringe(state_->view, state_->patterns[static_cast<std::size_t>(pattern)], light);
  state_->develop(shot, kBlue, true, grey);
}

void FringeRenderer::colour(const FringeShot& shot, std::span<std::uint8_t> yuy2) {
  CUSP_CHECK(yuy2.size() == colour_bytes() && fringe_bytes() % 2 == 0,
             "two bytes a pixel, pixels in pairs");
  state_->prepare(shot);
  auto& light = state_->light;
  for (auto& channel : light) channel.resize(fringe_bytes());
  state_->shading.colour(state_->view, {light[0], light[1], light[2]});
  for (int channel = 0; channel < 3; ++channel) {
    auto& counts = state_->counts[static_cast<std::size_t>(channel)];
    counts.resize(fringe_bytes());
    state_->develop(shot, channel, false, counts);
  }
  const auto& noise = state_->effects.sensor_noise;
  to_yuy2(state_->counts, noise ? static_cast<int>(std::lround(noise->black_level)) : 0, yuy2);
}

}  // namespace cusp::sim
