#include "pipeline/predict.h"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace cusp {
namespace {

constexpr std::size_t kPatchesAChunk = 64;
constexpr std::size_t kPatchesACull = 4096;
constexpr std::size_t kRowsAChunk = 16;
// Half of a square's side, in voxels: vertices of a surface are at most about a voxel apart.
constexpr float kHalfSquare = 0.6F;
constexpr int kWidestSquarePx = 32;
constexpr float kUnitNormal = 127.0F;  // of a vertex

// What wins a pixel: the nearest layer of depth, in it the vertex nearest to the pixel's centre.
// The least depth alone would see every bump of the noise and place the whole surface too near. The
// numbers of the visible patch and of the vertex decide the rest.
constexpr int kVertexBits = 12, kPatchBits = 20, kNameBits = kVertexBits + kPatchBits;
constexpr int kAsideBits = 10;
constexpr float kAsideSteps = (1 << kAsideBits) - 1;
constexpr float kLayerVoxels = 4;
constexpr std::uint64_t kNothing = ~std::uint64_t{0};
static_assert(3 * kBlockVoxels < (1 << kVertexBits), "a voxel has three edges, each with a vertex");

Intrinsics coarser(const Intrinsics& sensor, int step) {
  // Pixel (u, v) of the view is pixel (step * u, step * v) of the sensor.
  return {.width_px = (sensor.width_px + step - 1) / step,
          .height_px = (sensor.height_px + step - 1) / step,
          .fx_px = sensor.fx_px / step,
          .fy_px = sensor.fy_px / step,
          .cx_px = sensor.cx_px / step,
          .cy_px = sensor.cy_px / step};
}

class Splatter {
 public:
  Splatter(const LiveMesh& mesh, ModelView& view, double max_depth_mm)
      : mesh_(mesh),
        view_(view),
        in_(view.intrinsics),
        rotation_(view.model_from_view.linear().transpose().cast<float>()),
        origin_(view.model_from_view.translation()),
        max_depth_mm_(static_cast<float>(max_depth_mm)),
        fx_(static_cast<float>(in_.fx_px)),
        fy_(static_cast<float>(in_.fy_px)),
        cx_(static_cast<float>(in_.cx_px)),
        cy_(static_cast<float>(in_.cy_px)) {}

  // Patches of which something may lie in the frustum, in the mesh's order.
  void find_visible(WorkerPool& pool) {
    const std::size_t chunks = (mesh_.size() + kPatchesACull - 1) / kPatchesACull;
    std::vector<std::vector<std::uint32_t>> found(chunks);
    pool.for_chunks(mesh_.size(), kPatchesACull, [&](std::size_t begin, std::size_t end) {
      std::vector<std::uint32_t>& here = found[begin / kPatchesACull];
      for (std::size_t i = begin; i < end; ++i)
        if (may_be_seen(i)) here.push_back(static_cast<std::uint32_t>(i));
    });
    view_.visible_.clear();
    for (const auto& here : found)
      view_.visible_.insert(view_.visible_.end(), here.begin(), here.end());
    // More than a key can tell apart are not in one view of anything at a sensible voxel.
    if (view_.visible_.size() > (std::size_t{1} << kPatchBits))
      view_.visible_.resize(std::size_t{1} << kPatchBits);
  }

  void draw(std::size_t place) {
    const MeshPatch patch = mesh_.patch(view_.visible_[place]);
    const Eigen::Vector3f first = first_voxel(patch);
    const Eigen::Matrix3f step = rotation_ * (mesh_.voxel_mm() / kPatchSteps);
    const float half_mm = kHalfSquare * mesh_.voxel_mm();
    const float per_layer = 1.0F / (kLayerVoxels * mesh_.voxel_mm());
    const auto width = static_cast<float>(in_.width_px);
    const auto height = static_cast<float>(in_.height_px);
    for (std::size_t k = 0; k < patch.vertices.size(); ++k) {
      const PatchVertex& vertex = patch.vertices[k];
      const Eigen::Vector3f p = first + step * steps_of(vertex);
      if (!(p.z() > 0 && p.z() < max_depth_mm_)) continue;
      if (!((rotation_ * normal_of(vertex)).dot(p) < 0)) continue;
      const float per_z = 1.0F / p.z();
      const float u = p.x() * per_z * fx_ + cx_ + 0.5F;
      const float v = p.y() * per_z * fy_ + cy_ + 0.5F;
      const float half_x = std::max(0.5F, half_mm * fx_ * per_z);
      const float half_y = std::max(0.5F, half_mm * fy_ * per_z);
      if (!(u + half_x > 0.5F && v + half_y > 0.5F && u - half_x < width && v - half_y < height))
        continue;
      if (half_x > kWidestSquarePx || half_y > kWidestSquarePx) continue;
      // Pixels whose centre (x + 0.5 in this count) the square covers.
      const int left = std::max(0, static_cast<int>(u - half_x + 0.5F));
      const int right = std::min(in_.width_px, static_cast<int>(u + half_x + 0.5F));
      const int top = std::max(0, static_cast<int>(v - half_y + 0.5F));
      const int bottom = std::min(in_.height_px, static_cast<int>(v + half_y + 0.5F));
      const auto layer = static_cast<std::uint64_t>(p.z() * per_layer);
      const std::uint64_t name = std::uint64_t{place} << kVertexBits | std::uint64_t{k};
      const float per_half2 =
          kAsideSteps / (2 * std::max(half_x, half_y) * std::max(half_x, half_y));
      for (int y = top; y < bottom; ++y) {
        const float dy = v - (static_cast<float>(y) + 0.5F);
        for (int x = left; x < right; ++x) {
          const float dx = u - (static_cast<float>(x) + 0.5F);
          const auto aside = static_cast<std::uint64_t>((dx * dx + dy * dy) * per_half2);
          offer(x, y, layer << (kNameBits + kAsideBits) | aside << kNameBits | name);
        }
      }
    }
  }

