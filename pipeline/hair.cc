#include "pipeline/hair.h"

#include <Eigen/Core>
#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "pipeline/clean.h"
#include "pipeline/edit_marks.h"
#include "pipeline/point_groups.h"
#include "pipeline/volume.h"

namespace cusp {
namespace {

constexpr std::size_t kFrameStep = 2;  // every second kept frame is asked
constexpr float kMinCosine = 0.6F;     // of the view to the normal
constexpr float kMostSigmas = 8;       // farther off is no worse
constexpr float kNothingSigmas = 4;    // what a facing pixel without depth counts as
// In front of a vertex by this, it may be hidden by something else.
constexpr float kHiddenMm = 8;
constexpr double kCellMm = 4;
constexpr double kEnoughAnswers = 100;  // a cell can speak for itself
constexpr double kLeastHairMm2 = 400;   // a smaller place is none
// Firm parts of this share of the largest are of the face too: a neck below a beard.
constexpr double kFacePart = 0.05;

struct Answers {
  float squares = 0;
  float count = 0;
};

// How far off the frame measured the vertex, in sigmas; negative: it says nothing.
float off_sigmas(const FrameView& view, const NoiseModel& noise, const Eigen::Vector3f& v,
                 const Eigen::Vector3f& normal) {
  const Eigen::Vector3f p = view.place * v;
  const Intrinsics& in = view.depth.intrinsics;
  if (!(p.z() > 0)) return -1;
  const auto fx = static_cast<float>(in.fx_px), fy = static_cast<float>(in.fy_px);
  const auto cx = static_cast<float>(in.cx_px), cy = static_cast<float>(in.cy_px);
  const float u = std::round(p.x() / p.z() * fx + cx), w = std::round(p.y() / p.z() * fy + cy);
  if (!(u >= 0 && w >= 0 && u < static_cast<float>(in.width_px) &&
        w < static_cast<float>(in.height_px)))
    return -1;
  const Eigen::Vector3f towards = view.eye_mm - v;
  if (normal.dot(towards) < kMinCosine * towards.norm()) return -1;
  const float measured =
      view.depth.depth_mm[static_cast<std::size_t>(w) * static_cast<std::size_t>(in.width_px) +
                          static_cast<std::size_t>(u)];
  if (!(measured > 0)) return kNothingSigmas;
  if (measured < p.z() - kHiddenMm) return -1;
  // Where the pixel's ray meets the vertex's plane.
  const Eigen::Vector3f n = view.place.rotation * normal;
  const Eigen::Vector3f ray((u - cx) / fx, (w - cy) / fy, 1);
  const float there = n.dot(p) / n.dot(ray);
  return std::min(kMostSigmas, std::abs(measured - there) / noise.sigma_mm(p.z()));
}

Result<std::vector<Answers>> ask_frames(const Mesh& mesh, const ScanLog& log,
                                        const EditMarks& edits, const FrameWalk& walk,
                                        const NoiseModel& noise, WorkerPool& pool,
                                        const std::stop_token& stop) {
  std::vector<Answers> answers(mesh.vertices_mm.size());
  CUSP_TRY(show_frames(mesh.vertices_mm, log, walk, pool, stop,
                       [&](const FrameView& view, std::size_t begin, std::size_t end) {
                         for (std::size_t i = begin; i < end; ++i) {
                           if (!edits.counts(i, view.number)) continue;
                           const float off =
                               off_sigmas(view, noise, mesh.vertices_mm[i], mesh.normals[i]);
                           if (off < 0) continue;
                           answers[i].squares += off * off;
                           answers[i].count += 1;
                         }
                       }));
  return answers;
}

// Places of the model, a cell each, in the order in which its vertices come to them.
struct Cells {
  struct Cell {
    Eigen::Vector3i index;
    double squares = 0, count = 0;
    std::size_t vertices = 0;
    double square = 0;  // mean of its answers with its neighbours', or of its own if that is less
    bool loose = false;
  };
  std::vector<Cell> cells;
  std::vector<std::uint32_t> of_vertex;
  PlaceTable table;

