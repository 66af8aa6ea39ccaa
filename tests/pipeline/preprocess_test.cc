#include "pipeline/preprocess.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "pipeline/preprocess_kernel.h"
#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

using testing::small_camera;
using testing::tilted_plane;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

NoiseModel noise() { return {testing::small_options(), small_camera()}; }

MeasuredSurface measured(const DepthFrame& frame, int threads = 2) {
  WorkerPool pool(threads);
  return preprocess(frame, noise(), pool);
}

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// A surface with slopes, jumps, holes and what no device should send.
DepthFrame rough(std::uint32_t seed) {
  DepthFrame frame = tilted_plane(Eigen::Vector3d(0.3, -0.2, -1).normalized(), -70);
  std::mt19937 random(seed);
  const float odd[] = {0, kNan, kInfinity, -kInfinity, -5, 1e30F, 60};
  for (float& z : frame.depth_mm) {
    z += 0.05F * static_cast<float>(random() % 7) - 0.15F;
    if (random() % 50 == 0) z = odd[random() % 7];
  }
  return frame;
}

TEST(Preprocess, FindsThePlaneThatAnExactFrameShows) {
  const Eigen::Vector3d normal = Eigen::Vector3d(0.4, -0.3, -1).normalized();
  const MeasuredSurface surface = measured(tilted_plane(normal, -70));
  const Intrinsics& in = surface.intrinsics;
  for (int y = 2; y < in.height_px - 2; ++y)
    for (int x = 2; x < in.width_px - 2; ++x) {
      const auto i = static_cast<std::size_t>(y * in.width_px + x);
      ASSERT_GT(surface.weights[i], 0) << x << ' ' << y;
      ASSERT_LT((surface.planes[i].head<3>() - normal.cast<float>()).norm(), 1e-3F);
      ASSERT_NEAR(surface.planes[i].w(), -70, 0.05);
    }
  ASSERT_GT(surface.fine.count, 150U * 110U);
  for (std::size_t i = 0; i < surface.fine.weight.size(); ++i) {
    if (surface.fine.weight[i] == 0) continue;
    ASSERT_NEAR(normal.cast<float>().dot(surface.fine.point_mm(i)), -70, 0.001);
  }
}

TEST(Preprocess, WeighsByIncidenceAndByThePixelsOwnSigma) {
  DepthFrame frame = tilted_plane({0, 0, -1}, -76.0);
  const MeasuredSurface usual = measured(frame);
  frame.sigma_mm.assign(frame.depth_mm.size(), noise().usual_sigma_mm());
  frame.sigma_mm[120 * 320 + 160] *= 2;
  frame.sigma_mm[120 * 320 + 200] = kNan;
  const MeasuredSurface told = measured(frame);
  const std::size_t centre = 120 * 320 + 161;
  EXPECT_NEAR(told.weights[centre], 1, 0.01);
  EXPECT_NEAR(told.weights[centre - 1], 0.25, 0.01);
  EXPECT_EQ(told.weights[120 * 320 + 200], 0);
  EXPECT_EQ(told.planes[120 * 320 + 200].w(), 0);
  // At the corner the ray is 33 degrees off the normal.
  const std::size_t corner = 5 * 320 + 5;
  EXPECT_NEAR(usual.weights[corner] / usual.weights[centre],
              1 / (1 + std::pow(154.5 / 300, 2) + std::pow(114.5 / 300, 2)), 0.01);
}

TEST(Preprocess, DropsPixelsAtDepthJumps) {
  const Calibration camera = small_camera();
  DepthFrame frame = tilted_plane({0, 0, -1}, -80);
  const int width = camera.depth.width_px;
  for (int y = 0; y < camera.depth.height_px; ++y)
    for (int x = 160; x < width; ++x)
      frame.depth_mm[static_cast<std::size_t>(y * width + x)] = x == 160 ? 75.0F : 70.0F;
  const MeasuredSurface surface = measured(frame);
  for (int x = 150; x < 172; ++x) {
    const bool kept = surface.planes[static_cast<std::size_t>(120 * width + x)].w() != 0;
    // The flying pixel (160) and its neighbours go; the rest has a normal again two pixels on.
    if (x >= 159 && x <= 161) {
      EXPECT_FALSE(kept) << x;
    } else if (x <= 156 || x >= 164) {
      EXPECT_TRUE(kept) << x;
    }
  }
}

