// The seven tooth forms of each jaw, after the descriptions in Wheeler's (see dentition.h).
#include <array>

#include "core/check.h"
#include "tools/sim/tooth_shape.h"

namespace cusp::sim {
namespace {

constexpr bool kBuccal = true;
constexpr bool kLingual = false;

ToothForm upper_incisor(bool central) {
  ToothForm form{};
  form.mesial = {0.82f, 0.89f, 0.95f, 1.0f, 0.98f};
  form.distal = central ? Profile{0.82f, 0.91f, 0.98f, 1.0f, 0.95f}
                        : Profile{0.77f, 0.90f, 1.0f, 0.99f, 0.90f};
  form.buccal = {0.86f, 1.0f, 0.93f, 0.68f, 0.22f};
  form.lingual = {0.86f, 0.85f, 0.60f, 0.30f, 0.16f};
  form.squareness = central ? 3.0f : 2.7f;
  form.lingual_taper = 0.30f;
  form.edge = {.mesial_corner_mm = central ? 0.25f : 0.6f,
               .distal_corner_mm = central ? 0.8f : 1.4f,
               .bevel = 0.35f};
  // Fossa between the marginal ridges, above the cingulum; two shallow lobes' grooves in front.
  form.hollows = {{kLingual, 0.0f, 0.60f, 0.95f, central ? 1.8f : 1.2f, 0.24f},
                  {kLingual, -0.70f, 0.58f, -0.40f, 0.6f, 0.30f},
                  {kLingual, 0.70f, 0.56f, -0.40f, 0.6f, 0.30f},
                  {kLingual, 0.05f, 0.24f, -0.42f, 1.2f, 0.13f},
                  {kBuccal, -0.30f, 0.78f, 0.12f, 0.6f, 0.30f},
                  {kBuccal, 0.32f, 0.78f, 0.12f, 0.6f, 0.30f}};
  return form;
}

ToothForm lower_incisor(bool central) {
  ToothForm form{};
  form.mesial = {0.70f, 0.80f, 0.89f, 0.97f, 1.0f};
  form.distal = central ? form.mesial : Profile{0.73f, 0.83f, 0.93f, 1.0f, 0.99f};
  form.buccal = {0.88f, 1.0f, 0.86f, 0.55f, 0.10f};
  form.lingual = {0.88f, 0.95f, 0.70f, 0.42f, 0.27f};
  form.squareness = 2.7f;
  form.lingual_taper = 0.25f;
  form.edge = {
      .mesial_corner_mm = 0.2f, .distal_corner_mm = central ? 0.25f : 0.6f, .bevel = -0.2f};
  form.hollows = {{kLingual, 0.0f, 0.65f, 0.40f, 1.0f, 0.22f},
                  {kLingual, 0.0f, 0.18f, -0.15f, 0.9f, 0.12f}};
  return form;
}

ToothForm canine(Jaw jaw) {
  const bool upper = jaw == Jaw::kUpper;
  ToothForm form{};
  form.mesial = {0.76f, 0.87f, 0.96f, 1.0f, 0.84f};
  form.distal = {0.76f, 0.88f, 1.0f, 0.98f, 0.76f};
  form.buccal =
      upper ? Profile{0.88f, 1.0f, 0.98f, 0.78f, 0.26f} : Profile{0.92f, 1.0f, 0.92f, 0.66f, 0.18f};
  form.lingual = {0.88f, 0.91f, 0.74f, 0.46f, 0.20f};
  form.squareness = 2.2f;
  form.lingual_taper = 0.30f;
  form.edge = {.tip_x = -0.06f,
               .mesial_slope = upper ? 0.62f : 0.50f,
               .distal_slope = upper ? 0.72f : 0.66f,
               .distal_corner_mm = 0.3f,
               .bevel = 0.30f};
  // A lingual ridge from the cusp to the cingulum parts the fossa; the labial ridge stands out.
  const float fossa = upper ? 0.65f : 0.40f;
  form.hollows = {{kLingual, -0.42f, 0.58f, fossa, 0.75f, 0.20f},
                  {kLingual, 0.42f, 0.56f, fossa, 0.75f, 0.20f},
                  {kLingual, 0.0f, 0.23f, -0.45f, 1.2f, 0.13f},
                  {kBuccal, -0.06f, 0.70f, -0.22f, 0.8f, 0.40f},
                  {kBuccal, 0.52f, 0.70f, 0.12f, 0.6f, 0.30f}};
  return form;
}

ToothForm upper_premolar(bool first) {
  ToothForm form{};
  form.mesial = {0.72f, 0.85f, 0.95f, 1.0f, 0.92f};
  form.distal = {0.72f, 0.86f, 0.97f, 1.0f, 0.90f};
  form.buccal = {0.89f, 1.0f, 0.97f, 0.84f, 0.64f};
  form.lingual = {0.89f, 0.96f, 1.0f, 0.93f, 0.72f};
  form.squareness = first ? 2.5f : 2.35f;
  form.lingual_taper = first ? 0.16f : 0.08f;
  form.floor_drop_mm = first ? 3.4f : 2.8f;
  const float lingual_drop = first ? 1.0f : 0.3f;
  form.cusps = {{{0.06f, 0.54f}, 0.0f, 0.80f}, {{-0.14f, -0.56f}, lingual_drop, 0.78f}};
  const float margin = first ? 1.9f : 1.6f;
  form.ridges = {{{-0.80f, 0.46f}, {-0.76f, -0.46f}, margin, margin + 0.1f, 0.15f},
                 {{0.80f, 0.46f}, {0.76f, -0.46f}, margin + 0.2f, margin + 0.3f, 0.15f}};
  form.grooves = {{{-0.46f, -0.02f}, {0.46f, -0.02f}, 0.50f, 0.26f},
                  {{-0.46f, -0.02f}, {-0.66f, 0.36f}, 0.35f},
                  {{-0.46f, -0.02f}, {-0.62f, -0.36f}, 0.30f},
                  {{0.46f, -0.02f}, {0.66f, 0.36f}, 0.35f},
                  {{0.46f, -0.02f}, {0.62f, -0.36f}, 0.30f}};
  // The groove over the mesial marginal ridge marks an upper first premolar.
  if (first) form.grooves.push_back({{-0.46f, -0.02f}, {-0.98f, -0.05f}, 0.40f, 0.30f});
  form.hollows = {{kBuccal, 0.06f, 0.75f, -0.18f, 0.9f, 0.40f},
                  {kBuccal, -0.5f, 0.80f, 0.14f, 0.5f, 0.28f},
                  {kBuccal, 0.58f, 0.80f, 0.14f, 0.5f, 0.28f}};
  return form;
}

ToothForm lower_first_premolar() {
  ToothForm form{};
  form.mesial = {0.72f, 0.85f, 0.96f, 1.0f, 0.88f};
  form.distal = {0.72f, 0.86f, 0.98f, 1.0f, 0.88f};
  form.buccal = {0.87f, 1.0f, 0.94f, 0.74f, 0.46f};
  form.lingual = {0.87f, 0.92f, 1.0f, 0.97f, 0.78f};
  form.squareness = 2.25f;
  form.lingual_taper = 0.22f;
  form.floor_drop_mm = 3.3f;
  form.cusps = {{{-0.04f, 0.22f}, 0.0f, 1.20f}, {{-0.08f, -0.60f}, 1.8f, 0.8f}};
  // The transverse ridge joins both cusps between a mesial and a distal fossa.
  form.ridges = {{{-0.04f, 0.22f}, {-0.08f, -0.60f}, 0.1f, 2.3f, 0.75f, 1.1f},
                 {{-0.78f, 0.25f}, {-0.52f, -0.62f}, 1.9f, 2.7f, 0.1f},
                 {{0.78f, 0.25f}, {0.54f, -0.62f}, 1.8f, 2.5f, 0.1f}};
  form.grooves = {{{-0.42f, -0.22f}, {-0.50f, 0.12f}, 0.40f},
                  {{-0.42f, -0.22f}, {-0.44f, -0.85f}, 0.40f},
                  {{0.44f, -0.22f}, {0.52f, 0.14f}, 0.40f}};
  form.hollows = {{kBuccal, -0.04f, 0.75f, -0.18f, 0.9f, 0.40f}};
  return form;
}

ToothForm lower_second_premolar() {
  ToothForm form{};
  form.mesial = {0.74f, 0.86f, 0.96f, 1.0f, 0.92f};
  form.distal = {0.74f, 0.86f, 0.97f, 1.0f, 0.92f};
  form.buccal = {0.87f, 1.0f, 0.95f, 0.80f, 0.56f};
  form.lingual = {0.87f, 0.94f, 1.0f, 0.98f, 0.84f};
  form.squareness = 2.7f;
  form.lingual_taper = -0.04f;
  form.floor_drop_mm = 2.7f;
  form.cusps = {{{-0.04f, 0.42f}, 0.0f, 0.78f},
                {{-0.40f, -0.60f}, 0.9f, 0.78f},
                {{0.42f, -0.60f}, 1.2f, 0.78f}};
  form.ridges = {{{-0.80f, 0.36f}, {-0.80f, -0.44f}, 1.5f, 1.6f, 0.15f},
                 {{0.80f, 0.36f}, {0.80f, -0.44f}, 1.7f, 1.8f, 0.15f}};
  // The Y of the three-cusp type.
  form.grooves = {{{-0.52f, 0.0f}, {0.06f, -0.16f}, 0.45f},
                  {{0.54f, 0.0f}, {0.06f, -0.16f}, 0.45f},
                  {{0.06f, -0.16f}, {0.06f, -0.95f}, 0.50f},
                  {{-0.52f, 0.0f}, {-0.66f, 0.36f}, 0.30f},
                  {{0.54f, 0.0f}, {0.66f, 0.36f}, 0.30f}};
  form.hollows = {{kBuccal, -0.04f, 0.75f, -0.15f, 0.9f, 0.40f},
                  {kLingual, 0.06f, 0.90f, 0.30f, 0.45f, 0.30f}};
  return form;
}

ToothForm upper_molar(bool first) {
  ToothForm form{};
  form.mesial = {0.80f, 0.91f, 0.98f, 1.0f, 0.93f};
  form.distal = {0.80f, 0.91f, 0.98f, 1.0f, 0.90f};
  form.buccal = {0.91f, 1.0f, 0.97f, 0.88f, 0.74f};
  form.lingual = {0.91f, 0.97f, 1.0f, 0.94f, 0.78f};
  form.squareness = 3.1f;
  form.lingual_taper = first ? -0.02f : 0.08f;
  form.shear = first ? 0.10f : 0.15f;
  form.floor_drop_mm = 2.9f;
  const Eigen::Vector2f mesiobuccal(-0.50f, 0.54f);
  const Eigen::Vector2f distobuccal(0.36f, 0.52f);
  const Eigen::Vector2f mesiolingual(-0.28f, -0.52f);
  const Eigen::Vector2f distolingual(0.58f, -0.56f);
  form.cusps = {{mesiobuccal, 0.25f},
                {distobuccal, 0.55f},
                {mesiolingual, 0.0f, 0.72f},
                {distolingual, first ? 1.05f : 1.45f, 0.80f}};
  // The oblique ridge from the mesiolingual to the distobuccal cusp, and the marginal ridges.
  form.ridges = {{mesiolingual, distobuccal, 0.3f, 0.8f, 0.95f, 1.0f},
                 {{-0.84f, 0.40f}, {-0.78f, -0.40f}, 1.3f, 1.4f, 0.25f},
                 {{0.72f, 0.42f}, {0.86f, -0.42f}, 1.6f, 1.8f, 0.25f}};
  form.grooves = {
      {{-0.58f, 0.02f}, {-0.10f, 0.10f}, 0.50f}, {{-0.10f, 0.10f}, {-0.06f, 0.98f}, 0.50f},
      {{-0.58f, 0.02f}, {-0.72f, 0.34f}, 0.32f}, {{-0.58f, 0.02f}, {-0.66f, -0.28f}, 0.30f},
      {{-0.10f, 0.10f}, {0.46f, 0.00f}, 0.22f},  {{0.58f, 0.06f}, {0.44f, -0.22f}, 0.50f},
      {{0.44f, -0.22f}, {0.18f, -0.98f}, 0.50f}, {{0.58f, 0.06f}, {0.68f, 0.32f}, 0.32f},
      {{-0.30f, 0.30f}, {-0.18f, 0.16f}, 0.20f}};
  form.hollows = {{kBuccal, -0.08f, 0.92f, 0.50f, 0.65f, 0.38f},
                  {kLingual, 0.17f, 0.95f, 0.50f, 0.60f, 0.36f},
                  {kBuccal, -0.50f, 0.75f, -0.12f, 1.1f, 0.35f},
                  {kBuccal, 0.40f, 0.75f, -0.12f, 1.1f, 0.35f}};
  // Carabelli's trait, as a small bulge.
  if (first) form.hollows.push_back({kLingual, -0.40f, 0.58f, -0.40f, 0.9f, 0.13f});
  return form;
}

ToothForm lower_first_molar() {
  ToothForm form{};
  form.mesial = {0.81f, 0.92f, 0.98f, 1.0f, 0.94f};
  form.distal = {0.81f, 0.92f, 0.99f, 1.0f, 0.92f};
  form.buccal = {0.86f, 1.0f, 0.94f, 0.82f, 0.66f};
  form.lingual = {0.86f, 0.94f, 1.0f, 0.98f, 0.86f};
  form.squareness = 3.0f;
  form.lingual_taper = 0.06f;
  form.distal_taper = 0.07f;
  form.floor_drop_mm = 2.8f;
  form.cusps = {{{-0.56f, 0.46f}, 0.35f},
                {{0.06f, 0.52f}, 0.45f},
                {{0.64f, 0.30f}, 0.95f, 0.82f},
                {{-0.44f, -0.60f}, 0.0f},
                {{0.36f, -0.60f}, 0.10f}};
  form.ridges = {{{-0.86f, 0.36f}, {-0.84f, -0.44f}, 1.25f, 1.25f, 0.20f},
                 {{0.86f, 0.14f}, {0.82f, -0.46f}, 1.7f, 1.6f, 0.15f}};
  // The Y5 (Dryopithecus) pattern.
  form.grooves = {
      {{-0.62f, -0.02f}, {-0.14f, -0.06f}, 0.50f}, {{-0.14f, -0.06f}, {0.28f, -0.02f}, 0.50f},
      {{0.28f, -0.02f}, {0.66f, -0.12f}, 0.45f},   {{-0.14f, -0.06f}, {-0.26f, 0.98f}, 0.50f},
      {{0.28f, -0.02f}, {0.42f, 0.95f}, 0.45f},    {{-0.14f, -0.06f}, {-0.04f, -0.98f}, 0.50f},
      {{-0.62f, -0.02f}, {-0.76f, 0.26f}, 0.30f},  {{-0.62f, -0.02f}, {-0.74f, -0.32f}, 0.30f},
      {{0.66f, -0.12f}, {0.76f, -0.36f}, 0.28f}};
  form.hollows = {{kBuccal, -0.26f, 0.90f, 0.50f, 0.60f, 0.38f},
                  {kBuccal, 0.42f, 0.92f, 0.38f, 0.50f, 0.32f},
                  {kLingual, -0.04f, 0.97f, 0.42f, 0.55f, 0.26f}};
  return form;
}

ToothForm lower_second_molar() {
  ToothForm form{};
  form.mesial = {0.77f, 0.90f, 0.98f, 1.0f, 0.94f};
  form.distal = {0.77f, 0.90f, 0.98f, 1.0f, 0.92f};
  form.buccal = {0.90f, 1.0f, 0.95f, 0.82f, 0.66f};
  form.lingual = {0.90f, 0.95f, 1.0f, 0.97f, 0.85f};
  form.squareness = 3.3f;
  form.lingual_taper = 0.03f;
  form.distal_taper = 0.04f;
  form.floor_drop_mm = 2.7f;
  form.cusps = {{{-0.48f, 0.50f}, 0.25f},
                {{0.46f, 0.48f}, 0.45f},
                {{-0.44f, -0.60f}, 0.0f},
                {{0.44f, -0.58f}, 0.20f}};
  form.ridges = {{{-0.86f, 0.38f}, {-0.84f, -0.44f}, 1.3f, 1.3f, 0.20f},
                 {{0.86f, 0.36f}, {0.84f, -0.42f}, 1.5f, 1.5f, 0.20f}};
  // The cross of the four-cusp type.
  form.grooves = {
      {{-0.60f, -0.04f}, {0.60f, -0.04f}, 0.50f},  {{0.0f, -0.04f}, {-0.02f, 0.98f}, 0.50f},
      {{0.0f, -0.04f}, {0.0f, -0.98f}, 0.48f},     {{-0.60f, -0.04f}, {-0.74f, 0.30f}, 0.30f},
      {{-0.60f, -0.04f}, {-0.72f, -0.32f}, 0.30f}, {{0.60f, -0.04f}, {0.74f, 0.28f}, 0.30f},
      {{0.60f, -0.04f}, {0.72f, -0.32f}, 0.30f}};
  form.hollows = {{kBuccal, -0.02f, 0.90f, 0.48f, 0.60f, 0.38f},
                  {kLingual, 0.0f, 0.97f, 0.40f, 0.55f, 0.26f}};
  return form;
}

}  // namespace

const ToothForm& tooth_form(Jaw jaw, int position) {
  static const std::array<ToothForm, kTeethPerSide> kUpper{
      upper_incisor(true),   upper_incisor(false), canine(Jaw::kUpper), upper_premolar(true),
      upper_premolar(false), upper_molar(true),    upper_molar(false)};
  static const std::array<ToothForm, kTeethPerSide> kLower{
      lower_incisor(true),     lower_incisor(false), canine(Jaw::kLower), lower_first_premolar(),
      lower_second_premolar(), lower_first_molar(),  lower_second_molar()};
  CUSP_CHECK(position >= 1 && position <= kTeethPerSide, "a tooth's place is 1 to 7");
  return (jaw == Jaw::kUpper ? kUpper : kLower)[static_cast<std::size_t>(position - 1)];
}

}  // namespace cusp::sim
