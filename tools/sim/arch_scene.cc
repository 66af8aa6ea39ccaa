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
    float walls = 2.0f * kFarAbove;
    float crowns = 2.0f * kFarAbove;
    for (std::size_t i = 0; i < teeth_.size(); ++i) {
      const Eigen::Vector3f local = teeth_[i].upright_from_model(p_mm);
      const ToothSize& size = teeth_[i].size;
      const float below = std::max(-local.z() - size.crown_height_mm, 0.0f);
      const float blend = kEmbrasureBlend + kEmbrasureBlendGrowth * below;
      const float reach =
          0.5f * std::hypot(size.mesiodistal_mm, size.buccolingual_mm) + kGumThickest + blend;
      if (local.z() > kFarAbove || local.head<2>().squaredNorm() > reach * reach) continue;
      const float wall = shapes_[i].wall(local);
      walls = smooth_min(walls, wall, blend);
      crowns = smooth_min(crowns, shapes_[i].crown(local, wall), kContactBlend);
    }
    if (std::abs(crowns) < 0.5f) {
      crowns += 0.02f * value_noise(p_mm.x() / 1.7f, p_mm.y() / 1.7f, p_mm.z() / 1.7f, seed_);
    }
    return smooth_min(crowns, gingiva_.at(p_mm, walls), kSulcusBlend);
  }

  Eigen::AlignedBox3f box_mm() const {
    Eigen::AlignedBox3f box;
    for (const PlacedTooth& tooth : teeth_) box.extend(tooth.origin_mm);
    return {box.min() - Eigen::Vector3f(14.0f, 14.0f, 26.0f),
            box.max() + Eigen::Vector3f(14.0f, 14.0f, 3.0f)};
  }

 private:
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

}  // namespace cusp::sim
