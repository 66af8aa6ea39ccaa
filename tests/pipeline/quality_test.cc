#include "pipeline/quality.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/pipeline/jaw.h"

namespace cusp {
namespace {

using testing::add;
using testing::jaw;
using testing::keep_where;
using testing::move;

QualityLimits limits_for(std::uint64_t triangles) {
  QualityLimits limits;
  limits.min_triangles = triangles / 2;
  limits.max_triangles = triangles * 2;
  return limits;
}

Quality quality_of(const Mesh& mesh, const ScanFigures& scan = {}) {
  WorkerPool pool(2);
  const QualityLimits limits = limits_for(mesh.triangles.size());
  return grade(measure_quality(mesh, scan, limits, pool), limits);
}

TEST(Quality, AWholeJawIsIdeal) {
  const Quality quality = quality_of(jaw());
  EXPECT_EQ(quality.grade, 1) << quality.reasons[0].text;
  EXPECT_TRUE(quality.reasons.empty());
  EXPECT_EQ(quality.figures.parts, 1U);
  EXPECT_EQ(quality.figures.holes, 0U);
  EXPECT_EQ(quality.figures.stl_bytes, 84 + 50 * quality.figures.triangles);
}

TEST(Quality, AHoleIsNamedWithItsWidthAndTheLimit) {
  Mesh mesh = jaw();
  keep_where(mesh, [](const Eigen::Vector3f& p) { return p.head<2>().norm() > 1.5F; });
  const Quality quality = quality_of(mesh);
  EXPECT_EQ(quality.grade, 3);
  ASSERT_FALSE(quality.reasons.empty());
  EXPECT_NE(quality.reasons[0].text.find("largest hole"), std::string::npos);
  EXPECT_NE(quality.reasons[0].text.find("2 mm are allowed for grade 2"), std::string::npos)
      << quality.reasons[0].text;
  EXPECT_EQ(quality.figures.holes, 1U);
}

TEST(Quality, ASecondLayerIsSeen) {
  Mesh mesh = jaw();
  Mesh layer = mesh;
  keep_where(layer, [](const Eigen::Vector3f& p) { return p.x() > 5 && p.x() < 15; });
  move(layer, testing::motion(0, {0, 0, 1}, {0, 0, 0.15}));
  add(mesh, layer);
  const Quality quality = quality_of(mesh);
  EXPECT_GT(quality.figures.double_surface_share, 0.03);
  EXPECT_EQ(quality.grade, 4);
  EXPECT_EQ(quality.figures.parts, 2U);
}

TEST(Quality, JudgesWhatTheScanKnows) {
  const Mesh mesh = jaw();
  EXPECT_EQ(quality_of(mesh, {.residual_mm = 0.01, .drift_mm = 0.01, .lost_share = 0.01}).grade, 1);
  EXPECT_EQ(quality_of(mesh, {.residual_mm = 0.05}).grade, 2);
  EXPECT_EQ(quality_of(mesh, {.drift_mm = 0.08}).grade, 3);
  EXPECT_EQ(quality_of(mesh, {.lost_share = 0.9}).grade, 4);
  ScanFigures unsure;
  unsure.vertex_sigma_mm.assign(mesh.vertices_mm.size(), 0.05F);
  EXPECT_EQ(quality_of(mesh, unsure).grade, 3);
}

TEST(Quality, WhatIsNoNumberIsAsBadAsCanBe) {
  EXPECT_EQ(quality_of(jaw(), {.drift_mm = std::numeric_limits<double>::quiet_NaN()}).grade, 4);
}

TEST(Quality, TheWorstReasonComesFirst) {
  const Quality quality = quality_of(jaw(), {.residual_mm = 0.05, .drift_mm = 0.5});
  ASSERT_EQ(quality.reasons.size(), 2U);
  EXPECT_EQ(quality.grade, 4);
  EXPECT_EQ(quality.reasons[0].grade, 4);
  EXPECT_EQ(quality.reasons[1].grade, 2);
}

TEST(Quality, FilledInIsNotSeen) {
  const Mesh mesh = jaw();
  ScanFigures scan;
  scan.filled.assign(mesh.triangles.size(), 0);
  for (std::size_t t = 0; t < scan.filled.size() / 20; ++t) scan.filled[t] = 1;
  const Quality quality = quality_of(mesh, scan);
  EXPECT_GT(quality.figures.filled_share, 0.02);
  EXPECT_EQ(quality.grade, 3);
}

TEST(Quality, TooFewAndTooManyTrianglesAreMinor) {
  WorkerPool pool(1);
  const Mesh mesh = jaw();
  QualityLimits limits;
  EXPECT_EQ(grade(measure_quality(mesh, {}, limits, pool), limits).grade, 2);
  limits.min_triangles = 1;
  limits.max_triangles = 100;
  EXPECT_EQ(grade(measure_quality(mesh, {}, limits, pool), limits).grade, 2);
}

TEST(Quality, NothingIsGradeFour) {
  const Quality quality = quality_of({});
  EXPECT_EQ(quality.grade, 4);
  EXPECT_NE(quality.reasons[0].text.find("no surface"), std::string::npos);
}

}  // namespace
}  // namespace cusp
