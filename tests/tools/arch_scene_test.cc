#include "tools/sim/arch_scene.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/tools/manifold.h"
#include "tools/sim/surface_nets.h"

namespace cusp::sim {
namespace {

constexpr double kTestResolution = 0.35;
constexpr float kNone = std::numeric_limits<float>::lowest();

struct OnArch {
  float along;    // mm along the arch curve
  float outside;  // mm outwards from it
  float z;
};

// Measures a jaw on its mesh; of the recipe it knows the arch curve and where each tooth stands.
class JawTest : public testing::TestWithParam<Jaw> {
 protected:
  JawTest()
      : mesh_(make_arch({.jaw = GetParam(), .resolution_mm = kTestResolution})),
        curve_(arch_curve(GetParam())),
        teeth_(place_teeth(GetParam(), curve_, ArchSceneOptions{}.seed)) {
    for (const Eigen::Vector3f& p : mesh_.vertices_mm) {
      const Eigen::Vector2f place = curve_.project(p.head<2>());
      points_.push_back({place.x(), place.y(), p.z()});
    }
  }

  [[nodiscard]] std::vector<Eigen::Vector3f> crown_of(const PlacedTooth& tooth) const {
    std::vector<Eigen::Vector3f> crown;
    for (const Eigen::Vector3f& p : mesh_.vertices_mm) {
      const Eigen::Vector3f local = tooth.local_from_model(p);
      const bool within = 2.0f * std::abs(local.x()) < 0.94f * tooth.size.mesiodistal_mm &&
                          2.0f * std::abs(local.y()) < 1.2f * tooth.size.buccolingual_mm &&
                          local.z() > -0.8f * tooth.size.crown_height_mm;
      if (within) crown.push_back(local);
    }
    return crown;
  }

  // Peaks of the crown that stand at least kProminence above the saddle to a higher one. Vertices
  // are flooded from the top down; where two peaks meet, the lower one is settled.
  [[nodiscard]] int cusps(const PlacedTooth& tooth) const {
    constexpr float kProminence = 0.12f;
    constexpr std::size_t kUnflooded = std::numeric_limits<std::size_t>::max();
    std::vector<float> height(mesh_.vertices_mm.size(), kNone);
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < height.size(); ++i) {
      const Eigen::Vector3f local = tooth.local_from_model(mesh_.vertices_mm[i]);
      const Eigen::Vector2f share(2.0f * local.x() / tooth.size.mesiodistal_mm,
                                  2.0f * local.y() / tooth.size.buccolingual_mm);
      if (share.cwiseAbs().maxCoeff() > 0.88f || local.z() < -3.5f) continue;
      height[i] = local.z();
      order.push_back(i);
    }
    std::vector<std::vector<std::size_t>> neighbours(height.size());
    for (const auto& t : mesh_.triangles) {
      for (std::size_t k = 0; k < 3; ++k) neighbours[t[k]].push_back(t[(k + 1) % 3]);
    }
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return height[a] > height[b]; });
    std::vector<std::size_t> peak(height.size(), kUnflooded);
    const auto top = [&](std::size_t v) {
      while (peak[v] != v) v = peak[v];
      return v;
    };
    int count = 0;
    for (const std::size_t v : order) {
      peak[v] = v;
      for (const std::size_t n : neighbours[v]) {
        if (peak[n] == kUnflooded || top(n) == top(v)) continue;
        std::size_t low = top(n);
        std::size_t high = top(v);
        if (height[low] > height[high]) std::swap(low, high);
        if (height[low] - height[v] >= kProminence) ++count;
        peak[low] = high;
      }
    }
    return count + 1;
  }

  [[nodiscard]] static float contact_height(const PlacedTooth& a, const PlacedTooth& b) {
    return 0.5f * (a.origin_mm.z() + b.origin_mm.z()) -
           0.15f * (a.size.crown_height_mm + b.size.crown_height_mm);
  }

  // Largest and smallest distance from the arch curve within a stretch of it, near a height.
  struct Extent {
    float low = std::numeric_limits<float>::max();
    float high = kNone;
    [[nodiscard]] float size() const { return high - low; }
  };
  [[nodiscard]] Extent extent(float along, float half_stretch, float z, float half_height) const {
    Extent extent;
    for (const OnArch& p : points_) {
      if (std::abs(p.along - along) > half_stretch || std::abs(p.z - z) > half_height) continue;
      if (std::abs(p.outside) > 9.0f) continue;
      extent.low = std::min(extent.low, p.outside);
      extent.high = std::max(extent.high, p.outside);
    }
    return extent;
  }

  [[nodiscard]] float highest(float along, float half_stretch) const {
    float z = kNone;
    for (const OnArch& p : points_) {
      if (std::abs(p.along - along) <= half_stretch && std::abs(p.outside) < 7.0f) {
        z = std::max(z, p.z);
      }
    }
    return z;
  }

  // Where the row of teeth is thinnest near the boundary of two neighbours.
  [[nodiscard]] float contact(const PlacedTooth& a, const PlacedTooth& b) const {
    const float expected = a.along_mm + 0.5f * a.size.mesiodistal_mm;
    float best = 0.0f;
    float thinnest = std::numeric_limits<float>::max();
    for (float shift = -1.5f; shift <= 1.5f; shift += 0.1f) {
      const Extent here = extent(expected + shift, 0.2f, contact_height(a, b), 0.35f);
      if (here.high == kNone || here.size() >= thinnest) continue;
      thinnest = here.size();
      best = expected + shift;
    }
    return best;
  }

  Mesh mesh_;
  ArchCurve curve_;
  std::vector<PlacedTooth> teeth_;
  std::vector<OnArch> points_;
};

