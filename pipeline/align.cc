#include "pipeline/align.h"

#include <Eigen/Cholesky>
#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "pipeline/clean.h"
#include "pipeline/coarse_align.h"
#include "pipeline/plane_fit.h"
#include "pipeline/surface_sample.h"

namespace cusp {
namespace {

// How many samples the smaller surface gets for the search, and for the fit.
constexpr double kCoarseSamples = 1200;
constexpr std::size_t kMaxCoarseSamples = 12000;
constexpr double kFineShare = 0.4;    // spacing of the fit, of the search's
constexpr double kFeatureRadius = 6;  // in spacings
constexpr std::size_t kMinSamples = 20;
// Two poses are one place when the samples differ less than this, in spacings.
constexpr double kSamePlace = 2;
constexpr double kWide = 4;  // reach of the first fit, in spacings
constexpr std::size_t kFinePlaces = 3;

// Keeps the places that differ, best first.
void add_place(std::vector<PlaneFit>& places, const PlaneFit& fit, const SurfaceSample& sample,
               double spacing_mm) {
  const auto same = std::find_if(places.begin(), places.end(), [&](const PlaneFit& known) {
    return same_place(known.target_from_source, fit.target_from_source, sample,
                      kSamePlace * spacing_mm);
  });
  if (same == places.end())
    places.push_back(fit);
  else if (fit.overlap > same->overlap)
    *same = fit;
  std::stable_sort(places.begin(), places.end(),
                   [](const PlaneFit& a, const PlaneFit& b) { return a.overlap > b.overlap; });
}

Error bad(std::string_view name, std::string_view why) {
  return error(ErrorCode::kInvalidArgument, "scan {}: {}", name, why);
}

Result<void> check(const Mesh& mesh, std::string_view name) {
  if (auto valid = validate(mesh); !valid.ok()) return bad(name, valid.error().message);
  if (mesh.empty() || !(area_mm2(mesh) > 0)) return bad(name, "it has no surface");
  return {};
}

}  // namespace

Result<Alignment> align(const Mesh& source, std::string_view source_name, const Mesh& target,
                        std::string_view target_name, const AlignOptions& options,
                        WorkerPool& pool) {
  CUSP_TRY(check(source, source_name));
  CUSP_TRY(check(target, target_name));
  const double spacing_mm =
      std::max(std::sqrt(std::min(area_mm2(source), area_mm2(target)) / kCoarseSamples),
               std::sqrt(std::max(area_mm2(source), area_mm2(target)) / kMaxCoarseSamples));
  const SurfaceSample coarse = sample_surface(source, spacing_mm, pool);
  std::vector<RigidTransform> starts;
  if (options.start) {
    starts.push_back(*options.start);
  } else {
    const SurfaceSample other = sample_surface(target, spacing_mm, pool);
    CUSP_ASSIGN(const PointFeatures features, point_features(coarse, kFeatureRadius * spacing_mm));
    CUSP_ASSIGN(const PointFeatures other_features,
                point_features(other, kFeatureRadius * spacing_mm));
    starts = coarse_candidates(coarse, features, other, other_features, spacing_mm, pool);
  }

  const TargetSurface surface(target, pool);
  const SurfaceSample fine = sample_surface(source, kFineShare * spacing_mm, pool);
  if (fine.points_mm.size() < kMinSamples) return bad(source_name, "it is too small to be placed");
  // All places with few samples, then the best few with all.
  std::vector<PlaneFit> fits;
  for (const RigidTransform& start : starts)
    add_place(fits, fit_to_planes(coarse, surface, start, kWide * spacing_mm, spacing_mm, pool),
              coarse, spacing_mm);
  if (fits.size() > kFinePlaces) fits.resize(kFinePlaces);
  for (const PlaneFit& rough : std::exchange(fits, {}))
    add_place(fits,
              fit_to_planes(fine, surface, rough.target_from_source, spacing_mm, spacing_mm, pool),
              coarse, spacing_mm);
  if (fits.empty() || fits[0].overlap < options.min_overlap)
    return error(ErrorCode::kInvalidArgument,
                 "scan {}: it does not fit {}: {:.0f} % of it lies on it, {:.0f} % are needed",
                 source_name, target_name, fits.empty() ? 0.0 : 100 * fits[0].overlap,
                 100 * options.min_overlap);
  const PlaneFit& best = fits[0];
  if (best.rms_mm > options.max_residual_share * spacing_mm)
    return error(ErrorCode::kInvalidArgument,
                 "scan {}: it does not fit {}: they differ by {:.3f} mm, {:.3f} mm are allowed",
                 source_name, target_name, best.rms_mm, options.max_residual_share * spacing_mm);
  const double ambiguity = fits.size() > 1 ? fits[1].overlap / best.overlap : 0;
  if (ambiguity > options.max_ambiguity)
    return error(ErrorCode::kInvalidArgument,
                 "scan {}: it fits {} in two places nearly alike ({:.0f} %); scan more of it",
                 source_name, target_name, 100 * ambiguity);
  return Alignment{best.target_from_source, best.rms_mm, best.overlap, ambiguity};
}

}  // namespace cusp