  // The points of a row of pixels; how many there are.
  std::size_t resolve(std::size_t y) {
    const auto width = static_cast<std::size_t>(in_.width_px);
    std::size_t seen = 0;
    for (std::size_t i = y * width; i < (y + 1) * width; ++i) {
      const std::uint64_t key = view_.nearest_[i];
      ModelPoint& point = view_.points[i];
      if (key == kNothing) {
        point = {};
        continue;
      }
      const auto place = static_cast<std::uint32_t>(key) >> kVertexBits;
      const MeshPatch patch = mesh_.patch(view_.visible_[place]);
      const PatchVertex& vertex = patch.vertices[key & ((1U << kVertexBits) - 1)];
      const Eigen::Vector3f p =
          first_voxel(patch) + rotation_ * (mesh_.voxel_mm() / kPatchSteps) * steps_of(vertex);
      const Eigen::Vector3f n = (rotation_ * normal_of(vertex)).normalized();
      point = {
          .x = p.x(), .y = p.y(), .z = p.z(), .seen = 1, .nx = n.x(), .ny = n.y(), .nz = n.z()};
      ++seen;
    }
    return seen;
  }

 private:
  static Eigen::Vector3f steps_of(const PatchVertex& vertex) {
    return {static_cast<float>(vertex.position[0]), static_cast<float>(vertex.position[1]),
            static_cast<float>(vertex.position[2])};
  }
  static Eigen::Vector3f normal_of(const PatchVertex& vertex) {
    return Eigen::Vector3f(vertex.normal[0], vertex.normal[1], vertex.normal[2]) / kUnitNormal;
  }
  // In the view's frame. The difference is taken in double: a room is large beside a voxel.
  [[nodiscard]] Eigen::Vector3f first_voxel(const MeshPatch& patch) const {
    const Eigen::Vector3d in_model =
        patch.block.cast<double>() * (kBlockSide * static_cast<double>(mesh_.voxel_mm()));
    return rotation_ * (in_model - origin_).cast<float>();
  }

  [[nodiscard]] bool may_be_seen(std::size_t i) const {
    const MeshPatch patch = mesh_.patch(i);
    if (patch.vertices.empty()) return false;
    const float half = 0.5F * kBlockSide * mesh_.voxel_mm();
    const float radius = 1.75F * half;  // of the sphere around a block
    const Eigen::Vector3f p = first_voxel(patch) + rotation_ * Eigen::Vector3f::Constant(half);
    if (p.z() + radius <= 0 || p.z() - radius >= max_depth_mm_) return false;
    const float z = std::max(p.z(), radius);
    // Wider than exact at the sides, where rays are longer than z.
    const float reach_x = 1.5F * radius * fx_ / z, reach_y = 1.5F * radius * fy_ / z;
    const float u = p.x() / z * fx_ + cx_, v = p.y() / z * fy_ + cy_;
    return u + reach_x >= 0 && v + reach_y >= 0 && u - reach_x < static_cast<float>(in_.width_px) &&
           v - reach_y < static_cast<float>(in_.height_px);
  }

  void offer(int x, int y, std::uint64_t key) {
    const std::atomic_ref<std::uint64_t> nearest(
        view_.nearest_[static_cast<std::size_t>(y * in_.width_px + x)]);
    std::uint64_t known = nearest.load(std::memory_order_relaxed);
    while (key < known && !nearest.compare_exchange_weak(known, key, std::memory_order_relaxed)) {
    }
  }

  const LiveMesh& mesh_;
  ModelView& view_;
  const Intrinsics in_;
  Eigen::Matrix3f rotation_;  // view_from_model
  Eigen::Vector3d origin_;    // of the view, in the model
  float max_depth_mm_;
  float fx_, fy_, cx_, cy_;
};

}  // namespace

ModelView predict_view(const LiveMesh& mesh, const RigidTransform& model_from_sensor,
                       const Intrinsics& sensor, int step, double max_depth_mm, WorkerPool& pool,
                       ModelView memory) {
  ModelView view = std::move(memory);
  view.intrinsics = coarser(sensor, step);
  view.model_from_view = model_from_sensor;
  const auto height = static_cast<std::size_t>(view.intrinsics.height_px);
  const std::size_t pixels = static_cast<std::size_t>(view.intrinsics.width_px) * height;
  view.points.resize(pixels);
  view.nearest_.assign(pixels, kNothing);

  Splatter splatter(mesh, view, max_depth_mm);
  splatter.find_visible(pool);
  pool.for_chunks(view.visible_.size(), kPatchesAChunk, [&](std::size_t begin, std::size_t end) {
    for (std::size_t place = begin; place < end; ++place) splatter.draw(place);
  });
  view.seen = sum_chunks(pool, height, kRowsAChunk, std::size_t{0},
                         [&](std::size_t begin, std::size_t end) {
                           std::size_t seen = 0;
                           for (std::size_t y = begin; y < end; ++y) seen += splatter.resolve(y);
                           return seen;
                         });
  return view;
}

}  // namespace cusp