  Cells(const Mesh& mesh, const std::vector<Answers>& answers) {
    of_vertex.reserve(answers.size());
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const Eigen::Vector3i index =
          (mesh.vertices_mm[i].cast<double>() / kCellMm).array().floor().cast<int>();
      std::uint32_t number = table.find(index);
      if (number == kNoBlock) {
        number = static_cast<std::uint32_t>(cells.size());
        table.add(index, number);
        cells.push_back({.index = index});
      }
      Cell& cell = cells[number];
      cell.squares += answers[i].squares;
      cell.count += answers[i].count;
      ++cell.vertices;
      of_vertex.push_back(number);
    }
    for (Cell& cell : cells) {
      double squares = 0, count = 0;
      around(cell, [&](std::uint32_t other) {
        squares += cells[other].squares;
        count += cells[other].count;
      });
      cell.square = count > 0 ? squares / count : 0;
      if (cell.count >= kEnoughAnswers)
        cell.square = std::min(cell.square, cell.squares / cell.count);
    }
  }

  // The cell itself and those that touch it.
  template <typename Visit>
  void around(const Cell& cell, Visit visit) const {
    for (int k = 0; k < 27; ++k) {
      const Eigen::Vector3i there =
          cell.index + Eigen::Vector3i(k % 3 - 1, k / 3 % 3 - 1, k / 9 - 1);
      if (const std::uint32_t other = table.find(there); other != kNoBlock) visit(other);
    }
  }

  // What a quarter of the surface stays below: skin, on a face with much hair too.
  [[nodiscard]] double usual_square() const {
    std::vector<std::pair<double, std::size_t>> squares;
    std::size_t all = 0;
    for (const Cell& cell : cells)
      if (cell.square > 0) {
        squares.emplace_back(cell.square, cell.vertices);
        all += cell.vertices;
      }
    std::ranges::sort(squares);
    std::size_t below = 0;
    for (const auto& [square, vertices] : squares)
      if (4 * (below += vertices) >= all) return square;
    return 0;
  }

  // Cells that hang together and are alike: a part's number for each cell, and how many there are.
  [[nodiscard]] std::pair<std::vector<std::uint32_t>, std::uint32_t> parts() const {
    std::vector<std::uint32_t> part(cells.size(), kNoBlock), waiting;
    std::uint32_t count = 0;
    for (std::uint32_t first = 0; first < cells.size(); ++first) {
      if (part[first] != kNoBlock) continue;
      part[first] = count;
      waiting.push_back(first);
      while (!waiting.empty()) {
        const std::uint32_t here = waiting.back();
        waiting.pop_back();
        around(cells[here], [&](std::uint32_t other) {
          if (part[other] != kNoBlock || cells[other].loose != cells[here].loose) return;
          part[other] = count;
          waiting.push_back(other);
        });
      }
      ++count;
    }
    return {std::move(part), count};
  }
};

// The convex outline of points in a plane, as A. Andrew ("Another efficient algorithm for convex
// hulls in two dimensions", Information Processing Letters 9(5), 1979) finds it.
class Outline {
 public:
  explicit Outline(std::vector<Eigen::Vector2f> points) {
    std::ranges::sort(points, [](const auto& a, const auto& b) {
      return std::pair(a.x(), a.y()) < std::pair(b.x(), b.y());
    });
    const auto half = [this](const auto& from, const auto& to) {
      const std::size_t least = corners_.size() + 1;
      for (auto p = from; p != to; ++p) {
        while (corners_.size() > least && left_of(corners_.end()[-2], corners_.back(), *p) <= 0)
          corners_.pop_back();
        corners_.push_back(*p);
      }
      if (!corners_.empty()) corners_.pop_back();  // the other half begins with it
    };
    half(points.begin(), points.end());
    half(points.rbegin(), points.rend());
  }
  [[nodiscard]] bool contains(const Eigen::Vector2f& p) const {
    for (std::size_t i = 0; i < corners_.size(); ++i)
      if (left_of(corners_[i], corners_[(i + 1) % corners_.size()], p) < 0) return false;
    return corners_.size() >= 3;
  }