INSTANTIATE_TEST_SUITE_P(Both, JawTest, testing::Values(Jaw::kUpper, Jaw::kLower),
                         [](const auto& jaw) {
                           return std::string(jaw.param == Jaw::kUpper ? "Upper" : "Lower");
                         });

TEST_P(JawTest, IsOneClosedSurfaceWoundOutwards) {
  const Result<void> valid = validate(mesh_);
  EXPECT_TRUE(valid.ok());
  EXPECT_EQ(mesh_.normals.size(), mesh_.vertices_mm.size());
  EXPECT_TRUE(every_edge_is_shared_by_two_opposite_triangles(mesh_));
  EXPECT_TRUE(every_vertex_has_one_fan(mesh_));
  EXPECT_GT(smallest_triangle_mm2(mesh_), 1e-6f);
  EXPECT_GT(volume_mm3(mesh_), 5000.0);
  EXPECT_EQ(largest_part(mesh_).triangles.size(), mesh_.triangles.size());
}

TEST_P(JawTest, HasTheTabledMesiodistalWidthsFromContactToContact) {
  std::vector<float> borders;
  const auto [first, last] =
      std::minmax_element(points_.begin(), points_.end(),
                          [](const OnArch& a, const OnArch& b) { return a.along < b.along; });
  ASSERT_LT(first->along, -0.5f * curve_.length_mm());
  ASSERT_GT(last->along, 0.5f * curve_.length_mm());
  for (std::size_t i = 0; i + 1 < teeth_.size(); ++i) {
    borders.push_back(contact(teeth_[i], teeth_[i + 1]));
  }
  for (std::size_t i = 1; i + 1 < teeth_.size(); ++i) {
    const float width = borders[i] - borders[i - 1];
    EXPECT_NEAR(width, teeth_[i].size.mesiodistal_mm, 0.7f) << "tooth " << teeth_[i].fdi;
    EXPECT_NEAR(0.5f * (borders[i] + borders[i - 1]), teeth_[i].along_mm, 0.5f)
        << "tooth " << teeth_[i].fdi;
  }
}

TEST_P(JawTest, HasTheTabledBuccolingualWidthsAndCrownsUpToTheOcclusalPlane) {
  for (const PlacedTooth& tooth : teeth_) {
    float buccal = kNone;
    float lingual = kNone;
    float top = kNone;
    for (const Eigen::Vector3f& p : crown_of(tooth)) {
      top = std::max(top, p.z());
      if (std::abs(p.x()) > 0.15f * tooth.size.mesiodistal_mm) continue;  // the papillae
      buccal = std::max(buccal, p.y());
      lingual = std::max(lingual, -p.y());
    }
    EXPECT_NEAR(buccal + lingual, tooth.size.buccolingual_mm, 0.5f) << "tooth " << tooth.fdi;
    EXPECT_NEAR(top, 0.0f, 0.5f) << "tooth " << tooth.fdi;
  }
}

TEST_P(JawTest, HasAsManyCuspsOnEachToothAsItsKind) {
  const std::map<int, int> expected =
      GetParam() == Jaw::kUpper ? std::map<int, int>{{3, 1}, {4, 2}, {5, 2}, {6, 4}, {7, 4}}
                                : std::map<int, int>{{3, 1}, {4, 2}, {5, 3}, {6, 5}, {7, 4}};
  for (const PlacedTooth& tooth : teeth_) {
    if (!expected.contains(tooth.position)) continue;
    EXPECT_EQ(cusps(tooth), expected.at(tooth.position)) << "tooth " << tooth.fdi;
  }
}

