// Kept frames: nothing that was measured is lost, and damaged bytes are told from frames.
#include "pipeline/packed_frame.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace cusp {
namespace {

DepthFrame wavy(int width_px, int height_px, float unit_mm) {
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
      frame.depth_mm.push_back(hole ? 0.0F : static_cast<float>(counts) * unit_mm);
    }
  return frame;
}

TEST(PackedFrame, GivesBackWhatADeviceCountedBitForBit) {
  const DepthFrame frame = wavy(64, 48, 0.001F);
  const auto packed = pack(frame, 0.001F);
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
  DepthFrame frame = wavy(40, 30, 0.0005F);
  for (std::size_t i = 0; i < frame.depth_mm.size(); ++i) {
    const bool measured = frame.depth_mm[i] != 0;
    frame.sigma_mm.push_back(measured ? 0.0003F * std::pow(1.02F, static_cast<float>(i % 600))
                                      : 0.0F);
    for (int k = 0; k < 3; ++k)
      frame.rgb.push_back(measured ? static_cast<std::uint8_t>(i * 7 + static_cast<unsigned>(k))
                                   : 0);
  }
  const auto back = unpack(pack(frame, 0.0005F));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->depth_mm, frame.depth_mm);
  EXPECT_EQ(back->rgb, frame.rgb);
  for (std::size_t i = 0; i < frame.sigma_mm.size(); ++i)
    ASSERT_NEAR(back->sigma_mm[i], frame.sigma_mm[i], 0.07F * frame.sigma_mm[i]);
}

TEST(PackedFrame, LeavesOutWhatSixteenBitsCannotHold) {
  DepthFrame frame = wavy(8, 8, 0.001F);
  frame.depth_mm[0] = 66.0F;
  frame.depth_mm[1] = std::numeric_limits<float>::infinity();
  frame.depth_mm[2] = std::numeric_limits<float>::quiet_NaN();
  frame.depth_mm[3] = -5;
  const auto back = unpack(pack(frame, 0.001F));
  ASSERT_TRUE(back.ok());
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(back->depth_mm[i], 0.0F);
}

TEST(PackedFrame, PacksAnEmptyFrame) {
  DepthFrame frame = wavy(16, 16, 0.001F);
  std::ranges::fill(frame.depth_mm, 0.0F);
  const auto back = unpack(pack(frame, 0.001F));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->depth_mm, frame.depth_mm);
}

TEST(PackedFrame, TellsDamagedBytesFromFrames) {
  const auto packed = pack(wavy(64, 48, 0.001F), 0.001F);
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
      EXPECT_EQ(pack(*back, 0.001F), packed);
    }
  }
}

TEST(PackedFrame, TakesAUnitThatTheNoiseHidesOrTheFinestThatFits) {
  const NoiseModel noise({.voxel_mm = 0.05, .min_depth_mm = 7.5, .max_depth_mm = 30},
                         Calibration{});
  const float sigma = noise.usual_sigma_mm();
  const float unit = packing_unit_mm(noise, 30);
  // What rounding adds to the variance of a mean of three.
  EXPECT_LT(unit * unit / 12, 0.01F * sigma * sigma / 3);
  EXPECT_GE(65535 * unit, 30.0F);
  const float far = packing_unit_mm(noise, 1e5);
  EXPECT_GE(65535 * far, 1e5F);
  EXPECT_LT(65535 * far, 1.01e5F);
}

}  // namespace
}  // namespace cusp
