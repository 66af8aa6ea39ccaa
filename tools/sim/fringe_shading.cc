#include "tools/sim/fringe_shading.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

namespace cusp::sim {
namespace {

using Eigen::Vector3f;
constexpr float kPi = std::numbers::pi_v<float>;

// The wand's white light: above and below the camera.
const std::array<Vector3f, 2> kLeds{{{0, -4, 0}, {0, 4, 0}}};
constexpr float kLedLevel = 0.5F;  // whites of both

float fourth_power(float x) { return (x * x) * (x * x); }

// sigma of a thin lens's circle of confusion.
float confusion_px(float focal_px, double aperture_mm, double focus_mm, float depth_mm) {
  return focal_px * static_cast<float>(0.25 * aperture_mm) *
         std::abs(1 / depth_mm - static_cast<float>(1 / focus_mm));
}

// What is left of a fringe (modulus and shift) when its light went under the surface: Cuccia 2009,
// Eq. (12), over its value at frequency 0, with the source along a beam of the given cosine.
class Subsurface {
 public:
  Subsurface(const TissueOptics& optics, double strength)
      : inside_(std::min(1.0F, static_cast<float>(strength) * (1 - optics.surface_share))),
        path_mm_(1 / std::max(optics.reduced_scattering_per_mm + optics.absorption_per_mm, 1e-6F)),
        still_(std::sqrt(3 * optics.absorption_per_mm / path_mm_)) {
    // Internal reflection of diffuse light, from the refractive index (Cuccia 2009, Eq. (11)).
    const float n = optics.refractive_index;
    const float reflected = 0.0636F * n + 0.668F + 0.710F / n - 1.440F / (n * n);
    boundary_ = 3 * (1 - reflected) / (2 * (1 + reflected));
  }

  [[nodiscard]] std::complex<float> response(float surface_per_mm, float beam_per_mm,
                                             float cosine) const {
    const float k = 2 * kPi * surface_per_mm;
    const float decay = std::sqrt(still_ * still_ + k * k);
    const std::complex<float> source(1 + path_mm_ * decay * cosine,
                                     path_mm_ * 2 * kPi * beam_per_mm);
    const float source_still = 1 + path_mm_ * still_ * cosine;
    const float edge = (path_mm_ * still_ + boundary_) / (path_mm_ * decay + boundary_);
    return (1 - inside_) + inside_ * edge * source_still / source;
  }

