#include "pipeline/adjust_cells.h"

#include <algorithm>
#include <cmath>

namespace cusp {
namespace {

constexpr std::size_t kRowsAChunk = 8;
constexpr int kUsualWidth = 160;       // cells
constexpr int kProbesAcross = 20;      // samples of a frame along x when pairs are searched
constexpr float kMinNormalSum = 0.9F;  // length of the mean normal: beyond, it is an edge
constexpr float kMinOverlap = 0.25F;
constexpr float kMinNormalCos = 0.7F;
constexpr std::size_t kPairsAFrame = 16;  // at most, on average

int pixels_a_cell(const Intrinsics& intrinsics) {
  return std::max(1, (intrinsics.width_px + kUsualWidth / 2) / kUsualWidth);
}

std::int16_t packed(float component) {
  return static_cast<std::int16_t>(std::lround(component * kNormalUnit));
}

struct Probe {
  Eigen::Vector3f point_mm, normal;
};

// A frame as the search for pairs needs it.
struct Outline {
  std::vector<Probe> probes;
  Eigen::Vector3d middle = Eigen::Vector3d::Zero();  // model frame
  double radius_mm = 0;
};

Outline outline_of(const KeyframeCells& frame, const RigidTransform& model_from_sensor,
                   const CellLayout& layout) {
  Outline outline;
  const int step = std::max(1, layout.width / kProbesAcross);
  Eigen::Vector3f sum = Eigen::Vector3f::Zero();
  for (int y = step / 2; y < layout.height; y += step)
    for (int x = step / 2; x < layout.width; x += step) {
      const Cell& cell = frame.cells[static_cast<std::size_t>(y * layout.width + x)];
      if (cell.z_mm == 0) continue;
      const Eigen::Vector3f ray((static_cast<float>(x) - layout.cx) / layout.fx,
                                (static_cast<float>(y) - layout.cy) / layout.fy, 1);
      const Eigen::Vector3f normal(cell.normal[0], cell.normal[1], cell.normal[2]);
      outline.probes.push_back({ray * cell.z_mm, normal / kNormalUnit});
      sum += ray * cell.z_mm;
    }
  if (outline.probes.empty()) return outline;
  const Eigen::Vector3f middle = sum / static_cast<float>(outline.probes.size());
  float radius2 = 0;
  for (const Probe& probe : outline.probes)
    radius2 = std::max(radius2, (probe.point_mm - middle).squaredNorm());
  outline.middle = model_from_sensor * middle.cast<double>();
  outline.radius_mm = std::sqrt(static_cast<double>(radius2));
  return outline;
}

// Share of a's probes that lie on b's surface.
float overlap_of(const Outline& a, const KeyframeCells& b, const RigidTransform& b_from_a,
                 const CellLayout& layout, float search_mm) {
  const Eigen::Matrix3f rotation = b_from_a.linear().cast<float>();
  const Eigen::Vector3f shift = b_from_a.translation().cast<float>();
  int met = 0;
  for (const Probe& probe : a.probes) {
    const Eigen::Vector3f p = rotation * probe.point_mm + shift;
    if (p.z() <= 0) continue;
    const float u = p.x() / p.z() * layout.fx + layout.cx + 0.5F;
    const float v = p.y() / p.z() * layout.fy + layout.cy + 0.5F;
    if (!(u >= 0 && v >= 0 && u < static_cast<float>(layout.width) &&
          v < static_cast<float>(layout.height)))
      continue;
    const Cell& cell =
        b.cells[static_cast<std::size_t>(static_cast<int>(v) * layout.width + static_cast<int>(u))];
    if (cell.z_mm == 0) continue;
    const Eigen::Vector3f normal =
        Eigen::Vector3f(cell.normal[0], cell.normal[1], cell.normal[2]) / kNormalUnit;
    const Eigen::Vector3f q = p * (cell.z_mm / p.z());
    if (std::abs(normal.dot(p - q)) < search_mm &&
        normal.dot(rotation * probe.normal) > kMinNormalCos)
      ++met;
  }
  return static_cast<float>(met) / static_cast<float>(a.probes.size());
}

}  // namespace

CellLayout cell_layout(const Intrinsics& intrinsics) {
  const int size = pixels_a_cell(intrinsics);
  const auto per_cell = static_cast<float>(1.0 / size);
  const double middle = 0.5 * (size - 1);  // of the first cell, in pixels
  return {.width = intrinsics.width_px / size,
          .height = intrinsics.height_px / size,
          .fx = static_cast<float>(intrinsics.fx_px) * per_cell,
          .fy = static_cast<float>(intrinsics.fy_px) * per_cell,
          .cx = static_cast<float>((intrinsics.cx_px - middle) / size),
          .cy = static_cast<float>((intrinsics.cy_px - middle) / size),
          .warp_x = static_cast<float>(2.0 * size / intrinsics.width_px),
          .warp_y = static_cast<float>(2.0 * size / intrinsics.height_px),
          .warp_x0 = static_cast<float>((2 * middle + 1) / intrinsics.width_px - 1),
          .warp_y0 = static_cast<float>((2 * middle + 1) / intrinsics.height_px - 1)};
}

KeyframeCells cells_of(const MeasuredSurface& surface, const CellLayout& layout, WorkerPool& pool) {
  const int size = pixels_a_cell(surface.intrinsics);
  const auto width = static_cast<std::size_t>(surface.intrinsics.width_px);
  KeyframeCells result;
  result.cells.resize(static_cast<std::size_t>(layout.width) *
                      static_cast<std::size_t>(layout.height));
  // Of some rows: sum of the depths, and how many.
  struct Depths {
    double sum_mm = 0;
    std::size_t count = 0;
    Depths& operator+=(const Depths& other) {
      sum_mm += other.sum_mm;
      count += other.count;
      return *this;
    }
  };
  const auto measure_row = [&](int y, Depths& depths) {
    for (int x = 0; x < layout.width; ++x) {
      const Eigen::Vector3f ray((static_cast<float>(x) - layout.cx) / layout.fx,
                                (static_cast<float>(y) - layout.cy) / layout.fy, 1);
      Eigen::Vector3f normal_sum = Eigen::Vector3f::Zero();
      float z_sum = 0, weight_sum = 0;
      int count = 0;
      for (int j = 0; j < size; ++j)
        for (int i = 0; i < size; ++i) {
          const std::size_t at = static_cast<std::size_t>(y * size + j) * width +
                                 static_cast<std::size_t>(x * size + i);
          const Eigen::Vector4f& plane = surface.planes[at];
          const float z = plane.w() / plane.head<3>().dot(ray);
          const float weight = surface.weights[at];
          if (!(z > 0 && std::isfinite(z) && weight > 0)) continue;
          normal_sum += weight * plane.head<3>();
          z_sum += weight * z;
          weight_sum += weight;
          ++count;
        }
      if (2 * count < size * size || count == 0) continue;
      const float length = normal_sum.norm();
      if (!(length > kMinNormalSum * weight_sum)) continue;
      const Eigen::Vector3f normal = normal_sum / length;
      const float weight = weight_sum / static_cast<float>(count);
      Cell& cell = result.cells[static_cast<std::size_t>(y * layout.width + x)];
      cell.z_mm = z_sum / weight_sum;
      cell.normal = {packed(normal.x()), packed(normal.y()), packed(normal.z())};
      cell.weight = static_cast<std::uint16_t>(std::clamp(weight * kWeightUnit, 1.0F, 65535.0F));
      depths.sum_mm += static_cast<double>(cell.z_mm);
      ++depths.count;
    }
  };
  const Depths depths = sum_chunks(pool, static_cast<std::size_t>(layout.height), kRowsAChunk,
                                   Depths{}, [&](std::size_t begin, std::size_t end) {
                                     Depths sums;
                                     for (std::size_t y = begin; y < end; ++y)
                                       measure_row(static_cast<int>(y), sums);
                                     return sums;
                                   });
  if (depths.count > 0)
    result.middle_mm = static_cast<float>(depths.sum_mm / static_cast<double>(depths.count));
  return result;
}

std::vector<FramePair> find_pairs(const std::vector<KeyframeCells>& frames,
                                  const std::vector<RigidTransform>& model_from_sensor,
                                  const CellLayout& layout, double search_mm, WorkerPool& pool) {
  std::vector<Outline> outlines(frames.size());
  pool.for_chunks(frames.size(), 8, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      outlines[i] = outline_of(frames[i], model_from_sensor[i], layout);
  });
  std::vector<std::vector<FramePair>> found(frames.size());
  pool.for_chunks(frames.size(), 4, [&](std::size_t begin, std::size_t end) {
    for (std::size_t b = begin; b < end; ++b)
      for (std::size_t a = 0; a < b; ++a) {
        const double apart_mm = (outlines[a].middle - outlines[b].middle).norm();
        if (outlines[a].probes.empty() || outlines[b].probes.empty() ||
            apart_mm > outlines[a].radius_mm + outlines[b].radius_mm)
          continue;
        const float overlap = overlap_of(outlines[a], frames[b],
                                         model_from_sensor[b].inverse() * model_from_sensor[a],
                                         layout, static_cast<float>(search_mm));
        if (overlap >= kMinOverlap) found[b].push_back({a, b, overlap});
      }
  });
  // Where frames stand close, neighbours in time see the same from the same side: every n-th is
  // enough, besides the very last one, which holds the chain together.
  std::size_t count = 0;
  for (const auto& of_frame : found) count += of_frame.size();
  const std::size_t enough = kPairsAFrame * frames.size();
  const std::size_t every = std::max<std::size_t>(1, (count + enough - 1) / enough);
  std::vector<FramePair> pairs;
  for (std::size_t b = 0; b < found.size(); ++b)
    for (std::size_t k = 0; k < found[b].size(); ++k)
      if ((k + b) % every == 0 || k + 1 == found[b].size()) pairs.push_back(found[b][k]);
  return pairs;
}

}  // namespace cusp
