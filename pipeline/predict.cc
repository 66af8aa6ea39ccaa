#include "pipeline/predict.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace cusp {
namespace {

constexpr int kTilePx = 8;  // of the view: where rays begin and end is known a tile each
constexpr std::size_t kRowsAChunk = 8;

struct Hit {
  Eigen::Vector3f point_mm, normal;  // model frame
};

struct Span {
  float near_mm = std::numeric_limits<float>::max();
  float far_mm = 0;
};

Intrinsics coarser(const Intrinsics& sensor, int step) {
  // Pixel (u, v) of the view is pixel (step * u, step * v) of the sensor.
  return {.width_px = (sensor.width_px + step - 1) / step,
          .height_px = (sensor.height_px + step - 1) / step,
          .fx_px = sensor.fx_px / step,
          .fy_px = sensor.fy_px / step,
          .cx_px = sensor.cx_px / step,
          .cy_px = sensor.cy_px / step};
}

class RayCaster {
 public:
  RayCaster(const Volume& volume, const ModelView& view, double max_depth_mm)
      : volume_(volume),
        in_(view.intrinsics),
        rotation_(view.model_from_view.rotation().cast<float>()),
        origin_(view.model_from_view.translation().cast<float>()),
        max_depth_mm_(static_cast<float>(max_depth_mm)),
        tiles_x_((in_.width_px + kTilePx - 1) / kTilePx),
        tiles_y_((in_.height_px + kTilePx - 1) / kTilePx),
        spans_(static_cast<std::size_t>(tiles_x_ * tiles_y_)) {
    find_spans();
  }

  [[nodiscard]] bool cast(int x, int y, VolumeReader& reader, Hit& hit) const {
    const Span& span = spans_[static_cast<std::size_t>((y / kTilePx) * tiles_x_ + x / kTilePx)];
    if (span.far_mm == 0) return false;
    const Eigen::Vector3f direction =
        rotation_ * Eigen::Vector3f(static_cast<float>((x - in_.cx_px) / in_.fx_px),
                                    static_cast<float>((y - in_.cy_px) / in_.fy_px), 1.0F);
    const float stretch = direction.norm();  // mm along the ray for 1 mm of depth
    const float voxel = volume_.voxel_mm() / stretch;
    const float per_voxel = 1.0F / volume_.voxel_mm();
    float z = span.near_mm;
    float last_z = z;
    bool was_outside = false;
    while (z < span.far_mm) {
      const Eigen::Vector3f p =
          (origin_ + z * direction) * per_voxel + Eigen::Vector3f::Constant(0.5F);
      const Eigen::Vector3i nearest(floor_to_int(p.x()), floor_to_int(p.y()), floor_to_int(p.z()));
      const Block* block = reader.block_at(nearest);
      if (block == nullptr) {
        was_outside = false;
        z += way_out(p, block_of_voxel(nearest), direction) * volume_.voxel_mm() + 0.5F * voxel;
        continue;
      }
      const Voxel at =
          volume_.voxel(*block, Block::at(nearest.x() & 7, nearest.y() & 7, nearest.z() & 7));
      if (at.weight == 0) {
        was_outside = false;
        z += 2 * voxel;
        continue;
      }
      if (at.distance_mm < 0) {
        if (was_outside && refine(last_z, z, direction, reader, hit)) return true;
        was_outside = false;
        z += voxel;
        continue;
      }
      was_outside = true;
      last_z = z;
      // The distance is to the surface, the step along the ray: never longer than that.
      z += std::max(voxel, 0.8F * at.distance_mm / stretch);
    }
    return false;
  }

 private:
  // From p (in voxels, shifted by half of one) to where the ray leaves the block, in voxels of
  // depth.
  static float way_out(const Eigen::Vector3f& p, const Eigen::Vector3i& block,
                       const Eigen::Vector3f& direction) {
    float way = std::numeric_limits<float>::max();
    for (int axis = 0; axis < 3; ++axis) {
      if (direction[axis] == 0) continue;
      const int face = (block[axis] + (direction[axis] > 0 ? 1 : 0)) * kBlockSide;
      way = std::min(way, (static_cast<float>(face) - p[axis]) / direction[axis]);
    }
    return std::max(way, 0.0F);
  }

