#include "pipeline/smooth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/pipeline/jaw.h"

namespace cusp {
namespace {

// Two planes that meet at x = 0 under this angle, on a grid of 0.05 mm; noise upright to them.
struct Wedge {
  Mesh noisy;
  Mesh clean;
  std::vector<Eigen::Vector3f> normals;
};
Wedge wedge(double slope, float sigma_mm) {
  Wedge result;
  constexpr int kSide = 60;
  constexpr double kCell = 0.05;
  std::mt19937 random(3);
  std::normal_distribution<float> noise(0, sigma_mm);
  for (int y = 0; y <= kSide; ++y)
    for (int x = -kSide / 2; x <= kSide / 2; ++x) {
      const Eigen::Vector3d p(x * kCell, y * kCell, -slope * std::abs(x) * kCell);
      const Eigen::Vector3d n =
          Eigen::Vector3d(x == 0 ? 0 : (x > 0 ? slope : -slope), 0, 1).normalized();
      result.clean.vertices_mm.push_back(p.cast<float>());
      result.normals.push_back(n.cast<float>());
      result.noisy.vertices_mm.push_back(result.clean.vertices_mm.back() +
                                         noise(random) * result.normals.back());
    }
  for (std::uint32_t y = 0; y < kSide; ++y)
    for (std::uint32_t x = 0; x < kSide; ++x) {
      const std::uint32_t a = y * (kSide + 1) + x;
      result.noisy.triangles.push_back({a, a + 1, a + kSide + 2});
      result.noisy.triangles.push_back({a, a + kSide + 2, a + kSide + 1});
    }
  result.clean.triangles = result.noisy.triangles;
  return result;
}

// Root mean square distance along the normal, where pick(vertex) says so.
template <typename Pick>
double rms(const Wedge& w, const Mesh& mesh, const Pick& pick) {
  double sum = 0;
  int count = 0;
  for (std::size_t i = 0; i < mesh.vertices_mm.size(); ++i) {
    const Eigen::Vector3f& p = w.clean.vertices_mm[i];
    if (!pick(p) || p.y() < 0.2F || p.y() > 2.8F || std::abs(p.x()) > 1.3F) continue;
    const auto off = static_cast<double>(w.normals[i].dot(mesh.vertices_mm[i] - p));
    sum += off * off;
    ++count;
  }
  return std::sqrt(sum / count);
}

TEST(Smooth, HalvesTheNoiseOfAPlane) {
  WorkerPool pool(2);
  const Wedge w = wedge(0, 0.003F);
  Mesh mesh = w.noisy;
  smooth(mesh, {.sigma_mm = 0.003}, pool);
  const auto all = [](const Eigen::Vector3f&) { return true; };
  EXPECT_LT(rms(w, mesh, all), 0.5 * rms(w, w.noisy, all));
}

TEST(Smooth, KeepsAnEdgeWhereItIs) {
  WorkerPool pool(2);
  const Wedge w = wedge(1, 0.003F);  // a right angle
  Mesh mesh = w.noisy;
  smooth(mesh, {.sigma_mm = 0.003}, pool);
  const auto ridge = [](const Eigen::Vector3f& p) { return p.x() == 0; };
  const auto flanks = [](const Eigen::Vector3f& p) { return std::abs(p.x()) > 0.12F; };
  EXPECT_LT(rms(w, mesh, ridge), 0.004);
  EXPECT_LT(rms(w, mesh, flanks), 0.5 * rms(w, w.noisy, flanks));
}

TEST(Smooth, MovesNoVertexFurtherThanTheNoiseExplains) {
  WorkerPool pool(2);
  Mesh mesh = testing::jaw();
  testing::shake(mesh, 0.05F, 1);
  const Mesh before = mesh;
  smooth(mesh, {.sigma_mm = 0.01, .reach = 2}, pool);
  double farthest = 0;
  for (std::size_t i = 0; i < mesh.vertices_mm.size(); ++i)
    farthest = std::max<double>(farthest, (mesh.vertices_mm[i] - before.vertices_mm[i]).norm());
  EXPECT_LE(farthest, 0.02 + 1e-5);
  EXPECT_GT(farthest, 0.01);
}

TEST(Smooth, IsTheSameWithOneThreadAndWithFour) {
  WorkerPool one(1);
  WorkerPool four(4);
  Mesh a = testing::jaw();
  testing::shake(a, 0.01F, 1);
  Mesh b = a;
  smooth(a, {.sigma_mm = 0.01}, one);
  smooth(b, {.sigma_mm = 0.01}, four);
  EXPECT_EQ(a.vertices_mm, b.vertices_mm);
}

TEST(Smooth, TakesTrianglesWithoutArea) {
  WorkerPool pool(1);
  Mesh mesh;
  mesh.vertices_mm = {{0, 0, 0}, {1, 0, 0}, {2, 0, 0}, {1, 1, 0}};
  mesh.triangles = {{0, 2, 1}, {0, 1, 3}, {1, 2, 3}};
  smooth(mesh, {.sigma_mm = 1}, pool);
  EXPECT_TRUE(validate(mesh).ok());
  Mesh nothing;
  smooth(nothing, {.sigma_mm = 1}, pool);
}

}  // namespace
}  // namespace cusp