TEST_P(JawTest, HasEmbrasuresAroundEveryContact) {
  for (std::size_t i = 0; i + 1 < teeth_.size(); ++i) {
    const PlacedTooth& a = teeth_[i];
    const PlacedTooth& b = teeth_[i + 1];
    const std::string pair = std::to_string(a.fdi) + " and " + std::to_string(b.fdi);
    const float z = contact_height(a, b);
    const Extent between = extent(contact(a, b), 0.25f, z, 0.4f);
    const Extent of_a = extent(a.along_mm, 0.5f, z, 0.4f);
    const Extent of_b = extent(b.along_mm, 0.5f, z, 0.4f);
    EXPECT_LT(between.size(), 0.75f * 0.5f * (of_a.size() + of_b.size())) << pair;
    const float reach_a = highest(a.along_mm, 0.4f * a.size.mesiodistal_mm);
    const float reach_b = highest(b.along_mm, 0.4f * b.size.mesiodistal_mm);
    EXPECT_LT(highest(contact(a, b), 0.15f), std::min(reach_a, reach_b) - 0.15f) << pair;
  }
}

TEST_P(JawTest, HasAtLeastFiveMillimetresOfGumBelowEachTooth) {
  for (const PlacedTooth& tooth : teeth_) {
    const float cervix = tooth.model_from_local({0.0f, 0.0f, -tooth.size.crown_height_mm}).z();
    float lowest = std::numeric_limits<float>::max();
    for (const OnArch& p : points_) {
      if (std::abs(p.along - tooth.along_mm) < 0.5f && p.outside > 0.0f) {
        lowest = std::min(lowest, p.z);
      }
    }
    EXPECT_GT(cervix - lowest, 5.0f) << "tooth " << tooth.fdi;
    EXPECT_LT(cervix - lowest, 11.0f) << "tooth " << tooth.fdi;
  }
}

TEST(ArchScene, IsTheSameForTheSameSeedAndAnotherForAnother) {
  const auto make = [](std::uint32_t seed) {
    return make_arch({.jaw = Jaw::kLower, .resolution_mm = 0.5, .seed = seed});
  };
  const Mesh first = make(7);
  const Mesh again = make(7);
  const Mesh other = make(8);
  ASSERT_EQ(first.vertices_mm.size(), again.vertices_mm.size());
  ASSERT_EQ(first.triangles, again.triangles);
  EXPECT_EQ(std::memcmp(first.vertices_mm.data(), again.vertices_mm.data(),
                        first.vertices_mm.size() * sizeof(Eigen::Vector3f)),
            0);
  EXPECT_NE(first.vertices_mm, other.vertices_mm);
}

TEST(ArchScene, StaysClosedForOtherSeedsAndCoarseGrids) {
  for (std::uint32_t seed = 2; seed < 6; ++seed) {
    const Jaw jaw = seed % 2 == 0 ? Jaw::kUpper : Jaw::kLower;
    const Mesh mesh = make_arch({.jaw = jaw, .resolution_mm = 0.5, .seed = seed});
    EXPECT_TRUE(every_edge_is_shared_by_two_opposite_triangles(mesh)) << seed;
    EXPECT_TRUE(every_vertex_has_one_fan(mesh)) << seed;
  }
}

TEST(ArchSceneDeathTest, RefusesAGridTooFineForMemoryOrTooCoarseForTeeth) {
  EXPECT_DEATH(make_arch({.resolution_mm = 0.01}), "0.05 to 0.5");
  EXPECT_DEATH(make_arch({.resolution_mm = 2.0}), "0.05 to 0.5");
}

TEST(ArchCurve, IsTheSymmetricCurveOnWhichAllTeethJustFit) {
  for (const Jaw jaw : {Jaw::kUpper, Jaw::kLower}) {
    const ArchCurve curve = arch_curve(jaw);
    float widths = 0.0f;
    for (const ToothSize& size : tooth_sizes(jaw)) widths += 2.0f * size.mesiodistal_mm;
    EXPECT_NEAR(curve.length_mm(), widths, 0.01f);
    for (float along = -50.0f; along <= 50.0f; along += 2.5f) {
      const Eigen::Vector2f p = curve.at(along);
      const Eigen::Vector2f mirrored = curve.at(-along);
      EXPECT_NEAR(p.x(), -mirrored.x(), 0.05f);
      EXPECT_NEAR(p.y(), mirrored.y(), 0.05f);
      EXPECT_NEAR((curve.at(along + 0.5f) - p).norm(), 0.5f, 0.01f);
      EXPECT_NEAR(curve.project(p).x(), along, 0.02f);
      EXPECT_NEAR(curve.project(p).y(), 0.0f, 0.01f);
    }
    EXPECT_GT(curve.project({0.0f, 60.0f}).y(), 0.0f);
    EXPECT_LT(curve.project({0.0f, 0.0f}).y(), 0.0f);
    EXPECT_NEAR(curve.at(0.0f).y(), 0.5f * curve.depth_mm(), 0.01f);
  }
}

