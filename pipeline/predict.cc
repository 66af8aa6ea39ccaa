#include "pipeline/predict.h"

#include <algorithm>
#include <cstddef>

namespace cusp {
namespace {

constexpr std::size_t kPatchesAChunk = 64;
constexpr std::size_t kPatchesACull = 4096;
constexpr std::size_t kRowsAChunk = 16;
// Half of a square's side, in voxels: vertices of a surface are at most about a voxel apart.
constexpr float kHalfSquare = 0.6F;
// Where voxels are smaller than pixels not all vertices are drawn: so many a pixel are enough, and
// a voxel of surface has about two.
constexpr float kVerticesAPixel = 1.5F, kVerticesAVoxel = 2;
constexpr float kMostSkipped = 8;
constexpr float kLayerVoxels = 4;  // of depth, in which the vertex nearest to the centre wins

Intrinsics coarser(const Intrinsics& sensor, int step) {
  // Pixel (u, v) of the view is pixel (step * u, step * v) of what it was made of.
  return {.width_px = (sensor.width_px + step - 1) / step,
          .height_px = (sensor.height_px + step - 1) / step,
          .fx_px = sensor.fx_px / step,
          .fy_px = sensor.fy_px / step,
          .cx_px = sensor.cx_px / step,
          .cy_px = sensor.cy_px / step};
}

// Patches of which something may lie in the frustum.
class Frustum {
 public:
  Frustum(const LiveMesh& mesh, const ModelView& view, double max_depth_mm)
      : mesh_(mesh),
        rotation_(view.model_from_view.linear().transpose().cast<float>()),
        origin_(view.model_from_view.translation()),
        max_depth_mm_(static_cast<float>(max_depth_mm)),
        width_(static_cast<float>(view.intrinsics.width_px)),
        height_(static_cast<float>(view.intrinsics.height_px)),
        fx_(static_cast<float>(view.intrinsics.fx_px)),
        fy_(static_cast<float>(view.intrinsics.fy_px)),
        cx_(static_cast<float>(view.intrinsics.cx_px)),
        cy_(static_cast<float>(view.intrinsics.cy_px)) {}

  // In the mesh's order.
  void find(WorkerPool& pool, std::vector<SplatPatch>& visible) const {
    const std::size_t chunks = (mesh_.size() + kPatchesACull - 1) / kPatchesACull;
    std::vector<std::vector<SplatPatch>> found(chunks);
    pool.for_chunks(mesh_.size(), kPatchesACull, [&](std::size_t begin, std::size_t end) {
      std::vector<SplatPatch>& here = found[begin / kPatchesACull];
      for (std::size_t i = begin; i < end; ++i) add(i, here);
    });
    visible.clear();
    for (const auto& here : found) visible.insert(visible.end(), here.begin(), here.end());
    // More than a key can tell apart are not in one view of anything at a sensible voxel.
    if (visible.size() > (std::size_t{1} << kPatchBits))
      visible.resize(std::size_t{1} << kPatchBits);
  }

 private:
  void add(std::size_t i, std::vector<SplatPatch>& found) const {
    const MeshPatch patch = mesh_.patch(i);
    if (patch.vertices.empty()) return;
    // The difference is taken in double: a room is large beside a voxel.
    const Eigen::Vector3d in_model =
        patch.block.cast<double>() * (kBlockSide * static_cast<double>(mesh_.voxel_mm()));
    const Eigen::Vector3f first = (in_model - origin_).cast<float>();
    const float half = 0.5F * kBlockSide * mesh_.voxel_mm();
    const float radius = 1.75F * half;  // of the sphere around a block
    const Eigen::Vector3f p = rotation_ * (first + Eigen::Vector3f::Constant(half));
    if (p.z() + radius <= 0 || p.z() - radius >= max_depth_mm_) return;
    const float z = std::max(p.z(), radius);
    // Wider than exact at the sides, where rays are longer than z.
    const float reach_x = 1.5F * radius * fx_ / z, reach_y = 1.5F * radius * fy_ / z;
    const float u = p.x() / z * fx_ + cx_, v = p.y() / z * fy_ + cy_;
    if (u + reach_x < 0 || v + reach_y < 0 || u - reach_x >= width_ || v - reach_y >= height_)
      return;
    const float voxel_px = mesh_.voxel_mm() * std::min(fx_, fy_) / z;
    const float spare = kVerticesAVoxel / (kVerticesAPixel * voxel_px * voxel_px);
    found.push_back({.vertices = patch.vertices.data(),
                     .count = static_cast<std::uint32_t>(patch.vertices.size()),
                     .every = static_cast<std::uint32_t>(std::clamp(spare, 1.0F, kMostSkipped)),
                     .first_mm = {first.x(), first.y(), first.z()}});
  }

