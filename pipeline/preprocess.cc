#include "pipeline/preprocess.h"

#include <array>
#include <cmath>
#include <cstddef>

namespace cusp {
namespace {

constexpr std::size_t kRowsAChunk = 16;
constexpr int kRadiusPx = 3;  // of the smoothing
constexpr std::array<float, kRadiusPx + 1> kSpatialWeight = {1.0F, 0.86F, 0.54F, 0.25F};
constexpr int kNormalReachPx = 2;
constexpr float kMinCosIncidence = 0.2F;  // 78 degrees
// A surface may fall away by this many pixel widths a pixel (75 degrees) before it counts as a
// jump.
constexpr float kJumpSlope = 3.7F;
constexpr float kJumpSigmas = 4.0F;
constexpr int kMinNeighbours = 6;  // of 8 that must be measured too

struct Image {
  int width;
  int height;
  float pixel_at_1mm;  // width of a pixel at 1 mm distance

  [[nodiscard]] std::size_t at(int x, int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
           static_cast<std::size_t>(x);
  }
};

// How far a pixel may be off.
struct PixelNoise {
  const DepthFrame& frame;
  const NoiseModel& model;

  [[nodiscard]] float sigma_mm(std::size_t i, float z_mm) const {
    return frame.sigma_mm.empty() ? model.sigma_mm(z_mm) : frame.sigma_mm[i];
  }
};

// Calls work(y) for every row.
template <typename Row>
void for_rows(WorkerPool& pool, int height, Row work) {
  pool.for_chunks(static_cast<std::size_t>(height), kRowsAChunk,
                  [&](std::size_t begin, std::size_t end) {
                    for (std::size_t y = begin; y < end; ++y) work(static_cast<int>(y));
                  });
}

std::vector<float> without_jumps(const std::vector<float>& depth, const Image& image,
                                 const PixelNoise& noise, WorkerPool& pool) {
  std::vector<float> kept(depth.size(), 0.0F);
  for_rows(pool, image.height, [&](int y) {
    if (y == 0 || y == image.height - 1) return;
    for (int x = 1; x + 1 < image.width; ++x) {
      const float z = depth[image.at(x, y)];
      if (z == 0) continue;
      const float jump = kJumpSigmas * noise.sigma_mm(image.at(x, y), z) +
                         kJumpSlope * z * image.pixel_at_1mm * 1.5F;
      int neighbours = 0;
      bool edge = false;
      for (int dy = -1; dy <= 1; ++dy) {
        for (int dx = -1; dx <= 1; ++dx) {
          const float other = depth[image.at(x + dx, y + dy)];
          neighbours += other != 0;
          edge |= other != 0 && std::abs(other - z) > jump;
        }
      }
      // The pixel counted itself as well.
      if (!edge && neighbours > kMinNeighbours) kept[image.at(x, y)] = z;
    }
  });
  return kept;
}

// One pass of the bilateral filter along a row (dx = 1) or a column (dy = 1); Tukey's biweight as
// range kernel.
std::vector<float> smooth_along(const std::vector<float>& depth, const Image& image, int dx, int dy,
                                const PixelNoise& noise, WorkerPool& pool) {
  std::vector<float> smooth(depth.size(), 0.0F);
  const std::ptrdiff_t step = dx + static_cast<std::ptrdiff_t>(dy) * image.width;
  for_rows(pool, image.height, [&](int y) {
    for (int x = 0; x < image.width; ++x) {
      const std::size_t centre = image.at(x, y);
      const float z = depth[centre];
      if (z == 0) continue;
      const float noise_mm = 4.0F * noise.sigma_mm(centre, z);
      const float slope_mm = 2.0F * z * image.pixel_at_1mm;
      float sum = z;
      float weight_sum = 1.0F;
      for (int k = 1; k <= kRadiusPx; ++k) {
        const bool before = dx != 0 ? x >= k : y >= k;
        const bool after = dx != 0 ? x + k < image.width : y + k < image.height;
        // In pairs only, so that a slope is not pulled to one side.
        if (!before || !after) break;
        const float a = depth[centre - static_cast<std::size_t>(k * step)];
        const float b = depth[centre + static_cast<std::size_t>(k * step)];
        const float range = noise_mm + slope_mm * static_cast<float>(k);
        const float ra = (a - z) / range;
        const float rb = (b - z) / range;
        if (a == 0 || b == 0 || ra * ra >= 1 || rb * rb >= 1) break;
        const float wa = (1 - ra * ra) * (1 - ra * ra);
        const float wb = (1 - rb * rb) * (1 - rb * rb);
        const float w = kSpatialWeight[static_cast<std::size_t>(k)] * wa * wb;
        sum += w * (a + b);
        weight_sum += 2 * w;
      }
      smooth[centre] = sum / weight_sum;
    }
  });
  return smooth;
}

class NormalFinder {
 public:
  NormalFinder(const std::vector<float>& depth, const Image& image, const Intrinsics& intrinsics)
      : depth_(depth), image_(image), intrinsics_(intrinsics) {}