TEST(PlacedTeeth, CarryTheFdiNumberOfTheirSideInARightHandedFrame) {
  const auto numbers = [](Jaw jaw) {
    std::vector<int> fdi;
    for (const PlacedTooth& tooth : place_teeth(jaw, arch_curve(jaw), 1)) fdi.push_back(tooth.fdi);
    return fdi;
  };
  // From -x to +x: +x is the patient's left in the upper jaw and the right in the lower.
  EXPECT_EQ(numbers(Jaw::kUpper),
            (std::vector<int>{17, 16, 15, 14, 13, 12, 11, 21, 22, 23, 24, 25, 26, 27}));
  EXPECT_EQ(numbers(Jaw::kLower),
            (std::vector<int>{37, 36, 35, 34, 33, 32, 31, 41, 42, 43, 44, 45, 46, 47}));
}

TEST(PlacedTeeth, TurnTheirAxesOutwardsBackwardsAndUp) {
  for (const Jaw jaw : {Jaw::kUpper, Jaw::kLower}) {
    const ArchCurve curve = arch_curve(jaw);
    for (const PlacedTooth& tooth : place_teeth(jaw, curve, 3)) {
      const Eigen::Matrix3f gram = tooth.axes.transpose() * tooth.axes;
      EXPECT_TRUE(gram.isIdentity(1e-4f)) << tooth.fdi;
      EXPECT_GT(tooth.axes(2, 2), 0.9f) << tooth.fdi;
      const auto away_from_midline = [&](const Eigen::Vector3f& local) {
        return std::abs(curve.project(tooth.model_from_local(local).head<2>()).x());
      };
      EXPECT_GT(away_from_midline({1.0f, 0.0f, 0.0f}), away_from_midline({-1.0f, 0.0f, 0.0f}));
      EXPECT_GT(curve.project(tooth.model_from_local({0.0f, 3.0f, 0.0f}).head<2>()).y(), 0.0f);
      const Eigen::Vector3f point(1.0f, -2.0f, 3.0f);
      EXPECT_TRUE(tooth.local_from_model(tooth.model_from_local(point)).isApprox(point, 1e-4f));
    }
  }
}

TEST_P(JawTest, KnowsEnamelFromGum) {
  const std::vector<Tissue> tissues =
      arch_tissues({.jaw = GetParam(), .resolution_mm = kTestResolution}, mesh_);
  ASSERT_EQ(tissues.size(), mesh_.vertices_mm.size());
  int gum = 0, dentine = 0;
  for (std::size_t i = 0; i < tissues.size(); ++i) {
    const Eigen::Vector3f& p = mesh_.vertices_mm[i];
    // Over the neck of the tooth in whose middle third it lies.
    float height = kNone;
    for (const PlacedTooth& tooth : teeth_) {
      const Eigen::Vector3f local = tooth.local_from_model(p);
      if (6.0f * std::abs(local.x()) < tooth.size.mesiodistal_mm &&
          2.0f * std::abs(local.y()) < tooth.size.buccolingual_mm)
        height = local.z() + tooth.size.crown_height_mm;
    }
    if (height > 5.0f) {
      EXPECT_EQ(tissues[i], Tissue::kEnamel) << p.transpose();
    }
    if (height > 1.3f) {
      EXPECT_NE(tissues[i], Tissue::kDentine) << p.transpose();
    }
    if (p.z() < -16.0f) {
      EXPECT_EQ(tissues[i], Tissue::kGingiva) << p.transpose();
    }
    gum += tissues[i] == Tissue::kGingiva ? 1 : 0;
    dentine += tissues[i] == Tissue::kDentine ? 1 : 0;
  }
  const auto all = static_cast<double>(tissues.size());
  EXPECT_GT(gum / all, 0.25);
  EXPECT_LT(gum / all, 0.85);
  EXPECT_GT(dentine, 0);
  EXPECT_LT(dentine / all, 0.15);
}

}  // namespace
}  // namespace cusp::sim
