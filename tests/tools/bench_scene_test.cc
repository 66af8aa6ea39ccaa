// The benchmark's scenes: same request, same frames; noise as large as it says; and the measure of
// a bent jaw.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numbers>

#include "tools/bench/arch_error.h"
#include "tools/bench/depth_noise.h"
#include "tools/bench/depth_stream.h"
#include "tools/sim/arch_scene.h"

namespace cusp::bench {
namespace {

constexpr Intrinsics kCamera{
    .width_px = 160, .height_px = 120, .fx_px = 150, .fy_px = 150, .cx_px = 79.5, .cy_px = 59.5};
constexpr std::size_t kPixels = 160 * 120;

// A wall across the axis.
sim::DepthImage wall(float depth_mm, float cosine) {
  return {.intrinsics = kCamera,
          .depth_mm = std::vector<float>(kPixels, depth_mm),
          .cos_incidence = std::vector<float>(kPixels, cosine),
          .triangle = std::vector<std::uint32_t>(kPixels, 0)};
}

std::vector<std::uint16_t> measured(DepthNoise& noise, const sim::DepthImage& image,
                                    std::uint64_t frame) {
  std::vector<std::uint16_t> z16(kPixels);
  noise.measure(image, frame, z16);
  return z16;
}

// Standard deviation of the measured pixels about the ideal depth, mm.
double spread_mm(const std::vector<std::uint16_t>& z16, double ideal_mm) {
  double squares = 0, count = 0;
  for (const std::uint16_t counts : z16) {
    if (counts == 0) continue;
    squares += std::pow(0.001 * counts - ideal_mm, 2);
    ++count;
  }
  return std::sqrt(squares / count);
}

TEST(DepthNoise, AFrameDependsOnSeedAndNumberAlone) {
  DepthNoise noise({}, kCamera), again({}, kCamera), other({.seed = 2}, kCamera);
  const auto image = wall(15, 1);
  measured(again, image, 3);
  const auto frame = measured(noise, image, 7);
  EXPECT_EQ(measured(again, image, 7), frame);
  EXPECT_NE(measured(noise, image, 8), frame);
  EXPECT_NE(measured(other, image, 7), frame);
}

TEST(DepthNoise, IsAsLargeAsItSaysAndGrowsWithDepthAndIncidence) {
  DepthNoise noise({.sigma_mm = 0.02, .warp_mm = 0, .outlier_share = 0}, kCamera);
  EXPECT_NEAR(spread_mm(measured(noise, wall(15, 1), 1), 15), 0.02, 0.001);
  EXPECT_NEAR(spread_mm(measured(noise, wall(30, 1), 1), 30), 0.08, 0.004);
  EXPECT_NEAR(spread_mm(measured(noise, wall(15, 0.5F), 1), 15), 0.04, 0.002);
}

TEST(DepthNoise, WarpIsFixedToTheCameraAndHasNoMean) {
  const DepthNoise noise({.warp_mm = 0.012}, kCamera);
  double sum = 0;
  float largest = 0;
  for (const float value : noise.warp_mm()) {
    sum += value;
    largest = std::max(largest, std::abs(value));
  }
  EXPECT_NEAR(largest, 0.012, 1e-6);
  EXPECT_NEAR(sum / kPixels, 0, 1e-6);

  DepthNoise alone({.sigma_mm = 0, .warp_mm = 0.012, .lost_share = 0, .outlier_share = 0}, kCamera);
  const auto z16 = measured(alone, wall(15, 1), 5);
  for (std::size_t i = 0; i < kPixels; ++i)
    EXPECT_NEAR(0.001 * z16[i], 15 + alone.warp_mm()[i], 0.00051);
}

TEST(DepthNoise, LosesPixelsAtRandomAtGrazingIncidenceAndAtJumps) {
  DepthNoise noise({}, kCamera);
  const auto lost = [](const std::vector<std::uint16_t>& z16) {
    return static_cast<double>(std::ranges::count(z16, 0)) / kPixels;
  };
  EXPECT_NEAR(lost(measured(noise, wall(15, 1), 1)), 0.003, 0.0015);
  EXPECT_EQ(lost(measured(noise, wall(15, 0.2F), 1)), 1);

  auto step = wall(15, 1);
  for (std::size_t i = 0; i < kPixels; ++i)
    if (i % 160 >= 80) step.depth_mm[i] = 17;
  const auto z16 = measured(noise, step, 1);
  int gone = 0, between = 0;
  for (std::size_t row = 0; row < 120; ++row)
    for (const std::size_t at : {160 * row + 79, 160 * row + 80}) {
      gone += z16[at] == 0;
      between += z16[at] > 15100 && z16[at] < 16900;
    }
  EXPECT_NEAR(gone, 120, 30);
  EXPECT_GT(between, 60);
}

TEST(DepthNoise, NothingInFrontOfTheSensorStaysNothing) {
  DepthNoise noise({}, kCamera);
  EXPECT_THAT(measured(noise, wall(0, 0), 1), testing::Each(0));
}

class CachedStream : public testing::Test {
 protected:
  CachedStream() { std::filesystem::remove_all(folder_); }
  ~CachedStream() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
      paths.push_back(entry.path());
    return paths;
  }

  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) /
      fmt::format("cusp-bench-{}", testing::UnitTest::GetInstance()->random_seed() + getpid());
  const SceneRequest request_{.name = "face", .frames = 2, .seed = 3};
};

