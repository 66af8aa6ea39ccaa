#include "pipeline/fuse_log.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "pipeline/packed_frame.h"
#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

using testing::small_camera;
using testing::small_options;

constexpr int kFrames = 21;  // more than are at hand at once

// A wall that comes nearer; some frames are damaged.
ScanLog log_of(const std::vector<int>& damaged = {}) {
  ScanLog log;
  for (int k = 0; k < kFrames; ++k) {
    auto packed = pack(testing::tilted_plane({0, 0, -1}, 0.5 * k - 90), 7e-6F);
    if (std::ranges::count(damaged, k) > 0) packed[packed.size() / 2] ^= 0x55U;
    KeptFrame kept{.packed = std::make_shared<const std::vector<std::uint8_t>>(std::move(packed))};
    kept.model_from_sensor.translation().x() = k;
    EXPECT_TRUE(log.apply(ScanEntry(std::move(kept))));
  }
  return log;
}

const NoiseModel& noise() {
  static const NoiseModel model(small_options(), small_camera());
  return model;
}

TEST(FuseLog, ReadsEveryFrameInItsTurnWithItsOwnSurface) {
  WorkerPool pool(3);
  std::vector<double> shares;
  int next = 0;
  const auto report = read_log(log_of(), noise(), pool,
                               {.on_frame =
                                    [&](const KeptFrame& frame, const MeasuredSurface& surface) {
                                      EXPECT_EQ(frame.model_from_sensor.translation().x(), next);
                                      EXPECT_NEAR(surface.mean_depth_mm, 90 - 0.5 * next, 0.1);
                                      ++next;
                                    },
                                .progress = [&](double share) { shares.push_back(share); }});
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->frames, static_cast<std::size_t>(kFrames));
  EXPECT_EQ(next, kFrames);
  EXPECT_TRUE(std::ranges::is_sorted(shares));
  EXPECT_EQ(shares.back(), 1);
}

TEST(FuseLog, LeavesOutWhatIsDamagedOrNotWanted) {
  WorkerPool pool(2);
  std::vector<int> seen;
  const auto report =
      read_log(log_of({0, 7, 20}), noise(), pool,
               {.wants = [](const KeptFrame& frame) { return frame.model_from_sensor(0, 3) != 9; },
                .on_frame =
                    [&](const KeptFrame& frame, const MeasuredSurface& surface) {
                      seen.push_back(static_cast<int>(frame.model_from_sensor.translation().x()));
                      EXPECT_NEAR(surface.mean_depth_mm, 90 - 0.5 * seen.back(), 0.1);
                    }});
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->damaged, 3U);
  EXPECT_EQ(report->passed_over, 1U);
  EXPECT_EQ(report->frames, 17U);
  EXPECT_EQ(seen, (std::vector{1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}));
}

TEST(FuseLog, CorrectsByTheLogsWarpWhatItFuses) {
  // A millimetre more in the middle than at the sides, of pictures of the camera's size or another.
  DepthWarp::Terms terms_um{};
  terms_um[2] = -1000;
  for (const int width_px : {small_camera().depth.width_px, 640}) {
    ScanLog log = log_of();
    const DepthWarp warp(width_px, small_camera().depth.height_px, terms_um);
    ASSERT_TRUE(log.apply(NewPoses{{}, warp}));
    WorkerPool pool(2);
    Volume volume(1, 4, std::size_t{1} << 28);
    double middle_mm = 0;
    const auto report = fuse_log(
        log, noise(), volume, pool,
        {.on_frame = [&](const KeptFrame&, const MeasuredSurface& surface) {
          middle_mm = surface.planes[120 * 320 + 160].w() / surface.planes[120 * 320 + 160].z();
        }});
    ASSERT_TRUE(report.ok());
    const bool fits = width_px == small_camera().depth.width_px;
    EXPECT_EQ(report->damaged, fits ? 0U : static_cast<std::size_t>(kFrames));
    if (fits) {
      EXPECT_NEAR(middle_mm, 80 + warp.at(160, 120), 0.06);
    }
  }
}

TEST(FuseLog, StopsBetweenFrames) {
  WorkerPool pool(2);
  std::stop_source stop;
  int seen = 0;
  const auto report = read_log(log_of(), noise(), pool,
                               {.on_frame =
                                    [&](const KeptFrame&, const MeasuredSurface&) {
                                      if (++seen == 3) stop.request_stop();
                                    },
                                .stop = stop.get_token()});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(seen, 3);
}

}  // namespace
}  // namespace cusp
