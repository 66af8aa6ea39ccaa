#include "tools/sim/arch_scene.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "core/check.h"
#include "tools/sim/gingiva.h"
#include "tools/sim/implicit.h"
#include "tools/sim/surface_nets.h"
#include "tools/sim/tooth_shape.h"

namespace cusp::sim {
namespace {

// How far the gum bridges between two teeth at the neck, and how much more for each mm below it.
constexpr float kEmbrasureBlend = 1.6f;
constexpr float kEmbrasureBlendGrowth = 0.3f;
// Where two teeth touch: no gap too narrow for a scanner to see into.
constexpr float kContactBlend = 0.5f;
// Between gum and tooth: nearly none.
constexpr float kSulcusBlend = 0.2f;
// The gum is nowhere thicker: a tooth further from a point than this and the blend does not matter
// there.
constexpr float kGumThickest = 2.6f;
constexpr float kFarAbove = 4.0f;
// Enamel runs out towards the neck: up to here dentine shows through.
constexpr float kThinEnamel = 1.2f;

class ArchField {
 public:
  explicit ArchField(const ArchSceneOptions& options)
      : seed_(options.seed),
        curve_(arch_curve(options.jaw)),
        teeth_(place_teeth(options.jaw, curve_, options.seed)),
        gingiva_(options.jaw, curve_, teeth_, options.seed) {
    for (const PlacedTooth& tooth : teeth_) {
      shapes_.emplace_back(tooth_form(options.jaw, tooth.position), tooth.size);
    }
  }

  float operator()(const Eigen::Vector3f& p_mm) const {
    const Fields fields = fields_at(p_mm);
    return smooth_min(fields.crowns, fields.gum, kSulcusBlend);
  }

  Tissue tissue(const Eigen::Vector3f& p_mm) const {
    const Fields fields = fields_at(p_mm);
    if (fields.gum <= fields.crowns) return Tissue::kGingiva;
    return fields.above_neck_mm < kThinEnamel ? Tissue::kDentine : Tissue::kEnamel;
  }

  Eigen::AlignedBox3f box_mm() const {
    Eigen::AlignedBox3f box;
    for (const PlacedTooth& tooth : teeth_) box.extend(tooth.origin_mm);
    return {box.min() - Eigen::Vector3f(14.0f, 14.0f, 26.0f),
            box.max() + Eigen::Vector3f(14.0f, 14.0f, 3.0f)};
  }

 private:
  struct Fields {
    float crowns, gum;
    float above_neck_mm;  // height over the neck of the nearest tooth
  };

  Fields fields_at(const Eigen::Vector3f& p_mm) const {
    float walls = 2.0f * kFarAbove;
    float crowns = 2.0f * kFarAbove;
    float nearest = crowns;
    float above_neck = kFarAbove;
    for (std::size_t i = 0; i < teeth_.size(); ++i) {
      const Eigen::Vector3f local = teeth_[i].upright_from_model(p_mm);
      const ToothSize& size = teeth_[i].size;
      const float below = std::max(-local.z() - size.crown_height_mm, 0.0f);
      const float blend = kEmbrasureBlend + kEmbrasureBlendGrowth * below;
      const float reach =
          0.5f * std::hypot(size.mesiodistal_mm, size.buccolingual_mm) + kGumThickest + blend;
      if (local.z() > kFarAbove || local.head<2>().squaredNorm() > reach * reach) continue;
      const float wall = shapes_[i].wall(local);
      const float crown = shapes_[i].crown(local, wall);
      walls = smooth_min(walls, wall, blend);
      crowns = smooth_min(crowns, crown, kContactBlend);
      if (crown < nearest) {
        nearest = crown;
        above_neck = local.z() + size.crown_height_mm;
      }
    }
    if (std::abs(crowns) < 0.5f) {
      crowns += 0.02f * value_noise(p_mm.x() / 1.7f, p_mm.y() / 1.7f, p_mm.z() / 1.7f, seed_);
    }
    return {crowns, gingiva_.at(p_mm, walls), above_neck};
  }

  std::uint32_t seed_;
  ArchCurve curve_;
  std::vector<PlacedTooth> teeth_;
  std::vector<ToothShape> shapes_;
  Gingiva gingiva_;
};

}  // namespace

Mesh make_arch(const ArchSceneOptions& options) {
  CUSP_CHECK(options.resolution_mm >= 0.05 && options.resolution_mm <= 0.5,
             "the scene is made at 0.05 to 0.5 mm");
  const ArchField field(options);
  Mesh mesh = largest_part(
      surface_nets(std::cref(field), field.box_mm(), static_cast<float>(options.resolution_mm)));
  compute_normals(mesh);
  return mesh;
}

std::vector<Tissue> arch_tissues(const ArchSceneOptions& options, const Mesh& mesh) {
  const ArchField field(options);
  std::vector<Tissue> tissues;
  tissues.reserve(mesh.vertices_mm.size());
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm) tissues.push_back(field.tissue(vertex));
  return tissues;
}

}  // namespace cusp::sim