TEST_F(CachedStream, IsRenderedOnceAndThenReadBackTheSame) {
  const auto made = DepthStream::open(request_, folder_);
  ASSERT_TRUE(made.ok()) << made.error().message;
  ASSERT_EQ(files().size(), 1U);
  const auto written = std::filesystem::last_write_time(files().front());
  const auto read = DepthStream::open(request_, folder_);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(std::filesystem::last_write_time(files().front()), written);
  ASSERT_EQ(read->size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(std::ranges::equal(made->z16(i), read->z16(i)));
    EXPECT_TRUE(made->truth_from_sensor()[i].isApprox(read->truth_from_sensor()[i], 0));
  }
  EXPECT_EQ(made->truth().vertices_mm, read->truth().vertices_mm);
  EXPECT_EQ(made->raw(1, 9).bytes, read->raw(1, 9).bytes);
  EXPECT_GT(std::ranges::count_if(read->z16(0), [](auto counts) { return counts > 0; }), 30000);
}

TEST_F(CachedStream, ADamagedFileIsMadeAnew) {
  const auto made = DepthStream::open(request_, folder_);
  ASSERT_TRUE(made.ok());
  const auto size = std::filesystem::file_size(files().front());
  std::filesystem::resize_file(files().front(), size / 2);
  const auto again = DepthStream::open(request_, folder_);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->size(), 2U);
  EXPECT_EQ(std::filesystem::file_size(files().front()), size);
}

TEST_F(CachedStream, AnUnknownSceneIsNamedWithTheKnownOnes) {
  const auto none = DepthStream::open({.name = "knee"}, folder_);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(none.error().message, testing::HasSubstr("arch10"));
}

class BentArch : public testing::Test {
 protected:
  // The error of the jaw moved by `bend`.
  template <typename Bend>
  ArchError error_of(Bend bend) {
    Mesh model = truth_.mesh();
    for (Eigen::Vector3f& vertex : model.vertices_mm) vertex = bend(vertex);
    const auto measured = measure_arch_error(model, truth_, molars_mm_);
    EXPECT_TRUE(measured.ok());
    return measured.ok() ? *measured : ArchError{NAN, NAN};
  }

  const sim::Surface truth_ = sim::Surface::create(sim::make_arch({.resolution_mm = 0.4})).value();
  const std::pair<Eigen::Vector3d, Eigen::Vector3d> molars_mm_ = *find_scene({})->molars_mm;
  const double apart_mm_ = (molars_mm_.first - molars_mm_.second).norm();
};

TEST_F(BentArch, StretchedBetweenTheMolarsIsWiderByThat) {
  EXPECT_GT(apart_mm_, 40);
  const ArchError wider = error_of([](const Eigen::Vector3f& p) -> Eigen::Vector3f {
    return {1.002F * p.x(), p.y(), p.z()};
  });
  EXPECT_NEAR(wider.intermolar_mm, 0.002 * apart_mm_, 0.01);
  EXPECT_LT(wider.twist_deg, 0.1);
}

TEST_F(BentArch, TwistedBetweenTheMolarsIsToldInDegrees) {
  const double a_mm = 0.5 * std::numbers::pi / 180 / apart_mm_;  // half a degree in all
  const ArchError twisted = error_of([&](const Eigen::Vector3f& p) -> Eigen::Vector3f {
    return Eigen::AngleAxisf(static_cast<float>(a_mm) * p.x(), Eigen::Vector3f::UnitX()) * p;
  });
  EXPECT_NEAR(twisted.twist_deg, 0.5, 0.03);
  EXPECT_NEAR(twisted.intermolar_mm, 0, 0.01);
}

TEST_F(BentArch, TheTruthItselfHasNone) {
  const ArchError none = error_of([](const Eigen::Vector3f& p) { return p; });
  EXPECT_NEAR(none.intermolar_mm, 0, 1e-4);
  EXPECT_NEAR(none.twist_deg, 0, 1e-3);
}

TEST_F(BentArch, WithoutAMolarThereIsNoMeasure) {
  Mesh incisors;
  incisors.vertices_mm = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}};
  incisors.triangles = {{0, 1, 2}};
  EXPECT_FALSE(measure_arch_error(incisors, truth_, molars_mm_).ok());
}

}  // namespace
}  // namespace cusp::bench