TEST(Preprocess, SmoothsNoiseButNotAnEdge) {
  // A roof: two planes that meet in a ridge down the middle.
  DepthFrame frame = tilted_plane({0, 0, -1}, -80);
  std::mt19937 random(3);
  for (int y = 0; y < 240; ++y)
    for (int x = 0; x < 320; ++x)
      frame.depth_mm[static_cast<std::size_t>(y * 320 + x)] =
          75 + 0.15F * std::abs(static_cast<float>(x) - 160) +
          0.1F * (static_cast<float>(random() % 1000) / 1000 - 0.5F);
  const MeasuredSurface surface = measured(frame);
  double error = 0;
  int count = 0;
  for (int y = 20; y < 220; y += 2)
    for (int x = 100; x < 220; ++x) {
      const std::size_t i = static_cast<std::size_t>(y * 320 + x);
      if (std::abs(x - 160) < 5 || surface.weights[i] == 0) continue;
      const double slope = (x < 160 ? -0.15 : 0.15) * 300 / (75 + 0.15 * std::abs(x - 160));
      const double lean = slope / std::hypot(slope, 1 + (x - 159.5) / 300 * slope);
      error += std::abs(surface.planes[i].x() - lean);
      ++count;
    }
  // Unsmoothed, a reach of two pixels would leave 0.03.
  EXPECT_LT(error / count, 0.02);
  // The plane still passes through the measured point.
  const std::size_t centre = 120 * 320 + 140;
  EXPECT_NEAR(surface.planes[centre].w() / surface.planes[centre].head<3>().dot(Eigen::Vector3f(
                                               (140 - 159.5F) / 300, (120 - 119.5F) / 300, 1)),
              frame.depth_mm[centre], 1e-3);
}

TEST(Preprocess, TakesWhatIsNoDepthForNothing) {
  const Intrinsics in = small_camera().depth;
  for (const float value : {0.0F, -3.0F, kNan, kInfinity, -kInfinity, 1e30F}) {
    DepthFrame frame{.sequence = 0, .host_time = {}, .intrinsics = in, .depth_mm = {}};
    frame.depth_mm.assign(320 * 240, value);
    const MeasuredSurface surface = measured(frame);
    EXPECT_EQ(surface.fine.count, 0U) << value;
    EXPECT_EQ(surface.mean_depth_mm, 0) << value;
    for (const Eigen::Vector4f& plane : surface.planes) ASSERT_TRUE(plane.isZero(0)) << value;
  }
  const MeasuredSurface surface = measured(rough(1));
  EXPECT_GT(surface.fine.count, 1000U);
  for (std::size_t i = 0; i < surface.planes.size(); ++i) {
    ASSERT_TRUE(surface.planes[i].allFinite());
    ASSERT_TRUE(std::isfinite(surface.weights[i]));
  }
}

TEST(Preprocess, GivesTheSameBitsWithAnyThreadsAndInUsedMemory) {
  const MeasuredSurface one = measured(rough(1), 1);
  const MeasuredSurface three = measured(rough(1), 3);
  WorkerPool pool(2);
  const MeasuredSurface again =
      preprocess(rough(1), noise(), pool, preprocess(rough(2), noise(), pool));
  for (const MeasuredSurface* other : {&three, &again}) {
    EXPECT_TRUE(same_bits(one.planes, other->planes));
    EXPECT_TRUE(same_bits(one.weights, other->weights));
    EXPECT_TRUE(same_bits(one.fine.z_mm, other->fine.z_mm));
    EXPECT_TRUE(same_bits(one.coarse.nx, other->coarse.nx));
    EXPECT_EQ(one.radius_mm, other->radius_mm);
  }
}

// Voxels of 3.9 pixels a side at mid range.
NoiseModel binning_noise() {
  ReconstructionOptions options = testing::small_options();
  options.voxel_mm = 1;
  return {options, small_camera()};
}
MeasuredSurface binned(const DepthFrame& frame, int threads = 2) {
  WorkerPool pool(threads);
  return preprocess(frame, binning_noise(), pool);
}

TEST(PreprocessBinning, IsForVoxelsMuchLargerThanPixelsAndForEvenFrames) {
  EXPECT_EQ(noise().binning(), 1);
  EXPECT_EQ(binning_noise().binning(), 2);
  // At mid range, but not where the range ends.
  ReconstructionOptions far = testing::small_options();
  far.voxel_mm = 1;
  far.min_depth_mm = 0;
  far.max_depth_mm = 340;
  EXPECT_EQ(NoiseModel(far, small_camera()).binning(), 1);

  DepthFrame odd = tilted_plane({0, 0, -1}, -70);
  odd.intrinsics.height_px = 239;
  odd.depth_mm.resize(320 * 239);
  const MeasuredSurface surface = binned(odd);
  EXPECT_EQ(surface.binning, 1);
  EXPECT_EQ(surface.intrinsics, odd.intrinsics);
}

