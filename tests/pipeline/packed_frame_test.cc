// Kept frames: what they round is far below the noise, and damaged bytes are told from frames.
#include "pipeline/packed_frame.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "pipeline/record_bytes.h"

namespace cusp {
namespace {

constexpr float kStep = 2.5e-6F;  // 1/mm: 1 um at 20 mm

DepthFrame wavy(int width_px, int height_px) {
  DepthFrame frame{.sequence = 77,
                   .host_time = MonoTime(std::chrono::milliseconds(123)),
                   .intrinsics = {.width_px = width_px,
                                  .height_px = height_px,
                                  .fx_px = 600.5,
                                  .fy_px = 601.5,
                                  .cx_px = 31.25,
                                  .cy_px = 23.75},
                   .depth_mm = {}};
  std::minstd_rand random(5);
  for (int y = 0; y < height_px; ++y)
    for (int x = 0; x < width_px; ++x) {
      const auto counts = static_cast<int>(20'000 + 300 * std::sin(0.1 * x) + 40 * y +
                                           static_cast<double>(random() % 15));
      const bool hole = (x / 9 + y / 7) % 5 == 0;
      frame.depth_mm.push_back(hole ? 0.0F : 1.0F / (static_cast<float>(counts) * kStep));
    }
  return frame;
}

TEST(PackedFrame, GivesBackWhatIsWholeCountsBitForBit) {
  const DepthFrame frame = wavy(64, 48);
  const auto packed = pack(frame, kStep);
  EXPECT_LT(packed.size(), frame.depth_mm.size() * 2);
  const auto back = unpack(packed);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->depth_mm, frame.depth_mm);
  EXPECT_EQ(back->intrinsics, frame.intrinsics);
  EXPECT_EQ(back->sequence, frame.sequence);
  EXPECT_EQ(back->host_time, frame.host_time);
  EXPECT_TRUE(back->sigma_mm.empty());
  EXPECT_TRUE(back->rgb.empty());
}

TEST(PackedFrame, KeepsColourAndNearlyKeepsSigma) {
  DepthFrame frame = wavy(40, 30);
  for (std::size_t i = 0; i < frame.depth_mm.size(); ++i) {
    const bool measured = frame.depth_mm[i] != 0;
    frame.sigma_mm.push_back(measured ? 0.0003F * std::pow(1.02F, static_cast<float>(i % 600))
                                      : 0.0F);
    for (int k = 0; k < 3; ++k)
      frame.rgb.push_back(measured ? static_cast<std::uint8_t>(i * 7 + static_cast<unsigned>(k))
                                   : 0);
  }
  const auto back = unpack(pack(frame, kStep));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->depth_mm, frame.depth_mm);
  EXPECT_EQ(back->rgb, frame.rgb);
  for (std::size_t i = 0; i < frame.sigma_mm.size(); ++i)
    ASSERT_NEAR(back->sigma_mm[i], frame.sigma_mm[i], 0.07F * frame.sigma_mm[i]);
}

TEST(PackedFrame, LeavesOutWhatSixteenBitsCannotHold) {
  DepthFrame frame = wavy(8, 8);
  frame.depth_mm[0] = 6.0F;
  frame.depth_mm[1] = std::numeric_limits<float>::infinity();
  frame.depth_mm[2] = std::numeric_limits<float>::quiet_NaN();
  frame.depth_mm[3] = -5;
  const auto back = unpack(pack(frame, kStep));
  ASSERT_TRUE(back.ok());
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(back->depth_mm[i], 0.0F);
}

TEST(PackedFrame, PacksAnEmptyFrame) {
  DepthFrame frame = wavy(16, 16);
  std::ranges::fill(frame.depth_mm, 0.0F);
  const auto back = unpack(pack(frame, kStep));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->depth_mm, frame.depth_mm);
}

TEST(PackedFrame, TellsDamagedBytesFromFrames) {
  const auto packed = pack(wavy(64, 48), kStep);
  EXPECT_FALSE(unpack({}).ok());
  for (std::size_t cut = 0; cut < packed.size(); cut += 97)
    EXPECT_FALSE(unpack(std::span(packed).first(cut)).ok()) << cut;
  std::minstd_rand random(9);
  for (int round = 0; round < 500; ++round) {
    auto damaged = packed;
    damaged[random() % damaged.size()] ^= static_cast<std::uint8_t>(1U << (random() % 8));
    const auto back = unpack(damaged);
    // A bit that Zstandard does not use may turn without changing anything.
    if (back.ok()) {
      EXPECT_EQ(pack(*back, kStep), packed);
    }
  }
}

TEST(PackedFrame, RoundsFarBelowTheNoiseNearAndFar) {
  const ReconstructionOptions options{.voxel_mm = 0.05, .min_depth_mm = 5, .max_depth_mm = 30};
  const NoiseModel noise(options, Calibration{});
  const float step = packing_step(noise, options.min_depth_mm);
  DepthFrame frame = wavy(8, 8);
  for (std::size_t i = 0; i < frame.depth_mm.size(); ++i)
    frame.depth_mm[i] = 5.0F + 0.39F * static_cast<float>(i);
  const auto back = unpack(pack(frame, step));
  ASSERT_TRUE(back.ok()) << back.error().message;
  for (std::size_t i = 0; i < frame.depth_mm.size(); ++i) {
    const float off = std::abs(back->depth_mm[i] - frame.depth_mm[i]);
    // Half a count, and the count is no finer than it needs to be.
    EXPECT_LE(off, noise.sigma_mm(frame.depth_mm[i]) / 11) << frame.depth_mm[i];
  }
  EXPECT_GT(step * 100 * 100, noise.sigma_mm(100) / 7);
  // Where the noise is less than 16 bits can tell.
  const Calibration exact{.baseline_mm = 1e6, .depth = {640, 480, 600, 600, 320, 240}};
  const float finest = packing_step(NoiseModel(options, exact), options.min_depth_mm);
  EXPECT_LE(1 / (5 * finest), 65535.0F);
  EXPECT_GE(1 / (5 * finest), 64000.0F);
}

TEST(PackedFrame, ReadsFramesThatWereKeptByAnEarlierVersion) {
  const DepthFrame frame = wavy(64, 48);
  auto raw = unseal(pack(frame, kStep), 1 << 20, "kept frame");
  ASSERT_TRUE(raw.ok());
  // Without the flag of inverse depth, a count is one of depth.
  constexpr std::size_t kFlags = 4;
  (*raw)[kFlags] &= static_cast<std::uint8_t>(~4U);
  const auto back = unpack(seal(*raw));
  ASSERT_TRUE(back.ok()) << back.error().message;
  for (std::size_t i = 0; i < frame.depth_mm.size(); ++i)
    ASSERT_NEAR(back->depth_mm[i], frame.depth_mm[i] == 0 ? 0 : 1 / frame.depth_mm[i], 1e-8);
}

}  // namespace
}  // namespace cusp
