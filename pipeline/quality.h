// quality: the grade of a finished model, 1 to 4, and why, in words that name what was measured and
// what is asked. 1 ideal, 2 minor imperfections, 3 usable on request, 4 rescan: as laboratories
// grade what they get. Areas mm2, lengths mm. Threads: pure functions, use the pool.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/mesh.h"
#include "pipeline/worker_pool.h"

namespace cusp {

// What the scan itself knows; what is not known is not judged.
struct ScanFigures {
  std::optional<double> residual_mm = {};   // of tracking, mean
  std::optional<double> drift_mm = {};      // estimate, from loops or the adjustment
  std::optional<double> lost_share = {};    // of frames
  std::vector<float> vertex_sigma_mm = {};  // expected error of each vertex, or empty
  std::vector<std::uint8_t> filled = {};    // a mark a triangle (fill_holes.h), or empty
};

struct QualityFigures {
  std::uint64_t triangles = 0;
  std::uint64_t stl_bytes = 0;
  double area_mm2 = 0;
  std::uint64_t parts = 0;
  std::uint64_t holes = 0;
  double largest_hole_mm = 0;
  double holes_share = 0;           // of the area: what discs with the holes' edges would cover
  double filled_share = 0;          // of the area, invented
  double double_surface_share = 0;  // of the area: a second layer a little above another
  std::optional<double> worst_sigma_mm;  // expected error, exceeded by 5 % of the vertices
  std::optional<double> residual_mm;
  std::optional<double> drift_mm;
  std::optional<double> lost_share;
};

// What a grade allows; a value above the third limit is grade 4.
struct Limits {
  double ideal = std::numeric_limits<double>::infinity();
  double minor = std::numeric_limits<double>::infinity();
  double usable = std::numeric_limits<double>::infinity();
};

struct QualityLimits {
  Limits largest_hole_mm{0.5, 2, 5};
  Limits holes_share{0.001, 0.01, 0.05};
  Limits filled_share{0.002, 0.02, 0.1};
  Limits double_surface_share{0.0005, 0.005, 0.03};
  Limits residual_mm{0.03, 0.06, 0.12};
  Limits drift_mm{0.02, 0.05, 0.1};
  Limits worst_sigma_mm{0.02, 0.04, 0.1};
  Limits lost_share{0.05, 0.2, 0.5};
  Limits parts{1, 3, 10};
  std::uint64_t min_triangles = 100'000;  // fewer or more is grade 2: a laboratory takes it still
  std::uint64_t max_triangles = 300'000;
  std::uint64_t max_stl_bytes = 15'000'000;
  // Two layers nearer than this that look the same way are one surface twice.
  double double_surface_mm = 0.3;
};

struct QualityReason {
  int grade = 1;     // what this alone would give
  std::string text;  // "the largest hole is 2.4 mm wide, 2 mm are allowed for grade 2"
};

struct Quality {
  int grade = 1;
  std::vector<QualityReason> reasons;  // worst first; empty for grade 1
  QualityFigures figures;
};

// The mesh must be a manifold, as finish() leaves it.
QualityFigures measure_quality(const Mesh& mesh, const ScanFigures& scan,
                               const QualityLimits& limits, WorkerPool& pool);
Quality grade(const QualityFigures& figures, const QualityLimits& limits);

}  // namespace cusp
