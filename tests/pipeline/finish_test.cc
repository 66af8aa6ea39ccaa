#include "pipeline/finish.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/pipeline/manifold.h"
#include "tests/pipeline/shapes.h"

namespace cusp {
namespace {

using testing::add;
using testing::sphere;

TEST(Finish, DropsIslandsAndCountsThem) {
  Mesh mesh = sphere(10, {0, 0, 0});
  const std::size_t whole = mesh.triangles.size();
  add(mesh, sphere(0.5F, {20, 0, 0}));
  add(mesh, sphere(0.8F, {0, 30, 0}));
  const std::size_t all = mesh.triangles.size();
  const auto model = finish(mesh, {});
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(model.value().mesh.triangles.size(), whole);
  EXPECT_EQ(model.value().report.triangles_in, all);
  EXPECT_EQ(model.value().report.triangles_out, whole);
  EXPECT_EQ(model.value().report.components_dropped, 2U);
  EXPECT_NEAR(model.value().report.area_mm2, 4 * M_PI * 100, 10);
  EXPECT_EQ(model.value().mesh.normals.size(), model.value().mesh.vertices_mm.size());
  for (const Eigen::Vector3f& vertex : model.value().mesh.vertices_mm)
    EXPECT_NEAR(vertex.norm(), 10, 0.001);
}

TEST(Finish, KeepsAnIslandThatIsLargeEnough) {
  Mesh mesh = sphere(10, {0, 0, 0});
  add(mesh, sphere(5, {30, 0, 0}));
  const auto model = finish(mesh, {.min_component_share = 0.1, .target_triangles = {}});
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(model.value().report.components_dropped, 0U);
}

TEST(Finish, WeldsTrianglesThatShareNoVertices) {
  Mesh soup;
  const Mesh whole = sphere(10, {0, 0, 0});
  for (const auto& triangle : whole.triangles) {
    const auto first = static_cast<std::uint32_t>(soup.vertices_mm.size());
    for (const std::uint32_t vertex : triangle)
      soup.vertices_mm.push_back(whole.vertices_mm[vertex]);
    soup.triangles.push_back({first, first + 1, first + 2});
  }
  const auto model = finish(soup, {});
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(model.value().mesh.vertices_mm.size(), whole.vertices_mm.size());
  EXPECT_EQ(model.value().mesh.triangles.size(), whole.triangles.size());
}

TEST(Finish, DropsTrianglesThatAreNone) {
  Mesh mesh = sphere(10, {0, 0, 0});
  const std::size_t good = mesh.triangles.size();
  const auto t = mesh.triangles[0];
  mesh.triangles.push_back({t[1], t[2], t[0]});  // the same once more
  mesh.triangles.push_back({t[0], t[0], t[1]});  // a vertex twice
  const auto model = finish(mesh, {});
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(model.value().mesh.triangles.size(), good);
}

TEST(Finish, DecimatesToAboutTheTargetAndKeepsTheShape) {
  const Mesh mesh = sphere(10, {0, 0, 0}, 60);
  const auto model = finish(mesh, {.min_component_share = 0.02, .target_triangles = 2000});
  ASSERT_TRUE(model.ok());
  EXPECT_LE(model.value().mesh.triangles.size(), 2000U);
  EXPECT_GT(model.value().mesh.triangles.size(), 1800U);
  EXPECT_TRUE(validate(model.value().mesh).ok());
  for (const Eigen::Vector3f& vertex : model.value().mesh.vertices_mm)
    EXPECT_NEAR(vertex.norm(), 10, 0.1);
  EXPECT_NEAR(model.value().report.area_mm2, 4 * M_PI * 100, 15);
}

TEST(Finish, SaysWhenNothingWasScanned) {
  const auto model = finish({}, {});
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(model.error().message.find("nothing was scanned"), std::string::npos);
}

TEST(Finish, RefusesAMeshThatIsBroken) {
  Mesh mesh = sphere(10, {0, 0, 0});
  mesh.triangles[5][1] = 1000000;
  EXPECT_FALSE(finish(mesh, {}).ok());
  mesh = sphere(10, {0, 0, 0});
  mesh.vertices_mm[3].x() = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(finish(mesh, {}).ok());
}

TEST(Finish, TellsHowFarItIs) {
  std::vector<double> told;
  const auto model =
      finish(sphere(10, {0, 0, 0}), {}, {.progress = [&](double share) { told.push_back(share); }});
  ASSERT_TRUE(model.ok());
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.front(), 0);
  EXPECT_EQ(told.back(), 1);
}

TEST(Finish, IsTheSameWithOneThreadAndWithFour) {
  const Mesh mesh = sphere(10, {0, 0, 0}, 150);
  const auto one = finish(mesh, {}, {.threads = 1});
  const auto four = finish(mesh, {}, {.threads = 4});
  ASSERT_TRUE(one.ok() && four.ok());
  EXPECT_EQ(one->mesh.triangles, four->mesh.triangles);
  EXPECT_EQ(one->mesh.vertices_mm, four->mesh.vertices_mm);
  EXPECT_EQ(one->mesh.normals, four->mesh.normals);
}

TEST(Finish, DeliversAManifoldOfASoup) {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    const auto model = finish(testing::random_soup(seed, 12, 60), {.min_component_share = 0});
    ASSERT_TRUE(model.ok()) << model.error().message;
    EXPECT_EQ(testing::manifold_fault(model->mesh), "") << "seed " << seed;
  }
}

TEST(Finish, StopsWhenAsked) {
  std::stop_source stop;
  stop.request_stop();
  const auto model = finish(sphere(10, {0, 0, 0}), {}, {.stop = stop.get_token()});
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace cusp