TEST(PreprocessBinning, FindsThePlaneThatAnExactFrameShows) {
  const Eigen::Vector3d normal = Eigen::Vector3d(0.4, -0.3, -1).normalized();
  const MeasuredSurface surface = binned(tilted_plane(normal, -70));
  EXPECT_EQ(surface.binning, 2);
  const Intrinsics& in = surface.intrinsics;
  ASSERT_EQ(in.width_px, 160);
  ASSERT_EQ(in.height_px, 120);
  for (int y = 2; y < in.height_px - 2; ++y)
    for (int x = 2; x < in.width_px - 2; ++x) {
      const auto i = static_cast<std::size_t>(y * in.width_px + x);
      ASSERT_GT(surface.weights[i], 0) << x << ' ' << y;
      ASSERT_LT((surface.planes[i].head<3>() - normal.cast<float>()).norm(), 2e-3F);
      // What the normal may be off by, over the way from the axis.
      ASSERT_NEAR(surface.planes[i].w(), -70, 2e-3 * 50);
    }
  // As many samples as without, at the same places of the surface.
  EXPECT_GT(surface.fine.count, 150U * 110U);
  EXPECT_EQ(surface.fine.width, 160);
  for (std::size_t i = 0; i < surface.fine.weight.size(); ++i) {
    if (surface.fine.weight[i] == 0) continue;
    ASSERT_NEAR(normal.cast<float>().dot(surface.fine.point_mm(i)), -70, 0.001);
  }
}

TEST(PreprocessBinning, HalvesTheNoiseAndKeepsThePixelsSigma) {
  DepthFrame frame = tilted_plane({0, 0, -1}, -76.0);
  std::mt19937 random(7);
  std::normal_distribution<float> off(0, 0.03F);
  for (float& z : frame.depth_mm) z += off(random);
  const float usual = binning_noise().usual_sigma_mm();
  frame.sigma_mm.assign(frame.depth_mm.size(), usual);
  const auto rms = [](const MeasuredSurface& surface) {
    double squares = 0, count = 0;
    for (std::size_t i = 0; i < surface.coarse.weight.size(); ++i) {
      if (surface.coarse.weight[i] == 0) continue;
      squares += std::pow(surface.coarse.z_mm[i] - 76, 2);
      ++count;
    }
    return std::sqrt(squares / count);
  };
  EXPECT_NEAR(rms(measured(frame)), 0.03, 0.003);
  EXPECT_NEAR(rms(binned(frame)), 0.015, 0.0015);
  frame.depth_mm.assign(frame.depth_mm.size(), 76.0F);
  EXPECT_NEAR(binned(frame).weights[60 * 160 + 80], 1, 0.01);
}

TEST(PreprocessBinning, TakesTheDiagonalThatIsMeasured) {
  // Depth that rises along x: the mean of three pixels would lie aside.
  const Eigen::Vector3d normal = Eigen::Vector3d(0.6, 0, -1).normalized();
  const DepthFrame whole = tilted_plane(normal, -70);
  const std::size_t at = 60 * 160 + 80, first = 120 * 320 + 160;
  const auto with = [&](std::initializer_list<std::size_t> missing, bool broken_sigma) {
    DepthFrame frame = whole;
    if (broken_sigma) frame.sigma_mm.assign(frame.depth_mm.size(), 0.05F);
    for (const std::size_t offset : missing)
      (broken_sigma ? frame.sigma_mm : frame.depth_mm)[first + offset] = kNan;
    return binned(frame);
  };
  const float z = with({}, false).coarse.z_mm[30 * 80 + 40];
  for (const bool broken_sigma : {false, true})
    for (const std::size_t one : {0, 1, 320, 321}) {
      const MeasuredSurface surface = with({one}, broken_sigma);
      EXPECT_NEAR(surface.coarse.z_mm[30 * 80 + 40], z, 1e-4) << one;
      EXPECT_TRUE(std::isfinite(surface.weights[at]));
    }
  EXPECT_EQ(with({0, 1}, false).weights[at], 0);
  EXPECT_EQ(with({0, 1}, false).planes[at].w(), 0);
}