  void find_spans() {
    const RigidTransform view_from_model =
        RigidTransform(Eigen::Translation3d(origin_.cast<double>()) *
                       Eigen::Quaterniond(rotation_.cast<double>()))
            .inverse();
    const Eigen::Matrix3f rotation = view_from_model.rotation().cast<float>();
    const Eigen::Vector3f translation = view_from_model.translation().cast<float>();
    const float radius = 0.5F * std::sqrt(3.0F) * volume_.block_mm();
    const auto fx = static_cast<float>(in_.fx_px);
    const auto fy = static_cast<float>(in_.fy_px);
    const auto cx = static_cast<float>(in_.cx_px);
    const auto cy = static_cast<float>(in_.cy_px);
    for (std::size_t i = 0; i < volume_.size(); ++i) {
      const Eigen::Vector3f middle =
          (volume_.info(i).index.cast<float>() * kBlockSide + Eigen::Vector3f::Constant(3.5F)) *
          volume_.voxel_mm();
      const Eigen::Vector3f p = rotation * middle + translation;
      const float near = p.z() - radius;
      if (near <= 0 || near > max_depth_mm_) continue;
      const float reach_x = radius * fx / near;
      const float reach_y = radius * fy / near;
      const float u = p.x() / p.z() * fx + cx;
      const float v = p.y() / p.z() * fy + cy;
      if (!(u + reach_x >= 0 && v + reach_y >= 0 &&
            u - reach_x < static_cast<float>(in_.width_px) &&
            v - reach_y < static_cast<float>(in_.height_px)))
        continue;
      const int left = std::max(0, floor_to_int(u - reach_x) / kTilePx);
      const int right = std::min(tiles_x_ - 1, floor_to_int(u + reach_x) / kTilePx);
      const int top = std::max(0, floor_to_int(v - reach_y) / kTilePx);
      const int bottom = std::min(tiles_y_ - 1, floor_to_int(v + reach_y) / kTilePx);
      for (int ty = top; ty <= bottom; ++ty) {
        for (int tx = left; tx <= right; ++tx) {
          Span& span = spans_[static_cast<std::size_t>(ty * tiles_x_ + tx)];
          span.near_mm = std::min(span.near_mm, near);
          span.far_mm = std::max(span.far_mm, p.z() + radius);
        }
      }
    }
  }

  // Where the field crosses zero between two depths on the ray.
  [[nodiscard]] bool refine(float outside_z, float inside_z, const Eigen::Vector3f& direction,
                            VolumeReader& reader, Hit& hit) const {
    float outside = 0;
    float inside = 0;
    if (!reader.interpolate(origin_ + outside_z * direction, outside) ||
        !reader.interpolate(origin_ + inside_z * direction, inside) || outside <= inside)
      return false;
    // The nearest voxel steered the ray here: the interpolated field may cross zero a little
    // outside the step.
    const float share = std::clamp(outside / (outside - inside), -1.0F, 2.0F);
    const Eigen::Vector3f near = origin_ + (outside_z + share * (inside_z - outside_z)) * direction;
    float rest = 0;
    if (!reader.interpolate(near, rest) || !reader.normal(near, hit.normal)) return false;
    // What is left goes along the normal: along a grazing ray the field is bent, but it is still a
    // distance.
    hit.point_mm = near - rest * hit.normal;
    return hit.normal.dot(direction) < 0;
  }

  const Volume& volume_;
  const Intrinsics& in_;
  Eigen::Matrix3f rotation_;
  Eigen::Vector3f origin_;
  float max_depth_mm_;
  int tiles_x_;
  int tiles_y_;
  std::vector<Span> spans_;
};

}  // namespace

ModelView predict_view(const Volume& volume, const RigidTransform& model_from_sensor,
                       const Intrinsics& sensor, int step, double max_depth_mm, WorkerPool& pool) {
  ModelView view{.intrinsics = coarser(sensor, step),
                 .model_from_view = model_from_sensor,
                 .points = {},
                 .seen = 0};
  const auto width = static_cast<std::size_t>(view.intrinsics.width_px);
  const auto height = static_cast<std::size_t>(view.intrinsics.height_px);
  view.points.resize(width * height);
  const RayCaster caster(volume, view, max_depth_mm);
  const RigidTransform view_from_model = model_from_sensor.inverse();
  const Eigen::Matrix3f rotation = view_from_model.rotation().cast<float>();
  const Eigen::Vector3f shift = view_from_model.translation().cast<float>();
  view.seen = sum_chunks(
      pool, height, kRowsAChunk, std::size_t{0}, [&](std::size_t begin, std::size_t end) {
        VolumeReader reader(volume);
        std::size_t seen = 0;
        for (std::size_t y = begin; y < end; ++y) {
          for (std::size_t x = 0; x < width; ++x) {
            Hit hit;
            if (!caster.cast(static_cast<int>(x), static_cast<int>(y), reader, hit)) continue;
            const Eigen::Vector3f p = rotation * hit.point_mm + shift;
            const Eigen::Vector3f n = rotation * hit.normal;
            view.points[y * width + x] = {.x = p.x(),
                                          .y = p.y(),
                                          .z = p.z(),
                                          .seen = 1,
                                          .nx = n.x(),
                                          .ny = n.y(),
                                          .nz = n.z()};
            ++seen;
          }
        }
        return seen;
      });
  return view;
}

}  // namespace cusp
