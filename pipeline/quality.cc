#include "pipeline/quality.h"

#include <fmt/format.h>

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "pipeline/clean.h"
#include "pipeline/fill_holes.h"
#include "pipeline/nearest.h"

namespace cusp {
namespace {

constexpr std::uint64_t kStlHead = 84;
constexpr std::uint64_t kStlTriangle = 50;
constexpr std::size_t kGrain = 1024;
constexpr double kWorstShare = 0.95;

std::optional<double> worst_of(std::vector<float> values) {
  if (values.empty()) return std::nullopt;
  const auto at = values.begin() +
                  static_cast<std::ptrdiff_t>(kWorstShare * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return static_cast<double>(*at);
}

Eigen::Vector3f normal_of(const Mesh& mesh, std::size_t t) {
  const auto& [a, b, c] = mesh.triangles[t];
  const Eigen::Vector3f cross =
      (mesh.vertices_mm[b] - mesh.vertices_mm[a]).cross(mesh.vertices_mm[c] - mesh.vertices_mm[a]);
  const float length = cross.norm();
  return length > 0 ? Eigen::Vector3f(cross / length) : Eigen::Vector3f(Eigen::Vector3f::Zero());
}

// Share of the area above which another layer of the same surface lies: looks from each triangle
// half the distance up and asks whether something nearer than where it came from faces the same
// way.
double double_surface_share(const Mesh& mesh, double distance_mm, double area, WorkerPool& pool) {
  const NearestSurface surface(mesh, pool);
  const auto step = static_cast<float>(distance_mm);
  const double twice =
      sum_chunks(pool, mesh.triangles.size(), kGrain, 0.0, [&](std::size_t begin, std::size_t end) {
        double sum = 0;
        for (std::size_t t = begin; t < end; ++t) {
          const Eigen::Vector3f normal = normal_of(mesh, t);
          if (normal.isZero()) continue;
          const auto& [a, b, c] = mesh.triangles[t];
          const Eigen::Vector3f middle =
              (mesh.vertices_mm[a] + mesh.vertices_mm[b] + mesh.vertices_mm[c]) / 3;
          const auto nearest = surface.find(middle + step * normal, 0.9F * step);
          if (!nearest) continue;
          const bool same_way = normal_of(mesh, nearest->triangle).dot(normal) > 0.8F;
          const float above = normal.dot(nearest->point_mm - middle);
          const float beside = (nearest->point_mm - middle - above * normal).norm();
          if (!same_way || above < 0.1F * step || beside > 0.5F * above) continue;
          sum += 0.5 * static_cast<double>((mesh.vertices_mm[b] - mesh.vertices_mm[a])
                                               .cross(mesh.vertices_mm[c] - mesh.vertices_mm[a])
                                               .norm());
        }
        return sum;
      });
  return area > 0 ? twice / area : 0;
}

double hole_extent_mm(const Mesh& mesh, const std::vector<std::uint32_t>& hole, double& disc_mm2) {
  Eigen::AlignedBox3f box;
  double length = 0;
  for (const std::uint32_t h : hole) {
    const Eigen::Vector3f& from = mesh.vertices_mm[from_vertex(mesh, h)];
    box.extend(from);
    length += static_cast<double>((mesh.vertices_mm[to_vertex(mesh, h)] - from).norm());
  }
  disc_mm2 = length * length / (4 * M_PI);
  return static_cast<double>(box.diagonal().norm());
}

class Grader {
 public:
  // What is measured against what each grade allows; `scale` and `unit` are for the words.
  void judge(double value, const Limits& limits, std::string_view what, double scale,
             std::string_view unit) {
    // Not a number is as bad as can be.
    const int grade = value <= limits.ideal    ? 1
                      : value <= limits.minor  ? 2
                      : value <= limits.usable ? 3
                                               : 4;
    if (grade == 1) return;
    const double limit = grade == 2 ? limits.ideal : grade == 3 ? limits.minor : limits.usable;
    add(grade, fmt::format("{} {:.3g}{}, {:.3g}{} are allowed for grade {}", what, scale * value,
                           unit, scale * limit, unit, grade - 1));
  }
  void add(int grade, std::string text) { reasons_.push_back({grade, std::move(text)}); }

  Quality result(const QualityFigures& figures) {
    std::stable_sort(
        reasons_.begin(), reasons_.end(),
        [](const QualityReason& a, const QualityReason& b) { return a.grade > b.grade; });
    const int grade = reasons_.empty() ? 1 : reasons_[0].grade;
    return {grade, std::move(reasons_), figures};
  }

 private:
  std::vector<QualityReason> reasons_;
};

}  // namespace

QualityFigures measure_quality(const Mesh& mesh, const ScanFigures& scan,
                               const QualityLimits& limits, WorkerPool& pool) {
  CUSP_CHECK(scan.filled.empty() || scan.filled.size() == mesh.triangles.size(),
             "one mark a triangle");
  QualityFigures figures;
  figures.triangles = mesh.triangles.size();
  figures.stl_bytes = kStlHead + kStlTriangle * figures.triangles;
  figures.area_mm2 = area_mm2(mesh);
  figures.residual_mm = scan.residual_mm;
  figures.drift_mm = scan.drift_mm;
  figures.lost_share = scan.lost_share;
  figures.worst_sigma_mm = worst_of(scan.vertex_sigma_mm);
  if (mesh.empty()) return figures;

  figures.parts = find_components(mesh).parts.size();
  double holes_mm2 = 0;
  for (const auto& hole : find_holes(mesh, pool)) {
    double disc_mm2 = 0;
    figures.largest_hole_mm =
        std::max(figures.largest_hole_mm, hole_extent_mm(mesh, hole, disc_mm2));
    holes_mm2 += disc_mm2;
    ++figures.holes;
  }
  figures.holes_share = figures.area_mm2 > 0 ? holes_mm2 / figures.area_mm2 : 0;
  if (!scan.filled.empty() && figures.area_mm2 > 0) {
    Mesh filled = mesh;
    keep_triangles(filled, scan.filled);
    figures.filled_share = area_mm2(filled) / figures.area_mm2;
  }
  figures.double_surface_share =
      double_surface_share(mesh, limits.double_surface_mm, figures.area_mm2, pool);
  return figures;
}

Quality grade(const QualityFigures& f, const QualityLimits& limits) {
  Grader grader;
  if (f.triangles == 0) grader.add(4, "the model has no surface");
  grader.judge(f.largest_hole_mm, limits.largest_hole_mm, "the largest hole measures", 1, " mm");
  grader.judge(f.holes_share, limits.holes_share, "of the surface holes take", 100, " %");
  grader.judge(f.filled_share, limits.filled_share, "of the surface is filled in, not seen:", 100,
               " %");
  grader.judge(f.double_surface_share, limits.double_surface_share,
               "of the surface lies double:", 100, " %");
  grader.judge(static_cast<double>(f.parts), limits.parts, "separate parts:", 1, "");
  if (f.worst_sigma_mm)
    grader.judge(*f.worst_sigma_mm, limits.worst_sigma_mm,
                 "the expected error, exceeded by a twentieth of the surface, is", 1000, " um");
  if (f.residual_mm)
    grader.judge(*f.residual_mm, limits.residual_mm, "frames differ from the model by", 1000,
                 " um");
  if (f.drift_mm) grader.judge(*f.drift_mm, limits.drift_mm, "the drift is about", 1000, " um");
  if (f.lost_share)
    grader.judge(*f.lost_share, limits.lost_share, "of the frames lost:", 100, " %");
  if (f.triangles > 0 && f.triangles < limits.min_triangles)
    grader.add(
        2, fmt::format("{} triangles, at least {} are wanted", f.triangles, limits.min_triangles));
  if (f.triangles > limits.max_triangles)
    grader.add(
        2, fmt::format("{} triangles, at most {} are wanted", f.triangles, limits.max_triangles));
  if (f.stl_bytes > limits.max_stl_bytes)
    grader.add(2, fmt::format("a file of {:.1f} MB, at most {:.1f} MB are wanted",
                              static_cast<double>(f.stl_bytes) / 1e6,
                              static_cast<double>(limits.max_stl_bytes) / 1e6));
  return grader.result(f);
}

}  // namespace cusp
