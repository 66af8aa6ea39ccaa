#include "pipeline/detail.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <variant>
#include <vector>

#include "pipeline/edit_marks.h"
#include "pipeline/fuse_log.h"
#include "pipeline/mesh.h"
#include "pipeline/mesh_edges.h"
#include "pipeline/point_groups.h"

namespace cusp {
namespace {

// A chord this far off is bent: a share of the voxel, and of a pixel's noise, so that it is the
// shape that bends and not the noise.
constexpr double kBentVoxels = 0.02, kBentSigmas = 0.1;
// Longer edges are halved: what is left is 2/3 to 4/3 of a pixel long.
constexpr float kLongestPixels = 4.0F / 3;
constexpr int kMaxHalvings = 4;
constexpr float kGateVoxels = 2;     // a plane farther off is another surface
constexpr float kMinCosine = 0.5F;   // of the plane's normal to the vertex's
constexpr float kMaxMoveVoxels = 1;  // a vertex that would go farther stays
constexpr std::uint32_t kNone = ~std::uint32_t{0};

struct BendLimits {
  float longest_mm, bent_mm;
};

// What is known of each vertex.
struct Bends {
  std::vector<std::uint8_t> locked;  // edges that end here stay whole
  std::vector<std::uint8_t> bent;    // it is new, or the end of an edge that was halved
  // Of each new vertex the ends of the edge in whose middle it came.
  std::vector<std::array<std::uint32_t, 2>> ends;
};

// Of each half-edge the vertex in its middle, or kNone; new vertices are appended to the mesh.
std::vector<std::uint32_t> halve_edges(Mesh& mesh, const BendLimits& limits, Bends& bends,
                                       WorkerPool& pool) {
  const Twins twins = find_twins(mesh, find_corners(mesh), pool);
  std::vector<std::uint32_t> middle(twins.of.size(), kNone);
  for (std::uint32_t h = 0; h < twins.of.size(); ++h) {
    const std::uint32_t twin = twins.of[h];
    if (twin == kNoTwin || twin < h) continue;  // a border stays, or it was its twin's turn
    const std::uint32_t a = from_vertex(mesh, h), b = to_vertex(mesh, h);
    if (bends.locked[a] != 0 || bends.locked[b] != 0) continue;
    const Eigen::Vector3f along = mesh.vertices_mm[b] - mesh.vertices_mm[a];
    const float length = along.norm();
    const Eigen::Vector3f from = mesh.normals[a], to = mesh.normals[b];
    // An arc of length l that turns by an angle rises l * angle / 8 above its chord.
    if (!(length > limits.longest_mm && length * (to - from).norm() / 8 > limits.bent_mm)) continue;
    const Eigen::Vector3f rise = (along.dot(to) * to - along.dot(from) * from) / 8;
    middle[h] = middle[twin] = static_cast<std::uint32_t>(mesh.vertices_mm.size());
    mesh.vertices_mm.emplace_back((mesh.vertices_mm[a] + mesh.vertices_mm[b]) / 2 + rise);
    mesh.normals.emplace_back((from + to).normalized());
    bends.bent[a] = bends.bent[b] = 1;
    bends.bent.push_back(1);
    bends.locked.push_back(0);
    bends.ends.push_back({a, b});
  }
  return middle;
}

// Cuts the triangles whose edges were halved into two, three or four, without a gap between them.
void cut_triangles(Mesh& mesh, const std::vector<std::uint32_t>& middle) {
  std::vector<std::array<std::uint32_t, 3>> cut;
  cut.reserve(mesh.triangles.size() + mesh.triangles.size() / 4);
  for (std::size_t t = 0; t < mesh.triangles.size(); ++t) {
    const auto& v = mesh.triangles[t];
    const std::array<std::uint32_t, 3> m = {middle[3 * t], middle[3 * t + 1], middle[3 * t + 2]};
    const auto halved = 3 - std::ranges::count(m, kNone);
    if (halved == 0) {
      cut.push_back(v);
    } else if (halved == 3) {
      for (std::size_t k = 0; k < 3; ++k) cut.push_back({v[k], m[k], m[(k + 2) % 3]});
      cut.push_back(m);
    } else if (halved == 1) {
      const auto k = static_cast<std::size_t>(
          std::ranges::find_if(m, [](std::uint32_t i) { return i != kNone; }) - m.begin());
      const std::uint32_t tip = v[(k + 2) % 3];
      cut.push_back({v[k], m[k], tip});
      cut.push_back({m[k], v[(k + 1) % 3], tip});
    } else {
      // The edge from a to b is whole; the rest is cut along the shorter diagonal.
      const auto k = static_cast<std::size_t>(std::ranges::find(m, kNone) - m.begin());
      const std::uint32_t a = v[k], b = v[(k + 1) % 3], tip = v[(k + 2) % 3];
      const std::uint32_t beside_b = m[(k + 1) % 3], beside_a = m[(k + 2) % 3];
      const auto apart = [&](std::uint32_t i, std::uint32_t j) {
        return (mesh.vertices_mm[i] - mesh.vertices_mm[j]).squaredNorm();
      };
      cut.push_back({beside_b, tip, beside_a});
      if (apart(a, beside_b) < apart(b, beside_a)) {
        cut.push_back({a, b, beside_b});
        cut.push_back({a, beside_b, beside_a});
      } else {
        cut.push_back({a, b, beside_a});
        cut.push_back({b, beside_b, beside_a});
      }
    }
  }
  mesh.triangles = std::move(cut);
}

// Vertices that are to be measured, and what was measured of them.
struct Points {
  std::vector<std::uint32_t> vertices;
  std::vector<Eigen::Vector3f> points_mm;
  // Of the least squares: how far along the normal, times the weight; and the weight.
  std::vector<Eigen::Vector2f> sums;
};

Points points_of(const Mesh& mesh, const std::vector<std::uint8_t>& bent) {
  Points points;
  for (std::uint32_t v = 0; v < bent.size(); ++v) {
    if (bent[v] == 0) continue;
    points.vertices.push_back(v);
    points.points_mm.push_back(mesh.vertices_mm[v]);
  }
  points.sums.resize(points.vertices.size(), Eigen::Vector2f::Zero());
  return points;
}

// Adds what a pixel's plane says of a point to its sum; both in the sensor's frame.
void ask_pixel(const MeasuredSurface& surface, const Eigen::Vector3f& p,
               const Eigen::Vector3f& normal, float gate_mm, Eigen::Vector2f& sum) {
  const Intrinsics& in = surface.intrinsics;
  if (!(p.z() > 0)) return;
  const float u = p.x() / p.z() * static_cast<float>(in.fx_px) + static_cast<float>(in.cx_px + 0.5);
  const float v = p.y() / p.z() * static_cast<float>(in.fy_px) + static_cast<float>(in.cy_px + 0.5);
  if (!(u >= 0 && v >= 0 && u < static_cast<float>(in.width_px) &&
        v < static_cast<float>(in.height_px)))
    return;
  const std::size_t pixel = static_cast<std::size_t>(v) * static_cast<std::size_t>(in.width_px) +
                            static_cast<std::size_t>(u);
  const Eigen::Vector4f& plane = surface.planes[pixel];
  if (plane.w() == 0) return;
  const float distance_mm = plane.head<3>().dot(p) - plane.w();
  const float cosine = plane.head<3>().dot(normal);
  if (std::abs(distance_mm) > gate_mm || cosine < kMinCosine) return;
  const float weight = surface.weights[pixel] * cosine;
  sum += Eigen::Vector2f(-weight * distance_mm, weight * cosine);
}

Result<void> measure(const Mesh& mesh, const ScanLog& log, double voxel_mm, const NoiseModel& noise,
                     WorkerPool& pool, const DetailRun& run, Points& points) {
  const auto gate_mm = static_cast<float>(kGateVoxels * voxel_mm);
  const PointGroups groups(points.points_mm, pool);
  CUSP_ASSIGN(const EditMarks edits, edit_marks(points.points_mm, voxel_mm, log, pool, run.stop));
  std::vector<const KeptFrame*> kept;
  for (const ScanEntry& entry : log.entries())
    if (const auto* frame = std::get_if<KeptFrame>(&entry)) kept.push_back(frame);
  std::size_t number = 0;  // of the frame; damaged ones do not come
  const auto ask = [&](const KeptFrame& frame, const MeasuredSurface& surface) {
    while (kept[number] != &frame) ++number;
    const SensorPlace place(frame.model_from_sensor);
    constexpr std::size_t kSize = PointGroups::kSize;
    pool.for_chunks(points.vertices.size(), kSize, [&](std::size_t begin, std::size_t end) {
      constexpr float kFar = std::numeric_limits<float>::max();
      if (!groups.may_be_seen(begin / kSize, place, surface.intrinsics, 0, kFar)) return;
      for (std::size_t i = begin; i < end; ++i) {
        if (edits.locked(i) || !edits.counts(i, number)) continue;
        ask_pixel(surface, place * points.points_mm[i],
                  place.rotation * mesh.normals[points.vertices[i]], gate_mm, points.sums[i]);
      }
    });
  };
  CUSP_TRY(
      read_log(log, noise.unbinned(), pool,
               {.on_frame = ask, .corrected = true, .progress = run.progress, .stop = run.stop}));
  return {};
}

}  // namespace

Result<DetailReport> add_detail(Mesh& mesh, const ScanLog& log, double voxel_mm,
                                const NoiseModel& noise, WorkerPool& pool, const DetailRun& run) {
  const auto start = std::chrono::steady_clock::now();
  if (mesh.normals.size() != mesh.vertices_mm.size()) compute_normals(mesh);
  const BendLimits limits{
      .longest_mm = kLongestPixels * noise.pixel_mm(),
      .bent_mm = static_cast<float>(std::max(
          kBentVoxels * voxel_mm, kBentSigmas * static_cast<double>(noise.usual_sigma_mm())))};
  const std::size_t before = mesh.vertices_mm.size();
  Bends bends{.locked = std::vector<std::uint8_t>(before),
              .bent = std::vector<std::uint8_t>(before),
              .ends = {}};
  {
    CUSP_ASSIGN(const EditMarks edits, edit_marks(mesh.vertices_mm, voxel_mm, log, pool, run.stop));
    for (std::size_t v = 0; v < before; ++v) bends.locked[v] = edits.locked(v) ? 1 : 0;
  }
  for (int k = 0; k < kMaxHalvings; ++k) {
    if (run.stop.stop_requested())
      return error(ErrorCode::kCancelled, "model: its making was cancelled");
    const std::size_t vertices = mesh.vertices_mm.size();
    const std::vector<std::uint32_t> middle = halve_edges(mesh, limits, bends, pool);
    if (mesh.vertices_mm.size() == vertices) break;
    cut_triangles(mesh, middle);
  }
  DetailReport report{.added = mesh.vertices_mm.size() - before};
  if (report.added > 0) {
    Points points = points_of(mesh, bends.bent);
    CUSP_TRY(measure(mesh, log, voxel_mm, noise, pool, run, points));
    const auto farthest_mm = static_cast<float>(kMaxMoveVoxels * voxel_mm);
    // In the order in which they came: where the ends of an edge are is known before its middle.
    for (std::size_t i = 0; i < points.vertices.size(); ++i) {
      const std::uint32_t v = points.vertices[i];
      const Eigen::Vector2f& sum = points.sums[i];
      const float move_mm = sum.x() / sum.y();
      if (sum.y() >= kMinKeptWeight && std::abs(move_mm) <= farthest_mm) {
        mesh.vertices_mm[v] += move_mm * mesh.normals[v];
        ++report.moved;
      } else if (v >= before) {  // nothing bears out that it bends there
        const auto [a, b] = bends.ends[v - before];
        mesh.vertices_mm[v] = (mesh.vertices_mm[a] + mesh.vertices_mm[b]) / 2;
      }
    }
    compute_normals(mesh);
  }
  report.time = std::chrono::steady_clock::now() - start;
  return report;
}

}  // namespace cusp