 private:
  float inside_, path_mm_, still_, boundary_ = 0;
};

}  // namespace

FringeShading::FringeShading(const FringeCamera& camera, const FringeEffects& effects)
    : camera_(camera), effects_(effects) {
  const FringeOptics& optics = *camera.calibration().fringe;
  projector_rotation_ = optics.projector_from_camera.linear().cast<float>();
  projector_translation_ = optics.projector_from_camera.translation().cast<float>();
  projector_focal_px_ = static_cast<float>(optics.projector.fx_px);
  if (effects.vignetting && effects.vignetting->camera)
    for (const Eigen::Vector2f& ray : camera.rays())
      fall_off_.push_back(fourth_power(1 / std::sqrt(1 + ray.squaredNorm())));
}

FringeShading::Slope FringeShading::slope_at(const FringeView& view, std::size_t pixel) const {
  const Eigen::Vector2f& ray = camera_.rays()[pixel];
  const Vector3f point = view.depth_mm[pixel] * Vector3f(ray.x(), ray.y(), 1);
  const Vector3f& normal = view.normal[pixel];
  const Vector3f p = projector_rotation_ * point + projector_translation_;
  // Of the column over space; the projector's distortion does not matter to it.
  const Vector3f gradient =
      projector_rotation_.transpose() *
      Vector3f(projector_focal_px_ / p.z(), 0, -projector_focal_px_ * p.x() / (p.z() * p.z()));
  const Vector3f on_surface = gradient - gradient.dot(normal) * normal;
  const Vector3f beam = (point - camera_.projector_mm()).normalized();
  const float index = optics_of(view.tissue[pixel]).refractive_index;
  const Vector3f sideways = (beam - beam.dot(normal) * normal) / index;  // Snell
  return {on_surface.norm(), gradient.dot(sideways),
          std::sqrt(std::max(0.0F, 1 - sideways.squaredNorm()))};
}

float FringeShading::gloss_at(const FringeView& view, std::size_t pixel,
                              const Vector3f& light_mm) const {
  const Speculars& film = *effects_.speculars;
  const Eigen::Vector2f& ray = camera_.rays()[pixel];
  const Vector3f along(ray.x(), ray.y(), 1);
  const Vector3f& normal = view.normal[pixel];
  const Vector3f way = light_mm - view.depth_mm[pixel] * along;
  const float distance = way.norm();
  const Vector3f to_light = way / distance, to_eye = -along.normalized();
  const float n_light = normal.dot(to_light), n_eye = normal.dot(to_eye);
  if (n_light <= 0 || n_eye <= 0) return 0;
  const Vector3f half = (to_light + to_eye).normalized();
  const float n_half = normal.dot(half);
  const auto roughness = static_cast<float>(film.roughness);
  const float pupil = static_cast<float>(film.light_radius_mm) / (2 * distance);
  const float alpha2 = roughness * roughness + pupil * pupil;
  const float spread = n_half * n_half * (alpha2 - 1) + 1;
  const float d = alpha2 / (kPi * spread * spread);
  const auto shadowing = [&](float cosine) {
    return 2 * cosine / (cosine + std::sqrt(alpha2 + (1 - alpha2) * cosine * cosine));
  };
  const auto f0 = static_cast<float>(film.reflectance);
  const float rest = 1 - half.dot(to_eye);
  const float fresnel = f0 + (1 - f0) * fourth_power(rest) * rest;
  return kPi * d * fresnel * shadowing(n_light) * shadowing(n_eye) / (4 * n_light * n_eye);
}

void FringeShading::prepare(const FringeView& view) {
  const std::size_t pixels = view.depth_mm.size();
  lit_ = view.irradiance;
  gloss_.assign(effects_.speculars ? pixels : 0, 0.0F);
  slope_.assign(effects_.translucency ? pixels : 0, Slope{});
  defocus_px_.assign(effects_.projector_blur ? pixels : 0, 0.0F);
  const bool vignette = effects_.vignetting && effects_.vignetting->projector;
  const Vector3f axis = projector_rotation_.row(2).transpose();
  for (std::size_t i = 0; i < pixels; ++i) {
    if (lit_[i] <= 0) continue;
    const Eigen::Vector2f& ray = camera_.rays()[i];
    const Vector3f point = view.depth_mm[i] * Vector3f(ray.x(), ray.y(), 1);
    const TissueOptics& optics = optics_of(view.tissue[i]);
    // On a plane across the axis the view's irradiance falls with cos^3 already; cos^4 in all.
    if (vignette) lit_[i] *= axis.dot((point - camera_.projector_mm()).normalized());
    if (effects_.projector_blur)
      defocus_px_[i] = confusion_px(projector_focal_px_, effects_.projector_blur->aperture_mm,
                                    effects_.projector_blur->focus_mm,
                                    axis.dot(point) + projector_translation_.z());
    if (effects_.speculars && optics.wet) gloss_[i] = gloss_at(view, i, camera_.projector_mm());
    if (effects_.translucency && optics.reduced_scattering_per_mm > 0)
      slope_[i] = slope_at(view, i);
  }
}

void FringeShading::fringe(const FringeView& view, const FringePattern& pattern,
                           std::span<float> light) {
  std::array<float, kTissues> albedo{};
  std::vector<Subsurface> subsurface;
  for (int i = 0; i < kTissues; ++i) {
    const TissueOptics& optics = optics_of(static_cast<Tissue>(i));
    albedo[static_cast<std::size_t>(i)] = optics.albedo.z();
    subsurface.emplace_back(optics, effects_.translucency ? effects_.translucency->strength : 0);
  }
  const auto per_px = static_cast<float>(1 / pattern.pitch_px());
  for (std::size_t i = 0; i < light.size(); ++i) {
    light[i] = 0;
    if (lit_[i] <= 0) continue;
    const auto kind = static_cast<std::size_t>(view.tissue[i]);
    float contrast = 1;
    if (!defocus_px_.empty()) {
      const float blur = kPi * defocus_px_[i] * per_px;
      contrast = std::exp(-2 * blur * blur);
    }
    const float at_surface = contrast * pattern.swing(view.column_px[i]);
    float under = at_surface;
    if (!slope_.empty() && slope_[i].surface_px_mm > 0) {
      const Slope& slope = slope_[i];
      const std::complex<float> left = subsurface[kind].response(
          slope.surface_px_mm * per_px, slope.beam_px_mm * per_px, slope.cosine);
      const float shift_px = -std::arg(left) / (2 * kPi * per_px);
      under = contrast * std::abs(left) * pattern.swing(view.column_px[i] - shift_px);
    }
    light[i] = lit_[i] * albedo[kind] * (pattern.mean() + under);
    if (!gloss_.empty()) light[i] += lit_[i] * gloss_[i] * (pattern.mean() + at_surface);
    if (!fall_off_.empty()) light[i] *= fall_off_[i];
  }
}

void FringeShading::colour(const FringeView& view, std::array<std::span<float>, 3> light) const {
  for (std::size_t i = 0; i < view.depth_mm.size(); ++i) {
    Vector3f sum = Vector3f::Zero();
    if (view.depth_mm[i] > 0) {
      const Eigen::Vector2f& ray = camera_.rays()[i];
      const Vector3f point = view.depth_mm[i] * Vector3f(ray.x(), ray.y(), 1);
      const TissueOptics& optics = optics_of(view.tissue[i]);
      for (const Vector3f& led : kLeds) {
        const Vector3f way = led - point;
        const float distance = way.norm();
        const float cosine = view.normal[i].dot(way) / distance;
        if (cosine <= 0) continue;
        const float near = FringeCamera::kReferenceMm / distance;
        const float lit = kLedLevel / kLeds.size() * cosine * near * near;
        sum += lit * optics.albedo;
        if (effects_.speculars && optics.wet)
          sum += Vector3f::Constant(lit * gloss_at(view, i, led));
      }
      if (!fall_off_.empty()) sum *= fall_off_[i];
    }
    for (int channel = 0; channel < 3; ++channel)
      light[static_cast<std::size_t>(channel)][i] = sum[channel];
  }
}

}  // namespace cusp::sim
