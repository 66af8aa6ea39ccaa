#include "pipeline/fuse.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace cusp {
namespace {

constexpr std::size_t kBlocksAChunk = 32;
constexpr float kFreeSpaceShare = 0.25F;  // of a pixel's weight
constexpr int kPixelStep = 2;             // a block spans several pixels: every other one finds it

struct Rigid {
  Eigen::Matrix3f rotation;
  Eigen::Vector3f translation;

  explicit Rigid(const RigidTransform& transform)
      : rotation(transform.rotation().cast<float>()),
        translation(transform.translation().cast<float>()) {}
  Eigen::Vector3f operator*(const Eigen::Vector3f& p) const { return rotation * p + translation; }
};

// Blocks that the band around the surface passes through, made where they are missing.
Result<void> touch_blocks(const MeasuredSurface& surface, const RigidTransform& model_from_sensor,
                          Volume& volume, std::vector<bool>& touched) {
  const Rigid to_model(model_from_sensor);
  const Intrinsics& in = surface.intrinsics;
  const float per_block = 1.0F / volume.block_mm();
  const float half_voxel = 0.5F * volume.voxel_mm();
  const float band = volume.truncation_mm();
  const int steps = static_cast<int>(std::ceil(2 * band / (0.5F * volume.block_mm())));
  Eigen::Vector3i last = Eigen::Vector3i::Constant(std::numeric_limits<int>::max());
  for (int y = 0; y < in.height_px; y += kPixelStep) {
    for (int x = 0; x < in.width_px; x += kPixelStep) {
      const Eigen::Vector4f& plane =
          surface.planes[static_cast<std::size_t>(y) * static_cast<std::size_t>(in.width_px) +
                         static_cast<std::size_t>(x)];
      if (plane.w() == 0) continue;
      const Eigen::Vector3f normal = plane.head<3>();
      const Eigen::Vector3f ray(static_cast<float>((x - in.cx_px) / in.fx_px),
                                static_cast<float>((y - in.cy_px) / in.fy_px), 1.0F);
      const Eigen::Vector3f point = to_model * (ray * (plane.w() / normal.dot(ray)));
      const Eigen::Vector3f across = to_model.rotation * normal;
      for (int k = 0; k <= steps; ++k) {
        const float offset = band * (2.0F * static_cast<float>(k) / static_cast<float>(steps) - 1);
        const Eigen::Vector3f p =
            (point + offset * across + Eigen::Vector3f::Constant(half_voxel)) * per_block;
        const Eigen::Vector3i index(floor_to_int(p.x()), floor_to_int(p.y()), floor_to_int(p.z()));
        if (index == last) continue;
        last = index;
        const std::size_t block = volume.find_or_add(index);
        if (block == Volume::kNone)
          return error(ErrorCode::kNoSpace,
                       "scan volume: its memory budget is used up after {} MiB; "
                       "finish this scan or use larger voxels",
                       volume.bytes() >> 20);
        if (block >= touched.size()) touched.resize(block + 1, false);
        touched[block] = true;
      }
    }
  }
  return {};
}

class Integrator {
 public:
  Integrator(const MeasuredSurface& surface, const RigidTransform& model_from_sensor,
             Volume& volume)
      : surface_(surface),
        to_sensor_(model_from_sensor.inverse()),
        volume_(volume),
        fx_(static_cast<float>(surface.intrinsics.fx_px)),
        fy_(static_cast<float>(surface.intrinsics.fy_px)),
        // Half a pixel more: truncation then finds the nearest pixel.
        cx_(static_cast<float>(surface.intrinsics.cx_px + 0.5)),
        cy_(static_cast<float>(surface.intrinsics.cy_px + 0.5)),
        width_(surface.intrinsics.width_px),
        height_(surface.intrinsics.height_px) {}

  // Is the middle of the block in free space? Then what it holds may have to go.
  [[nodiscard]] bool seen_through(const Block& block) const {
    const Eigen::Vector3f middle =
        (block.index.cast<float>() * kBlockSide + Eigen::Vector3f::Constant(3.5F)) *
        volume_.voxel_mm();
    const Eigen::Vector3f p = to_sensor_ * middle;
    const int pixel = pixel_of(p);
    if (pixel < 0) return false;
    const Eigen::Vector4f& plane = surface_.planes[static_cast<std::size_t>(pixel)];
    return plane.w() != 0 && plane.head<3>().dot(p) - plane.w() > volume_.truncation_mm();
  }

