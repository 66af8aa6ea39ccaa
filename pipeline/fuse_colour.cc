#include "pipeline/fuse_colour.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace cusp {
namespace {

constexpr std::size_t kBlocksAChunk = 64;
// Voxels whose colour a vertex can take lie within one edge of the surface.
constexpr float kNearVoxels = 1.5F;

class Painter {
 public:
  Painter(const MeasuredSurface& surface, const RigidTransform& model_from_sensor, Volume& volume)
      : surface_(surface),
        volume_(volume),
        sensor_from_model_(model_from_sensor.inverse().cast<float>()),
        near_mm_(kNearVoxels * volume.voxel_mm()),
        near_steps_(static_cast<int>(near_mm_ * kDistanceSteps / volume.truncation_mm())),
        fx_(static_cast<float>(surface.intrinsics.fx_px)),
        fy_(static_cast<float>(surface.intrinsics.fy_px)),
        cx_(static_cast<float>(surface.intrinsics.cx_px + 0.5)),
        cy_(static_cast<float>(surface.intrinsics.cy_px + 0.5)) {}

  void paint(std::uint32_t number) const {
    ColourBlock* colours = volume_.colours(number);
    if (colours == nullptr) return;
    const Block& block = volume_.block(number);
    const Eigen::Vector3i first = volume_.info(number).index * kBlockSide;
    for (std::size_t k = 0; k < kBlockVoxels; ++k) {
      if (block.weight[k] == 0 || std::abs(block.distance[k]) > near_steps_) continue;
      const auto i = static_cast<int>(k);
      const Eigen::Vector3i voxel = first + Eigen::Vector3i(i & 7, i >> 3 & 7, i >> 6);
      if (const std::uint8_t* rgb = seen_at(voxel.cast<float>() * volume_.voxel_mm()))
        mix((*colours)[k], rgb);
    }
  }

 private:
  // The colour of the pixel that sees the point; nullptr: none does.
  [[nodiscard]] const std::uint8_t* seen_at(const Eigen::Vector3f& p_in_model) const {
    const Eigen::Vector3f p = sensor_from_model_ * p_in_model;
    const Intrinsics& in = surface_.intrinsics;
    if (!(p.z() > 0)) return nullptr;
    const float u = p.x() / p.z() * fx_ + cx_;
    const float v = p.y() / p.z() * fy_ + cy_;
    if (!(u >= 0 && v >= 0 && u < static_cast<float>(in.width_px) &&
          v < static_cast<float>(in.height_px)))
      return nullptr;
    const std::size_t pixel = static_cast<std::size_t>(v) * static_cast<std::size_t>(in.width_px) +
                              static_cast<std::size_t>(u);
    const Eigen::Vector4f& plane = surface_.planes[pixel];
    if (!(plane.w() != 0 && std::abs(plane.head<3>().dot(p) - plane.w()) < near_mm_))
      return nullptr;
    const std::uint8_t* rgb = &surface_.rgb[3 * pixel];
    return (rgb[0] | rgb[1] | rgb[2]) == 0 ? nullptr : rgb;
  }

  static void mix(ColouredVoxel& voxel, const std::uint8_t* rgb) {
    const int sum = voxel.weight + 1;
    for (std::size_t c = 0; c < 3; ++c) {
      // To the nearest, away from the old value at a tie: steps would else be lost to one side.
      const int old = voxel.rgb[c];
      const int twice = 2 * (rgb[c] - old);
      const int step = (twice + (twice < 0 ? -sum : sum)) / (2 * sum);
      voxel.rgb[c] = static_cast<std::uint8_t>(old + step);
    }
    voxel.weight = static_cast<std::uint8_t>(std::min(sum, kMaxColourWeight));
  }

  const MeasuredSurface& surface_;
  Volume& volume_;
  Eigen::Transform<float, 3, Eigen::Isometry> sensor_from_model_;
  float near_mm_;
  int near_steps_;
  float fx_, fy_, cx_, cy_;
};

}  // namespace

void fuse_colour(const MeasuredSurface& surface, const RigidTransform& model_from_sensor,
                 std::span<const std::uint32_t> blocks, Volume& volume, WorkerPool& pool) {
  if (surface.rgb.size() != 3 * surface.planes.size() || surface.rgb.empty()) return;
  for (const std::uint32_t number : blocks) {
    const BlockInfo& info = volume.info(number);
    if (info.lowest < 0 && info.highest > 0) volume.add_colours(number);
  }
  const Painter painter(surface, model_from_sensor, volume);
  pool.for_chunks(blocks.size(), kBlocksAChunk, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) painter.paint(blocks[i]);
  });
}

}  // namespace cusp