  const LiveMesh& mesh_;
  Eigen::Matrix3f rotation_;  // view_from_model
  Eigen::Vector3d origin_;    // of the view, in the model
  float max_depth_mm_;
  float width_, height_, fx_, fy_, cx_, cy_;
};

// Patches lie anywhere in memory: the next is on its way while one is drawn.
void prefetch(const SplatPatch& patch) {
  constexpr std::size_t kLineBytes = 64;
  const auto* bytes = reinterpret_cast<const std::byte*>(patch.vertices);
  for (std::size_t at = 0; at < patch.count * sizeof(PatchVertex); at += kLineBytes)
    __builtin_prefetch(bytes + at);
}

SplatView splat_view(ModelView& view, float voxel_mm, double max_depth_mm) {
  const Intrinsics& in = view.intrinsics;
  SplatView splat{.width = in.width_px,
                  .height = in.height_px,
                  .fx_px = static_cast<float>(in.fx_px),
                  .fy_px = static_cast<float>(in.fy_px),
                  .cx_px = static_cast<float>(in.cx_px + 0.5),
                  .cy_px = static_cast<float>(in.cy_px + 0.5),
                  .step_mm = voxel_mm / kPatchSteps,
                  .max_depth_mm = static_cast<float>(max_depth_mm),
                  .half_mm = kHalfSquare * voxel_mm,
                  .layers_a_mm = 1.0F / (kLayerVoxels * voxel_mm),
                  .nearest = view.nearest_.data()};
  const Eigen::Matrix3d rotation = view.model_from_view.linear().transpose();
  for (int row = 0; row < 3; ++row)
    for (int column = 0; column < 3; ++column)
      splat.rotation[static_cast<std::size_t>(3 * row + column)] =
          static_cast<float>(rotation(row, column));
  return splat;
}

}  // namespace

ModelView predict_view(const LiveMesh& mesh, const RigidTransform& model_from_sensor,
                       const Intrinsics& seen, int step, double max_depth_mm, WorkerPool& pool,
                       ModelView memory) {
  ModelView view = std::move(memory);
  view.intrinsics = coarser(seen, step);
  view.model_from_view = model_from_sensor;
  const auto height = static_cast<std::size_t>(view.intrinsics.height_px);
  const std::size_t pixels = static_cast<std::size_t>(view.intrinsics.width_px) * height;
  view.points.resize(pixels);
  view.nearest_.assign(pixels, kNothingSeen);

  static const SplatKernel kernel = splat_kernel();
  Frustum(mesh, view, max_depth_mm).find(pool, view.visible_);
  const SplatView splat = splat_view(view, mesh.voxel_mm(), max_depth_mm);
  pool.for_chunks(view.visible_.size(), kPatchesAChunk, [&](std::size_t begin, std::size_t end) {
    for (std::size_t place = begin; place < end; ++place) {
      if (place + 1 < end) prefetch(view.visible_[place + 1]);
      kernel.draw(splat, view.visible_[place], place);
    }
  });
  view.seen = sum_chunks(
      pool, height, kRowsAChunk, std::size_t{0}, [&](std::size_t begin, std::size_t end) {
        std::size_t count = 0;
        for (std::size_t y = begin; y < end; ++y)
          count += kernel.resolve(splat, view.visible_.data(), y,
                                  view.points.data() + y * static_cast<std::size_t>(splat.width));
        return count;
      });
  return view;
}

std::vector<std::array<std::uint8_t, 3>> colours_of(const ModelView& view) {
  std::vector<std::array<std::uint8_t, 3>> colours(view.nearest_.size());
  for (std::size_t i = 0; i < colours.size(); ++i) {
    const std::uint64_t key = view.nearest_[i];
    if (key == kNothingSeen) continue;
    const SplatPatch& patch = view.visible_[static_cast<std::uint32_t>(key) >> kVertexBits];
    colours[i] = patch.vertices[key & ((1U << kVertexBits) - 1)].rgb;
  }
  return colours;
}

}  // namespace cusp