 private:
  static float left_of(const Eigen::Vector2f& a, const Eigen::Vector2f& b,
                       const Eigen::Vector2f& p) {
    const Eigen::Vector2f along = b - a, to = p - a;
    return along.x() * to.y() - along.y() * to.x();
  }
  std::vector<Eigen::Vector2f> corners_;  // counter-clockwise
};

// Triangles that are loose and beside the face: keep[t] becomes 0.
std::vector<std::uint8_t> without_hair(const Mesh& mesh, Cells& cells, const EditMarks& edits,
                                       double hair_at) {
  std::vector<std::uint8_t> keep(mesh.triangles.size(), 1);
  const double usual = cells.usual_square();
  bool any = false;
  for (Cells::Cell& cell : cells.cells) any |= cell.loose = cell.square > hair_at * hair_at * usual;
  if (!any) return keep;

  const auto [part, parts] = cells.parts();
  std::vector<std::size_t> firm(parts);
  for (std::size_t i = 0; i < part.size(); ++i)
    if (!cells.cells[i].loose) firm[part[i]] += cells.cells[i].vertices;
  const double least = kFacePart * static_cast<double>(*std::ranges::max_element(firm));
  std::vector<std::uint32_t> of_face;
  Eigen::Vector3d front = Eigen::Vector3d::Zero();
  for (std::uint32_t v = 0; v < mesh.vertices_mm.size(); ++v)
    if (static_cast<double>(firm[part[cells.of_vertex[v]]]) >= least) {
      of_face.push_back(v);
      front += mesh.normals[v].cast<double>();
    }
  if (front.norm() == 0) return keep;

  const Eigen::Matrix3f from_front =
      Eigen::Quaterniond::FromTwoVectors(front, Eigen::Vector3d::UnitZ())
          .toRotationMatrix()
          .cast<float>();
  const auto seen_at = [&](std::uint32_t v) -> Eigen::Vector2f {
    return (from_front * mesh.vertices_mm[v]).head<2>();
  };
  std::vector<Eigen::Vector2f> seen;
  for (const std::uint32_t v : of_face) seen.push_back(seen_at(v));
  const Outline outline(std::move(seen));
  const auto is_hair = [&](std::uint32_t v) {
    return cells.cells[cells.of_vertex[v]].loose && !edits.locked(v) &&
           !outline.contains(seen_at(v));
  };
  std::vector<double> area_mm2(parts);
  for (std::size_t t = 0; t < keep.size(); ++t) {
    const auto& [a, b, c] = mesh.triangles[t];
    if (!is_hair(a) || !is_hair(b) || !is_hair(c)) continue;
    keep[t] = 0;
    const auto& p = mesh.vertices_mm;
    area_mm2[part[cells.of_vertex[a]]] +=
        0.5 * static_cast<double>((p[b] - p[a]).cross(p[c] - p[a]).norm());
  }
  for (std::size_t t = 0; t < keep.size(); ++t)
    if (keep[t] == 0)
      keep[t] = area_mm2[part[cells.of_vertex[mesh.triangles[t][0]]]] < kLeastHairMm2;
  return keep;
}

}  // namespace

Result<std::size_t> drop_hair(Mesh& mesh, const ScanLog& log, const ReconstructionOptions& options,
                              const NoiseModel& noise, WorkerPool& pool,
                              const std::stop_token& stop) {
  const std::size_t before = mesh.triangles.size();
  if (mesh.normals.size() != mesh.vertices_mm.size()) compute_normals(mesh);
  CUSP_ASSIGN(const EditMarks edits,
              edit_marks(mesh.vertices_mm, options.voxel_mm, log, pool, stop));
  const FrameWalk walk{.step = kFrameStep,
                       .near_mm = static_cast<float>(options.min_depth_mm),
                       .far_mm = static_cast<float>(options.max_depth_mm)};
  CUSP_ASSIGN(const std::vector<Answers> answers,
              ask_frames(mesh, log, edits, walk, noise, pool, stop));
  Cells cells(mesh, answers);
  keep_triangles(mesh, without_hair(mesh, cells, edits, options.hair_at));
  return before - mesh.triangles.size();
}

}  // namespace cusp
