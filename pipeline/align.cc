#include "pipeline/align.h"

#include <Eigen/Cholesky>
#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <functional>
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
constexpr double kWide = 4;                 // reach of the first fit, in spacings
constexpr std::size_t kFirstSamples = 300;  // of the first fit, about
// A place that scores less than this share of the best one is not looked at closely.
constexpr double kHopeless = 0.3;

// Keeps the places that differ, best first.
void add_place(std::vector<PlaneFit>& places, const PlaneFit& fit, const SurfaceSample& sample,
               double spacing_mm) {
  const auto same = std::find_if(places.begin(), places.end(), [&](const PlaneFit& known) {
    return same_place(known.target_from_source, fit.target_from_source, sample,
                      kSamePlace * spacing_mm);
  });
  if (same == places.end())
    places.push_back(fit);
  else if (fit.score > same->score)
    *same = fit;
  std::ranges::stable_sort(places, std::greater<>{}, &PlaneFit::score);
}

SurfaceSample thinned(const SurfaceSample& sample, std::size_t about) {
  SurfaceSample thin;
  const std::size_t step = std::max<std::size_t>(1, sample.points_mm.size() / about);
  for (std::size_t i = 0; i < sample.points_mm.size(); i += step) {
    thin.points_mm.push_back(sample.points_mm[i]);
    thin.normals.push_back(sample.normals[i]);
  }
  return thin;
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

Result<std::vector<Alignment>> find_places(const Mesh& source, std::string_view source_name,
                                           const Mesh& target, std::string_view target_name,
                                           const AlignOptions& options, WorkerPool& pool) {
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
  const SurfaceSample first = thinned(coarse, kFirstSamples);
  std::vector<PlaneFit> fits;
  for (const RigidTransform& start : starts)
    add_place(fits, fit_to_planes(first, surface, start, kWide * spacing_mm, spacing_mm, pool),
              first, spacing_mm);
  if (fits.size() > options.most_places) fits.resize(options.most_places);
  for (const PlaneFit& rough : std::exchange(fits, {}))
    if (fits.empty() || rough.score > kHopeless * fits[0].score)
      add_place(
          fits,
          fit_to_planes(fine, surface, rough.target_from_source, spacing_mm, spacing_mm, pool),
          coarse, spacing_mm);
  const PlaneFit best = fits.empty() ? PlaneFit{} : fits[0];
  const double allowed_mm = options.max_residual_share * spacing_mm;
  std::erase_if(fits, [&](const PlaneFit& fit) {
    return fit.overlap < options.min_overlap || fit.rms_mm > allowed_mm;
  });
  if (fits.empty() && best.overlap < options.min_overlap)
    return error(ErrorCode::kInvalidArgument,
                 "scan {}: it does not fit {}: {:.0f} % of it lies on it, {:.0f} % are needed",
                 source_name, target_name, 100 * best.overlap, 100 * options.min_overlap);
  if (fits.empty())
    return error(ErrorCode::kInvalidArgument,
                 "scan {}: it does not fit {}: they differ by {:.3f} mm, {:.3f} mm are allowed",
                 source_name, target_name, best.rms_mm, allowed_mm);
  std::vector<Alignment> places;
  for (const PlaneFit& fit : fits)
    places.push_back({fit.target_from_source, fit.rms_mm, fit.overlap,
                      fits.size() > 1 ? fits[&fit == fits.data() ? 1 : 0].score / fit.score : 0});
  return places;
}

Result<Alignment> align(const Mesh& source, std::string_view source_name, const Mesh& target,
                        std::string_view target_name, const AlignOptions& options,
                        WorkerPool& pool) {
  CUSP_ASSIGN(const std::vector<Alignment> places,
              find_places(source, source_name, target, target_name, options, pool));
  const Alignment& best = places.front();
  if (best.ambiguity > options.max_ambiguity)
    return error(ErrorCode::kInvalidArgument,
                 "scan {}: it fits {} in two places nearly alike ({:.0f} %); scan more of it",
                 source_name, target_name, 100 * best.ambiguity);
  return best;
}

}  // namespace cusp
