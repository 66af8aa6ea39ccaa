// Tissue: what a surface is made of, and how it takes light.
//
// Colour of enamel: mean L*a*b* of upper permanent incisors (S. Oh et al., J Korean Acad Pediatr
// Dent 49(4), 2022, doi:10.5933/JKAPD.2022.49.4.414), of attached gingiva: first cluster centre of
// M. Ito et al., "Proposed shade guide for attached gingiva - a pilot study", J Prosthodont, 2015;
// alveolar mucosa is darker and redder (J Prosthet Dent 117(2), 2017,
// doi:10.1016/j.prosdent.2016.06.009), which tongue and cheek take over. Dentine is darker and
// yellower enamel, stone is unstained dental plaster: both estimates of ours. The fringes' light is
// blue, so its albedo is the blue one.
// Scattering of enamel: s = 6.6 / mm, g = 0.68 (J. Zijp, J. ten Bosch, R. Groenhuis, "HeNe-laser
// light scattering by human dental enamel", J Dent Res 74(12), 1995,
// doi:10.1177/00220345950740121301), so s (1 - g) = 2.1 / mm; refractive index 1.63; absorption is
// small in the visible. Dentine scatters more; soft tissue absorbs more: both of the order given by
// reviews, not measured here. surface_share, the light that comes back without having been inside,
// is an assumption of ours: no source gives it for wet enamel.
// Threads: values.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace cusp::sim {

enum class Tissue : std::uint8_t { kStone, kEnamel, kDentine, kGingiva, kMucosa };
inline constexpr int kTissues = 5;
std::optional<Tissue> tissue(std::string_view name);  // "stone", "enamel", ...

struct TissueOptics {
  Eigen::Vector3f albedo;  // linear red, green, blue, of diffuse light
  bool wet = true;         // has a film of saliva
  // Light under the surface; 0: none gets there.
  float reduced_scattering_per_mm = 0;
  float absorption_per_mm = 0;
  float refractive_index = 1.4F;
  float surface_share = 1;
};
const TissueOptics& optics_of(Tissue tissue);

// One tissue for all of a mesh, or one for each vertex (a point takes its nearest corner's).
struct TissueMap {
  Tissue everywhere = Tissue::kStone;
  std::vector<Tissue> of_vertex{};
};

}  // namespace cusp::sim