TEST(PreprocessBinning, MixesColoursButNotBlack) {
  DepthFrame frame = tilted_plane({0, 0, -1}, -76.0);
  frame.rgb.assign(3 * frame.depth_mm.size(), 0);
  const std::size_t first = 120 * 320 + 160;
  const auto paint = [&](std::size_t pixel, std::uint8_t red) {
    frame.rgb[3 * pixel] = red;
    frame.rgb[3 * pixel + 1] = 90;
  };
  paint(first, 10);
  paint(first + 1, 20);
  paint(first + 321, 31);
  const MeasuredSurface surface = binned(frame);
  ASSERT_EQ(surface.rgb.size(), 3 * surface.planes.size());
  const std::size_t at = 60 * 160 + 80;
  EXPECT_EQ(surface.rgb[3 * at], 20);
  EXPECT_EQ(surface.rgb[3 * at + 1], 90);
  EXPECT_EQ(surface.rgb[3 * at + 2], 0);
  EXPECT_EQ(surface.rgb[3 * (at + 1)], 0);
}

TEST(PreprocessBinning, TakesWhatIsNoDepthForNothingAndGivesTheSameBits) {
  const MeasuredSurface one = binned(rough(1), 1);
  EXPECT_GT(one.fine.count, 500U);
  for (std::size_t i = 0; i < one.planes.size(); ++i) {
    ASSERT_TRUE(one.planes[i].allFinite());
    ASSERT_TRUE(std::isfinite(one.weights[i]));
  }
  WorkerPool pool(3);
  // In memory of another layout, too.
  const MeasuredSurface again =
      preprocess(rough(1), binning_noise(), pool, preprocess(rough(2), noise(), pool));
  EXPECT_TRUE(same_bits(one.planes, again.planes));
  EXPECT_TRUE(same_bits(one.weights, again.weights));
  EXPECT_TRUE(same_bits(one.fine.z_mm, again.fine.z_mm));
  EXPECT_EQ(one.radius_mm, again.radius_mm);
}

TEST(PreprocessKernel, GivesTheSameBitsWithAndWithoutAvx2) {
  constexpr std::size_t kWidth = 301;  // more than two blocks and a rest
  constexpr std::size_t kStride = kWidth + 2 * kImagePadPx;
  std::vector<float> ray_x(kWidth);
  for (std::size_t x = 0; x < kWidth; ++x) ray_x[x] = (static_cast<float>(x) - 150) / 300;
  const PreprocessGeometry geometry{.width = kWidth,
                                    .pixel_x_at_1mm = 1.0F / 300,
                                    .pixel_y_at_1mm = 1.0F / 301,
                                    .matching_variance = 1e-10F,
                                    .quantisation_variance = 2e-4F,
                                    .usual_sigma_mm = 0.06F,
                                    .ray_x = ray_x.data()};
  const DepthFrame frame = rough(5);
  std::vector<float> sigma(kWidth, 0.05F);
  sigma[7] = kNan;
  sigma[8] = 0;
  for (const float* own_sigma : std::initializer_list<const float*>{nullptr, sigma.data()}) {
    std::vector<std::vector<float>> results;
    for (const PreprocessKernel& kernel : {preprocess_kernel(), baseline_preprocess_kernel()}) {
      std::vector<float> kept(9 * kStride, 0.0F);
      std::vector<float> smooth = kept;
      std::vector<float> all(6 * kWidth, 0.0F);
      for (std::size_t y = 0; y < 9; ++y) {
        const float* row = frame.depth_mm.data() + 320 * (y + 1);
        kernel.without_jumps(geometry, row - 320, row, row + 320, own_sigma,
                             kept.data() + y * kStride + kImagePadPx);
      }
      kernel.smooth(geometry, kept.data() + 4 * kStride + kImagePadPx, kStride, own_sigma,
                    smooth.data() + 4 * kStride + kImagePadPx);
      kernel.planes(geometry, 0.1F, kept.data() + 4 * kStride + kImagePadPx,
                    kept.data() + 4 * kStride + kImagePadPx, kStride, own_sigma,
                    {.planes = all.data(),
                     .weights = all.data() + 4 * kWidth,
                     .z_mm = all.data() + 5 * kWidth});
      // No whole number of eights.
      std::vector<float> half(kWidth / 2 - 1, 0.0F), half_sigma = half;
      std::vector<float> two_sigmas(4 * half.size(), 0.05F);
      two_sigmas[7] = kNan;
      kernel.halve(half.size(), frame.depth_mm.data() + 320,
                   own_sigma == nullptr ? nullptr : two_sigmas.data(), half.data(),
                   half_sigma.data());
      all.insert(all.end(), half.begin(), half.end());
      all.insert(all.end(), half_sigma.begin(), half_sigma.end());
      all.insert(all.end(), kept.begin(), kept.end());
      all.insert(all.end(), smooth.begin(), smooth.end());
      results.push_back(std::move(all));
    }
    EXPECT_TRUE(same_bits(results[0], results[1]));
  }
}

}  // namespace
}  // namespace cusp