  void update(Block& block) const {
    const float voxel_mm = volume_.voxel_mm();
    const Eigen::Vector3f step = to_sensor_.rotation.col(0) * voxel_mm;
    Voxel* row = block.voxels.data();
    for (int z = 0; z < kBlockSide; ++z) {
      for (int y = 0; y < kBlockSide; ++y, row += kBlockSide) {
        const Eigen::Vector3f start =
            (block.index * kBlockSide + Eigen::Vector3i(0, y, z)).cast<float>() * voxel_mm;
        update_row(row, to_sensor_ * start, step);
      }
    }
  }

 private:
  // Nearest pixel, or -1 outside the image.
  [[nodiscard]] int pixel_of(const Eigen::Vector3f& p_in_sensor) const {
    if (!(p_in_sensor.z() > 0)) return -1;
    const float per_z = 1.0F / p_in_sensor.z();
    return pixel_at(p_in_sensor.x() * per_z * fx_ + cx_, p_in_sensor.y() * per_z * fy_ + cy_);
  }
  [[nodiscard]] int pixel_at(float u, float v) const {
    if (!(u >= 0 && v >= 0 && u < static_cast<float>(width_) && v < static_cast<float>(height_)))
      return -1;
    return static_cast<int>(v) * width_ + static_cast<int>(u);
  }

  // Projection of a row first, in arrays that the compiler turns into vector code; then voxel by
  // voxel.
  void update_row(Voxel* row, const Eigen::Vector3f& start, const Eigen::Vector3f& step) const {
    constexpr std::size_t kRow = kBlockSide;
    std::array<float, kRow> px;
    std::array<float, kRow> py;
    std::array<float, kRow> pz;
    std::array<float, kRow> u;
    std::array<float, kRow> v;
    for (std::size_t i = 0; i < kRow; ++i) {
      const auto x = static_cast<float>(static_cast<int>(i));
      px[i] = start.x() + x * step.x();
      py[i] = start.y() + x * step.y();
      pz[i] = start.z() + x * step.z();
      const float per_z = 1.0F / pz[i];
      u[i] = px[i] * per_z * fx_ + cx_;
      v[i] = py[i] * per_z * fy_ + cy_;
    }
    const float band = volume_.truncation_mm();
    for (std::size_t i = 0; i < kRow; ++i) {
      if (!(pz[i] > 0)) continue;
      const int pixel = pixel_at(u[i], v[i]);
      if (pixel < 0) continue;
      const Eigen::Vector4f& plane = surface_.planes[static_cast<std::size_t>(pixel)];
      float distance = plane.x() * px[i] + plane.y() * py[i] + plane.z() * pz[i] - plane.w();
      if (distance < -band || plane.w() == 0) continue;
      float weight = surface_.weights[static_cast<std::size_t>(pixel)];
      Voxel& voxel = row[i];
      if (distance > band) {
        if (voxel.weight == 0) continue;
        distance = band;
        weight *= kFreeSpaceShare;
      }
      const float sum = voxel.weight + weight;
      voxel.distance_mm += (distance - voxel.distance_mm) * (weight / sum);
      voxel.weight = std::min(sum, kMaxVoxelWeight);
    }
  }

  const MeasuredSurface& surface_;
  Rigid to_sensor_;
  const Volume& volume_;
  float fx_, fy_, cx_, cy_;
  int width_, height_;
};

}  // namespace

Result<void> fuse(const MeasuredSurface& surface, const RigidTransform& model_from_sensor,
                  Volume& volume, WorkerPool& pool) {
  std::vector<bool> touched(volume.size(), false);
  CUSP_TRY(touch_blocks(surface, model_from_sensor, volume, touched));
  const Integrator integrator(surface, model_from_sensor, volume);
  pool.for_chunks(volume.size(), kBlocksAChunk, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      Block& block = volume.block(i);
      if (touched[i] || integrator.seen_through(block)) integrator.update(block);
    }
  });
  return {};
}

}  // namespace cusp
