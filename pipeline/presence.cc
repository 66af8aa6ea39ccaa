#include "pipeline/presence.h"

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "pipeline/clean.h"
#include "pipeline/edit_marks.h"
#include "pipeline/point_groups.h"

namespace cusp {
namespace {

constexpr std::size_t kFrameStep = 2;  // every second kept frame is asked
constexpr float kMinCosine = 0.6F;     // of the view to the normal
constexpr float kRangeMargin = 0.05F;  // of the range at both ends, which a device may miss
constexpr float kAgreesVoxels = 3;
constexpr int kProbePx = 4;  // nothing is measured: here and so far away on each side
// A vertex is absent when more frames than this miss it, and more than this many times those that
// see it.
constexpr int kMinMissed = 4;
constexpr int kOdds = 2;
// An island is when it was seen by less than this share of the frames that saw the model on
// average, and missed by more than this share of those that saw it.
constexpr double kIslandSeen = 1.0 / 3, kIslandMissed = 1.0 / 3;

struct Limits {
  float near_mm, far_mm, agrees_mm;
};

// 1: seen; -1: missed; 0: it says nothing.
int says(const FrameView& view, const Limits& limits, const Eigen::Vector3f& v,
         const Eigen::Vector3f& normal) {
  const Eigen::Vector3f p = view.place * v;
  const Intrinsics& in = view.depth.intrinsics;
  if (!(p.z() > limits.near_mm && p.z() < limits.far_mm)) return 0;
  const float u = p.x() / p.z() * static_cast<float>(in.fx_px) + static_cast<float>(in.cx_px);
  const float w = p.y() / p.z() * static_cast<float>(in.fy_px) + static_cast<float>(in.cy_px);
  if (!(u >= kProbePx && w >= kProbePx && u < static_cast<float>(in.width_px - kProbePx - 1) &&
        w < static_cast<float>(in.height_px - kProbePx - 1)))
    return 0;
  const Eigen::Vector3f ray = view.eye_mm - v;
  if (normal.dot(ray) < kMinCosine * ray.norm()) return 0;
  const auto width = static_cast<std::ptrdiff_t>(in.width_px);
  const float* const here = view.depth.depth_mm.data() +
                            static_cast<std::ptrdiff_t>(std::lround(w)) * width + std::lround(u);
  if (*here > 0) {
    if (*here > p.z() + limits.agrees_mm) return -1;
    return *here < p.z() - limits.agrees_mm ? 0 : 1;
  }
  for (const std::ptrdiff_t off :
       {std::ptrdiff_t{kProbePx}, -std::ptrdiff_t{kProbePx}, kProbePx * width, -kProbePx * width})
    if (here[off] > 0) return 0;
  return -1;
}

// What the frames say of each vertex.
struct Votes {
  EditMarks edits;
  std::vector<std::uint16_t> seen, missed;

  Votes(EditMarks marks, std::size_t vertices)
      : edits(std::move(marks)), seen(vertices), missed(vertices) {}

  [[nodiscard]] bool absent(std::size_t v) const {
    return !edits.locked(v) && missed[v] >= kMinMissed && missed[v] > kOdds * seen[v];
  }
};

Result<void> ask_frames(const Mesh& mesh, const ScanLog& log, const Limits& limits,
                        WorkerPool& pool, const std::stop_token& stop, Votes& votes) {
  return show_frames(mesh.vertices_mm, log,
                     {.step = kFrameStep, .near_mm = limits.near_mm, .far_mm = limits.far_mm}, pool,
                     stop, [&](const FrameView& view, std::size_t begin, std::size_t end) {
                       for (std::size_t i = begin; i < end; ++i) {
                         if (!votes.edits.counts(i, view.number)) continue;
                         const int word = says(view, limits, mesh.vertices_mm[i], mesh.normals[i]);
                         votes.seen[i] += word > 0 ? 1 : 0;
                         votes.missed[i] += word < 0 ? 1 : 0;
                       }
                     });
}

void drop_triangles(Mesh& mesh, const std::vector<std::uint8_t>& keep) {
  std::vector<std::array<std::uint32_t, 3>> kept;
  for (std::size_t t = 0; t < keep.size(); ++t)
    if (keep[t] != 0) kept.push_back(mesh.triangles[t]);
  mesh.triangles = std::move(kept);
}

// Islands that hardly any frame saw; of their triangles keep[t] becomes 0.
std::vector<std::uint8_t> lasting_islands(const Mesh& mesh, const Votes& votes) {
  struct Sum {
    double seen = 0, missed = 0, corners = 0;
    bool locked = false;
  };
  const Components components = find_components(mesh);
  std::vector<Sum> sums(components.parts.size());
  Sum whole;
  for (std::size_t t = 0; t < mesh.triangles.size(); ++t)
    for (Sum* const sum : {&sums[components.of_triangle[t]], &whole})
      for (const std::uint32_t v : mesh.triangles[t]) {
        sum->seen += votes.seen[v];
        sum->missed += votes.missed[v];
        sum->locked |= votes.edits.locked(v);
        ++sum->corners;
      }
  std::vector<std::uint8_t> keep(mesh.triangles.size());
  for (std::size_t t = 0; t < keep.size(); ++t) {
    const Sum& sum = sums[components.of_triangle[t]];
    keep[t] = sum.locked || sum.seen * whole.corners >= kIslandSeen * whole.seen * sum.corners ||
              sum.missed <= kIslandMissed * sum.seen;
  }
  return keep;
}

}  // namespace

Result<std::size_t> drop_absent(Mesh& mesh, const ScanLog& log,
                                const ReconstructionOptions& options, WorkerPool& pool,
                                const std::stop_token& stop) {
  const std::size_t before = mesh.triangles.size();
  if (mesh.normals.size() != mesh.vertices_mm.size()) compute_normals(mesh);
  const Limits limits{.near_mm = (1 + kRangeMargin) * static_cast<float>(options.min_depth_mm),
                      .far_mm = (1 - kRangeMargin) * static_cast<float>(options.max_depth_mm),
                      .agrees_mm = kAgreesVoxels * static_cast<float>(options.voxel_mm)};
  CUSP_ASSIGN(EditMarks edits, edit_marks(mesh.vertices_mm, options.voxel_mm, log, pool, stop));
  Votes votes(std::move(edits), mesh.vertices_mm.size());
  CUSP_TRY(ask_frames(mesh, log, limits, pool, stop, votes));
  std::vector<std::uint8_t> keep(before);
  for (std::size_t t = 0; t < keep.size(); ++t)
    keep[t] =
        !std::ranges::all_of(mesh.triangles[t], [&](std::uint32_t v) { return votes.absent(v); });
  drop_triangles(mesh, keep);
  keep_triangles(mesh, lasting_islands(mesh, votes));
  return before - mesh.triangles.size();
}

}  // namespace cusp
