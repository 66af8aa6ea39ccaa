#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/tools/shapes.h"
#include "tools/sim/surface.h"
#include "tools/verify/best_fit.h"
#include "tools/verify/surface_error.h"
#include "tools/verify/trajectory_error.h"

namespace cusp::verify {
namespace {

sim::Surface surface_of(Mesh mesh) {
  auto surface = sim::Surface::create(std::move(mesh));
  EXPECT_TRUE(surface.ok());
  return *std::move(surface);
}

RigidTransform motion(double angle, const Eigen::Vector3d& axis, const Eigen::Vector3d& shift) {
  RigidTransform m = RigidTransform::Identity();
  m.linear() = Eigen::AngleAxisd(angle, axis.normalized()).toRotationMatrix();
  m.translation() = shift;
  return m;
}

TEST(Surface, FindsTheNearestPointOfFaceEdgeAndCorner) {
  Mesh triangle;
  triangle.vertices_mm = {{0, 0, 0}, {10, 0, 0}, {0, 10, 0}};
  triangle.triangles = {{0, 1, 2}};
  const sim::Surface surface = surface_of(triangle);
  const auto nearest = [&](float x, float y, float z) {
    return surface.closest({x, y, z}, 100)->point_mm;
  };
  EXPECT_TRUE(nearest(2, 3, 5).isApprox(Eigen::Vector3f(2, 3, 0)));
  EXPECT_TRUE(nearest(4, -3, 1).isApprox(Eigen::Vector3f(4, 0, 0)));
  EXPECT_TRUE(nearest(10, 10, 1).isApprox(Eigen::Vector3f(5, 5, 0)));
  EXPECT_TRUE(nearest(20, -5, 0).isApprox(Eigen::Vector3f(10, 0, 0)));
  EXPECT_TRUE(nearest(-1, 30, 2).isApprox(Eigen::Vector3f(0, 10, 0)));
  EXPECT_LT((nearest(-4, -4, 4) - Eigen::Vector3f(0, 0, 0)).norm(), 1e-6);
  EXPECT_FALSE(surface.closest({2, 3, 5}, 4.9F).has_value());
  EXPECT_TRUE(surface.blocked({2, 2, 5}, {2, 2, -5}, 0.1F));
  EXPECT_FALSE(surface.blocked({8, 8, 5}, {8, 8, -5}, 0.1F));
}

TEST(SurfaceError, OfASphereThatIs50MicrometresTooLargeIs50Micrometres) {
  const Mesh truth = shapes::sphere(20, 300);
  Mesh model = truth;
  for (auto& vertex : model.vertices_mm) vertex *= 20.05F / 20.0F;
  const auto measured = measure_surface_error(model, surface_of(truth), {});
  ASSERT_TRUE(measured.ok());
  EXPECT_NEAR(measured->median_um, 50, 1);
  EXPECT_NEAR(measured->mean_um, 50, 1);
  EXPECT_NEAR(measured->rms_um, 50, 1);
  EXPECT_NEAR(measured->p95_um, 50, 1);
  EXPECT_NEAR(measured->max_um, 50, 1);
  EXPECT_NEAR(measured->bias_um, 50, 1);
  EXPECT_NEAR(measured->coverage, 1, 1e-9);

  for (auto& vertex : model.vertices_mm) vertex *= 19.95F / 20.05F;
  EXPECT_NEAR(measure_surface_error(model, surface_of(truth), {})->bias_um, -50, 1);
}

TEST(SurfaceError, WeighsByAreaAndNotByVertices) {
  // Half of the plane lies 0.1 mm too high; that half has 100 times the vertices.
  Mesh coarse = shapes::plane(10, 2), fine = shapes::plane(10, 20);
  for (auto& v : fine.vertices_mm) v += Eigen::Vector3f(20, 0, 0.1F);
  const auto offset = static_cast<std::uint32_t>(coarse.vertices_mm.size());
  coarse.vertices_mm.insert(coarse.vertices_mm.end(), fine.vertices_mm.begin(),
                            fine.vertices_mm.end());
  for (const auto& t : fine.triangles)
    coarse.triangles.push_back({t[0] + offset, t[1] + offset, t[2] + offset});
  const auto measured = measure_surface_error(coarse, surface_of(shapes::plane(60, 4)), {});
  ASSERT_TRUE(measured.ok());
  EXPECT_NEAR(measured->mean_um, 50, 0.5);
  EXPECT_NEAR(measured->p95_um, 100, 0.5);
}

TEST(SurfaceError, CoversOnlyWhatTheModelShows) {
  const Mesh truth = shapes::plane(20, 40);
  Mesh half = truth;
  std::erase_if(half.triangles, [&](const auto& t) { return half.vertices_mm[t[0]].x() >= 0; });
  const auto measured = measure_surface_error(half, surface_of(truth), {});
  ASSERT_TRUE(measured.ok());
  EXPECT_NEAR(measured->coverage, 0.5, 0.02);
  EXPECT_NEAR(measured->max_um, 0, 1e-3);
}

TEST(SurfaceError, CountsNoAreaThatTheCameraCannotSee) {
  const Mesh truth = shapes::sphere(20, 200);
  RigidTransform above = RigidTransform::Identity();
  above.linear() = Eigen::DiagonalMatrix<double, 3>(1, -1, -1);
  above.translation() = Eigen::Vector3d(0, 0, 100);
  const auto measured = measure_surface_error(truth, surface_of(truth), {above});
  ASSERT_TRUE(measured.ok());
  // Less than the half that faces the camera; the view's angle at 75 degrees incidence is 75 -
  // asin(sin 75 / 5).
  const double cap = std::cos((75 - 11.14) * M_PI / 180);
  EXPECT_NEAR(measured->seeable_mm2, 2 * M_PI * 400 * (1 - cap), 25);
}

TEST(EdgeError, IsThatOfWhatIsSharpAlone) {
  // A roof with an edge of 60 degrees, and a model that is blunt there and right elsewhere.
  Mesh truth = shapes::plane(20, 40);
  for (auto& v : truth.vertices_mm) v.z() = 0.577F * std::abs(v.x());
  Mesh blunt = truth;
  for (auto& v : blunt.vertices_mm) v.z() = std::max(v.z(), 0.05F);
  const auto measured = measure_edge_error(blunt, truth);
  ASSERT_TRUE(measured.ok());
  EXPECT_EQ(measured->vertices, 41U);
  EXPECT_NEAR(measured->mean_um, 50, 8);  // nearest on the slopes beside it
  EXPECT_EQ(measured->left_out, 0);
  EXPECT_LT(measure_edge_error(truth, truth)->p95_um, 0.01);
  EXPECT_EQ(measure_edge_error(shapes::plane(20, 40), shapes::plane(20, 40))->vertices, 0U);
}

TEST(EdgeError, SaysWhatShareOfTheEdgesItLeavesOut) {
  Mesh truth = shapes::plane(20, 40);
  for (auto& v : truth.vertices_mm) v.z() = 0.577F * std::abs(v.x());
  // Blunt by 0.3 mm along a part of the edge.
  Mesh model = truth;
  for (auto& v : model.vertices_mm)
    if (v.y() > 10.1F) v.z() = std::max(v.z(), 0.3F);
  const auto measured = measure_edge_error(model, truth);
  ASSERT_TRUE(measured.ok());
  EXPECT_EQ(measured->vertices, 31U);
  EXPECT_DOUBLE_EQ(measured->left_out, 10.0 / 41);
  // All of it.
  const auto nothing = measure_edge_error(moved(truth, motion(0, {0, 0, 1}, {0, 0, 5})), truth);
  ASSERT_TRUE(nothing.ok());
  EXPECT_EQ(nothing->vertices, 0U);
  EXPECT_EQ(nothing->left_out, 1);
}

TEST(BestFit, FindsAScanAgainFromAPoseNearby) {
  const Mesh truth = shapes::relief(25, 120);
  const RigidTransform truth_from_model = motion(1.1, {1, 2, -0.5}, Eigen::Vector3d(40, -25, 90));
  const Mesh model = moved(truth, truth_from_model.inverse());
  const auto fit =
      fit_to_surface(model, surface_of(truth),
                     {motion(0.05, {0, 1, 0.3}, Eigen::Vector3d(1, 1.5, -1)) * truth_from_model,
                      RigidTransform::Identity()});
  ASSERT_TRUE(fit.ok()) << fit.error().message;
  const RigidTransform off = fit->truth_from_model * truth_from_model.inverse();
  EXPECT_LT(off.translation().norm(), 0.005);
  EXPECT_LT(Eigen::AngleAxisd(off.linear()).angle(), 1e-4);
  EXPECT_GT(fit->inlier_share, 0.99);
}

TEST(BestFit, FindsAScanAgainWithoutAnyPose) {
  const Mesh truth = shapes::relief(25, 120);
  Mesh model = truth;
  std::erase_if(model.triangles, [&](const auto& t) {
    return model.vertices_mm[t[0]].norm() > 24;  // not all of it was scanned
  });
  const RigidTransform truth_from_model = motion(2.3, {0.2, -1, 1}, Eigen::Vector3d(5, 70, -30));
  const auto fit = fit_to_surface(moved(model, truth_from_model.inverse()), surface_of(truth), {});
  ASSERT_TRUE(fit.ok()) << fit.error().message;
  EXPECT_TRUE(fit->truth_from_model.isApprox(truth_from_model, 1e-3));
}

TEST(BestFit, AveragesNoiseAway) {
  const Mesh truth = shapes::relief(25, 120);
  Mesh model = truth;
  std::mt19937 random(3);
  std::normal_distribution<float> noise(0, 0.05F);
  for (auto& vertex : model.vertices_mm) vertex.z() += noise(random);
  const auto fit = fit_to_surface(model, surface_of(truth),
                                  {motion(0.02, {1, 0, 1}, Eigen::Vector3d(0.5, 0.5, 0.5))});
  ASSERT_TRUE(fit.ok());
  EXPECT_LT(fit->truth_from_model.translation().norm(), 0.02);
}

TEST(BestFit, SaysSoWhenThereIsNoFit) {
  const auto fit = fit_to_surface(shapes::sphere(60, 60), surface_of(shapes::relief(25, 60)),
                                  {RigidTransform::Identity()});
  ASSERT_FALSE(fit.ok());
  EXPECT_NE(fit.error().message.find("does not fit"), std::string::npos);
  EXPECT_FALSE(fit_to_surface(Mesh{}, surface_of(shapes::relief(25, 60)), {}).ok());
}

TEST(SampleByArea, SpreadsEvenly) {
  Mesh mesh = shapes::plane(10, 2);
  const auto samples = sample_by_area(mesh, 4000);
  ASSERT_NEAR(static_cast<double>(samples.size()), 4000, 1);
  int right = 0, upper = 0;
  for (const auto& sample : samples) {
    right += sample.point_mm.x() > 0 ? 1 : 0;
    upper += sample.point_mm.y() > 0 ? 1 : 0;
    EXPECT_LE(sample.point_mm.cwiseAbs().maxCoeff(), 10);
    EXPECT_FLOAT_EQ(sample.normal.z(), 1);
  }
  EXPECT_NEAR(right, 2000, 40);
  EXPECT_NEAR(upper, 2000, 40);
}

std::vector<Eigen::Vector3d> spiral(int count) {
  std::vector<Eigen::Vector3d> points;
  for (int i = 0; i < count; ++i)
    points.emplace_back(100 * std::cos(0.05 * i), 100 * std::sin(0.05 * i), 0.5 * i);
  return points;
}

TEST(TrajectoryError, IsNothingForTheSamePathInAnotherFrame) {
  const auto truth = spiral(300);
  std::vector<Eigen::Vector3d> estimate;
  const RigidTransform other = motion(0.8, {1, -1, 2}, Eigen::Vector3d(300, -5, 20));
  for (const auto& point : truth) estimate.push_back(other * point);
  const auto off = absolute_trajectory_error(estimate, truth);
  ASSERT_TRUE(off.ok());
  EXPECT_NEAR(off->rmse_mm, 0, 1e-9);
  EXPECT_NEAR(off->length_mm, 299 * std::hypot(200 * std::sin(0.025), 0.5), 1e-6);
}

TEST(TrajectoryError, MeasuresWhatAlignmentCannotTakeAway) {
  const auto truth = spiral(300);
  auto estimate = truth;
  for (std::size_t i = 0; i < estimate.size(); ++i)
    estimate[i].z() += i % 2 == 0 ? 2.0 : -2.0;  // to and fro: no rigid motion helps
  const auto off = absolute_trajectory_error(estimate, truth);
  ASSERT_TRUE(off.ok());
  EXPECT_NEAR(off->rmse_mm, 2, 0.02);
  EXPECT_NEAR(off->median_mm, 2, 0.05);
  EXPECT_NEAR(off->max_mm, 2, 0.1);
  auto scaled = truth;
  for (auto& point : scaled) point *= 1.1;  // scale is an error of its own
  EXPECT_GT(absolute_trajectory_error(scaled, truth)->rmse_mm, 5);
}

TEST(TrajectoryError, NeedsThreeFrames) {
  const auto two = spiral(2);
  EXPECT_EQ(absolute_trajectory_error(two, two).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace cusp::verify
