// FringeEffects: what stands between an ideal fringe picture and the one a device sends. Each can
// be switched off (std::nullopt) alone; its source is beside it.
//
// Light is counted in whites: 1 is what a white, matt surface gives that faces the projector at
// FringeCamera::kReferenceMm and is lit with full intensity. Lengths on the object in mm, at an
// imager in its pixels. Threads: values.
#pragma once

#include <optional>
#include <string_view>

#include "core/result.h"

namespace cusp::sim {

// The projector's picture is made of pixels, each constant over its width, and its lens blurs them:
// a Gaussian, in quadrature with the circle of confusion of a thin lens (A. Pentland, "A new sense
// for depth of field", IEEE PAMI 9(4), 1987, doi:10.1109/TPAMI.1987.4767940). A fringe stays a
// sinusoid and loses contrast: exp(-2 (pi sigma / pitch)^2).
struct ProjectorBlur {
  double sigma_px = 0.6;  // in focus
  double focus_mm = 15;
  double aperture_mm = 0.3;
};

// Intensity to the power gamma, as of an imager that was not linearised: harmonics in the fringes
// (S. Zhang, P. Huang, "Phase error compensation for a 3-D shape measurement system based on the
// phase-shifting method", Optical Engineering 46(6), 2007, doi:10.1117/1.2746814).
struct ProjectorGamma {
  double exponent = 1.2;
};

// Natural fall-off of a lens, cos^4 of the angle to its axis (M. Reiss, "The cos^4 law of
// illumination", J. Opt. Soc. Am. 35(4), 1945, doi:10.1364/JOSA.35.000283). Of the projector, three
// of the four cosines are distance and incidence, which are never off: this adds the one that its
// pupil, seen from the side, takes away.
struct Vignetting {
  bool camera = true;
  bool projector = true;
};

// The camera's point spread: a Gaussian, and the thin lens's circle of confusion by each pixel's
// depth, done in the picture as M. Potmesil and I. Chakravarty do it ("A lens and aperture camera
// model for synthetic image generation", SIGGRAPH 1981, doi:10.1145/800224.806818), between a few
// blurred pictures. Light does not leak round edges as it truly would.
struct CameraBlur {
  double sigma_px = 0.5;  // in focus
  double focus_mm = 15;
  double aperture_mm = 0.3;
};

// Mirror light of a film of saliva: GGX microfacets (B. Walter et al., "Microfacet models for
// refraction through rough surfaces", EGSR 2007, doi:10.2312/EGWR/EGSR07/195-206) with Schlick's
// Fresnel term (doi:10.1111/1467-8659.1330233) for water on air. Of wet tissues alone.
struct Speculars {
  double roughness = 0.12;     // alpha of GGX
  double reflectance = 0.02;   // at normal incidence, n = 1.33
  double light_radius_mm = 1;  // of the light's pupil: no mirror image is sharper
};

// Light that travels under the surface before it comes back: a fringe loses contrast and moves away
// from the projector. The contrast of spatial frequency f is the diffusion approximation's (D.
// Cuccia et al., "Quantitation and mapping of tissue optical properties using modulated imaging",
// J. Biomed. Opt. 14(2), 2009, doi:10.1117/1.3088140); its derivation for a beam that enters
// obliquely and is refracted (L. Wang, S. Jacques, "Use of a laser beam with an oblique angle of
// incidence", Appl. Opt. 34(13), 1995, doi:10.1364/AO.34.002362) makes it complex: the source lies
// along the slanted beam, and the phase is the fringes' shift. surface_share of the light
// (tissue.h) does not go in. Edges, thickness and layers of the tissue are not modelled.
struct Translucency {
  double strength = 1;  // multiplies the share of light that goes in, at most 1
};

// Tongue and cheek: ellipsoids that push into the view and go, seeded (soft_tissue.h).
struct SoftTissue {
  double mean_period_s = 6;  // between two intrusions
  double stay_s = 1.2;
  double reach_mm = 5;  // of the tissue's edge into the picture's middle, at most; 0: to the axis
};

// Fog on the tip: what is seen is mixed with a veil, I = J t + A (1 - t) (H. Koschmieder 1924, in
// the form of S. Narasimhan and S. Nayar, "Vision and the atmosphere", IJCV 48(3), 2002,
// doi:10.1023/A:1016328200723). The projector's light passes the fog too, so t counts twice for its
// fringes. The tip fogs up when it comes into the mouth and clears as it warms.
struct Fog {
  double densest = 0.6;  // 1 - t at its worst
  double onset_s = 1.0, growth_s = 1.0, clearing_s = 6.0;
  double veil = 0.15;  // whites
};

// The operating lamp: even light, with the ripple of its mains at twice 50 Hz (IEEE 1789-2015 calls
// this percent flicker), averaged over the exposure.
struct Ambient {
  double level = 0.05;  // whites
  double ripple = 0.2;  // amplitude, a share of the level
  double ripple_hz = 100;
};

// The linear sensor model of EMVA Standard 1288, release 3.1: shot noise of the electrons, dark
// noise, pixels that differ in offset (DSNU) and gain (PRNU), saturation. Quantisation to 8 bits is
// never off.
struct SensorNoise {
  double full_well_e = 10500;
  double dark_e = 6;       // standard deviation, read-out and dark current
  double dsnu_e = 2;       // of the pixels' offsets
  double prnu = 0.006;     // of their gains, relative
  double black_level = 2;  // counts
};

struct FringeEffects {
  std::optional<ProjectorBlur> projector_blur = ProjectorBlur{};
  std::optional<ProjectorGamma> projector_gamma{};
  std::optional<Vignetting> vignetting = Vignetting{};
  std::optional<CameraBlur> camera_blur = CameraBlur{};
  std::optional<Speculars> speculars = Speculars{};
  std::optional<Translucency> translucency = Translucency{};
  std::optional<SoftTissue> soft_tissue{};
  std::optional<Fog> fog{};
  std::optional<Ambient> ambient = Ambient{};
  std::optional<SensorNoise> sensor_noise = SensorNoise{};
  // Counts that one white gives, relative to full scale.
  double exposure = 2.5;
  // What the ripple is averaged over, and the exposure that a wand's automatic begins with and
  // reports. Another one set on the wand is reported, but the pictures stay as bright as they are.
  double exposure_ms = 4;

  static FringeEffects none();
};

// "default", "all" or "none", then changes: "default,+fog,-speculars". Names: projector_blur,
// projector_gamma, vignetting, camera_blur, speculars, translucency, soft_tissue, fog, ambient,
// sensor_noise. kInvalidArgument lists them.
Result<FringeEffects> parse_effects(std::string_view text);

}  // namespace cusp::sim