  [[nodiscard]] Eigen::Vector3f ray(int x, int y) const {
    return {static_cast<float>((x - intrinsics_.cx_px) / intrinsics_.fx_px),
            static_cast<float>((y - intrinsics_.cy_px) / intrinsics_.fy_px), 1.0F};
  }

  // Zero when the surroundings do not carry one.
  [[nodiscard]] Eigen::Vector3f normal(int x, int y) const {
    for (int reach = kNormalReachPx; reach >= 1; --reach) {
      if (x < reach || y < reach || x + reach >= image_.width || y + reach >= image_.height)
        continue;
      const float left = depth_[image_.at(x - reach, y)];
      const float right = depth_[image_.at(x + reach, y)];
      const float up = depth_[image_.at(x, y - reach)];
      const float down = depth_[image_.at(x, y + reach)];
      if (left == 0 || right == 0 || up == 0 || down == 0) continue;
      const Eigen::Vector3f along_x = ray(x + reach, y) * right - ray(x - reach, y) * left;
      const Eigen::Vector3f along_y = ray(x, y + reach) * down - ray(x, y - reach) * up;
      return along_y.cross(along_x).normalized();
    }
    return Eigen::Vector3f::Zero();
  }

 private:
  const std::vector<float>& depth_;
  const Image& image_;
  const Intrinsics& intrinsics_;
};

}  // namespace

MeasuredSurface preprocess(const DepthFrame& frame, const NoiseModel& model, WorkerPool& pool) {
  const PixelNoise noise{frame, model};
  const Intrinsics& intrinsics = frame.intrinsics;
  const Image image{.width = intrinsics.width_px,
                    .height = intrinsics.height_px,
                    .pixel_at_1mm = static_cast<float>(1.0 / intrinsics.fx_px)};
  const std::vector<float> depth = without_jumps(frame.depth_mm, image, noise, pool);
  const std::vector<float> smooth =
      smooth_along(smooth_along(depth, image, 1, 0, noise, pool), image, 0, 1, noise, pool);

  MeasuredSurface surface{
      .intrinsics = intrinsics,
      .planes = std::vector<Eigen::Vector4f>(depth.size(), Eigen::Vector4f::Zero()),
      .weights = std::vector<float>(depth.size(), 0.0F),
      .fine = {},
      .coarse = {},
      .mean_depth_mm = 0};
  const NormalFinder finder(smooth, image, intrinsics);
  for_rows(pool, image.height, [&](int y) {
    for (int x = 0; x < image.width; ++x) {
      const std::size_t i = image.at(x, y);
      if (depth[i] == 0) continue;
      const Eigen::Vector3f normal = finder.normal(x, y);
      const Eigen::Vector3f ray = finder.ray(x, y);
      const float cos_incidence = -normal.dot(ray) / ray.norm();
      if (!(cos_incidence > kMinCosIncidence)) continue;
      surface.planes[i] = {normal.x(), normal.y(), normal.z(), normal.dot(ray) * depth[i]};
      surface.weights[i] =
          cos_incidence * cos_incidence * model.weight_of(noise.sigma_mm(i, depth[i]));
    }
  });

  double depth_sum = 0;
  for (int y = 0; y < image.height; y += 2) {
    for (int x = 0; x < image.width; x += 2) {
      const std::size_t i = image.at(x, y);
      if (surface.planes[i].w() == 0) continue;
      const SurfaceSample sample{.point_mm = finder.ray(x, y) * smooth[i],
                                 .normal = surface.planes[i].head<3>()};
      surface.fine.push_back(sample);
      if (x % 4 == 0 && y % 4 == 0) surface.coarse.push_back(sample);
      depth_sum += smooth[i];
    }
  }
  if (!surface.fine.empty())
    surface.mean_depth_mm = depth_sum / static_cast<double>(surface.fine.size());
  return surface;
}

}  // namespace cusp
