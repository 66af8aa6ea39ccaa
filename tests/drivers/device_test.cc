// The D400 driver against the firmware double, over a transport without a kernel.
#include "drivers/realsense_d400/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/drivers/d400_camera.h"

namespace cusp {
namespace {

TEST(Device, TellsWhoItIs) {
  const Camera camera = open_camera();
  EXPECT_EQ(camera.device->info().driver, "realsense_d400");
  EXPECT_EQ(camera.device->info().maker, "Intel");
  EXPECT_EQ(camera.device->info().model, "RealSense D405");
  EXPECT_EQ(camera.device->info().serial, "0123456789ab");
  EXPECT_EQ(camera.device->info().firmware, "5.15.1.0");
}

TEST(Device, OffersTheModelsModesAndTheSizeOfItsOptics) {
  const Camera camera = open_camera();
  const auto modes = camera.device->modes();
  const auto has = [&](int width, int height) {
    return std::any_of(modes.begin(), modes.end(), [&](const StreamMode& mode) {
      return mode.width_px == width && mode.height_px == height && mode.rate_hz > 29.9;
    });
  };
  EXPECT_TRUE(has(848, 480));
  EXPECT_TRUE(has(1280, 720));
  EXPECT_TRUE(has(320, 240));
  for (const StreamMode& mode : modes) EXPECT_LE(mode.rate_hz, 30.01);
}

TEST(Device, RefusesAModeThatTheCameraLacksAndListsThoseItHas) {
  const Camera camera = open_camera();
  const auto result = camera.device->configure({848, 480, 1000});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(result.error().message, testing::HasSubstr("848x480 at 30 Hz"));
  EXPECT_THAT(result.error().message, testing::HasSubstr("device 0123456789ab"));
}

TEST(Device, DeliversEveryFrameBitExactAndInOrder) {
  const Camera camera = open_camera();
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  const Captured captured = capture(*camera.device, 40);
  EXPECT_TRUE(captured.result.ok());
  ASSERT_EQ(captured.frames.size(), 40u);
  for (std::size_t i = 0; i < captured.frames.size(); ++i) {
    EXPECT_EQ(captured.frames[i].sequence, i);
    EXPECT_EQ(frame_index_of(captured.frames[i]), static_cast<std::int64_t>(i));
    EXPECT_EQ(captured.frames[i].format, PixelFormat::kZ16);
    ASSERT_TRUE(captured.frames[i].device_time);
    if (i > 0) {
      EXPECT_GT(*captured.frames[i].device_time, *captured.frames[i - 1].device_time);
    }
  }
  EXPECT_EQ(camera.device->counts().broken(), 0u);
}

TEST(Device, KeepsTheSequenceOverTwoCaptures) {
  const Camera camera = open_camera();
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  const Captured first = capture(*camera.device, 5);
  const Captured second = capture(*camera.device, 5);
  ASSERT_EQ(second.frames.size(), 5u);
  EXPECT_GT(second.frames.front().sequence, first.frames.back().sequence);
  EXPECT_GT(frame_index_of(second.frames.front()), frame_index_of(first.frames.back()));
}

TEST(Device, MakesFramesOnlyWhileAStreamIsRead) {
  const Camera camera = open_camera();
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  EXPECT_FALSE(camera.emulator.control->streaming());
  EXPECT_EQ(capture(*camera.device, 3).frames.size(), 3u);
  EXPECT_FALSE(camera.emulator.control->streaming());
  const std::uint64_t sent = camera.emulator.control->frames_sent();
  EXPECT_TRUE(camera.device->read_calibration());
  EXPECT_EQ(camera.emulator.control->frames_sent(), sent);
}

TEST(Device, ReadsTheCalibrationOfTheConfiguredStream) {
  const Camera camera = open_camera();
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  const auto calibration = camera.device->read_calibration();
  ASSERT_TRUE(calibration) << calibration.error().message;
  EXPECT_EQ(calibration->depth, kSmall);
  EXPECT_EQ(calibration->depth_unit_mm, 0.1);
  EXPECT_EQ(calibration->baseline_mm, 18.0);
  EXPECT_THAT(calibration->id, testing::MatchesRegex("d400-coefficients-[0-9a-f]{8}"));
}

TEST(Device, KnowsTheDepthUnitOfEachModel) {
  auto options = quick_camera();
  options.product_id = 0x0B07;
  const Camera camera = open_camera(options);
  EXPECT_EQ(camera.device->info().model, "RealSense D435");
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  EXPECT_EQ(camera.device->read_calibration()->depth_unit_mm, 1.0);
}

TEST(Device, NeverGuessesOpticsThatTheTableLacks) {
  const Camera camera = open_camera();
  ASSERT_TRUE(camera.device->configure({848, 480, 30}));
  const auto calibration = camera.device->read_calibration();
  ASSERT_FALSE(calibration);
  EXPECT_EQ(calibration.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(calibration.error().message, testing::HasSubstr("848x480"));
}

TEST(Device, RefusesADamagedCalibration) {
  const Camera camera = open_camera();
  camera.emulator.camera->corrupt_calibration();
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  const auto calibration = camera.device->read_calibration();
  ASSERT_FALSE(calibration);
  EXPECT_EQ(calibration.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(calibration.error().message, testing::HasSubstr("CRC"));
}

TEST(Device, WantsAModeBeforeItStreams) {
  const Camera camera = open_camera();
  BoundedQueue<RawFrame> queue(1, WhenFull::kDropOldest);
  EXPECT_EQ(camera.device->capture(queue, {}).error().code, ErrorCode::kConflict);
  EXPECT_EQ(camera.device->read_calibration().error().code, ErrorCode::kConflict);
}

TEST(Device, RestartsAfterAStall) {
  const Camera camera = open_camera();
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  camera.emulator.control->stall_after(5);
  const Captured captured = capture(*camera.device, 20);
  EXPECT_TRUE(captured.result.ok());
  EXPECT_EQ(captured.frames.size(), 20u);
  EXPECT_EQ(camera.device->counts().restarts, 1u);
  for (const RawFrame& frame : captured.frames) EXPECT_GE(frame_index_of(frame), 0);
}

TEST(Device, RestartsAfterSilence) {
  const Camera camera = open_camera();
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  camera.emulator.control->go_silent_after(5);
  const Captured captured = capture(*camera.device, 10);
  EXPECT_TRUE(captured.result.ok());
  EXPECT_EQ(captured.frames.size(), 10u);
  EXPECT_EQ(camera.device->counts().restarts, 1u);
}

TEST(Device, TellsTheOperatorWhenNothingHelps) {
  const Camera camera =
      open_camera(quick_camera(), [](std::uint64_t index, std::span<std::uint16_t> z16) {
        return index < 3 && fill_frame(index, z16);
      });
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  const Captured captured = capture(*camera.device, 10);
  EXPECT_EQ(captured.frames.size(), 3u);
  ASSERT_FALSE(captured.result.ok());
  EXPECT_EQ(captured.result.error().code, ErrorCode::kTimeout);
  EXPECT_THAT(captured.result.error().message, testing::HasSubstr("unplug the device"));
  EXPECT_EQ(camera.device->counts().restarts, 2u);
}

TEST(Device, StopsWhileTheCameraIsSilent) {
  const Camera camera =
      open_camera(quick_camera(), [](std::uint64_t, std::span<std::uint16_t>) { return false; });
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  BoundedQueue<RawFrame> queue(1, WhenFull::kDropOldest);
  Result<void> result;
  {
    std::jthread thread(
        [&](const std::stop_token& stop) { result = camera.device->capture(queue, stop); });
    while (!camera.emulator.control->streaming()) std::this_thread::yield();
  }
  EXPECT_TRUE(result.ok());
}

TEST(Device, EndsWhenTheQueueIsClosed) {
  const Camera camera = open_camera();
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  BoundedQueue<RawFrame> queue(1, WhenFull::kDropOldest);
  queue.close();
  EXPECT_TRUE(camera.device->capture(queue, {}).ok());
}

TEST(Device, RunsAtTheCommittedRateAtMost) {
  auto options = quick_camera();
  options.real_time = true;
  const Camera camera = open_camera(options);
  ASSERT_TRUE(camera.device->configure({320, 240, 15}));
  const Captured captured = capture(*camera.device, 7);
  ASSERT_EQ(captured.frames.size(), 7u);
  // Releases keep their mean distance; one may be late by half a period and the next early by as
  // much.
  const auto span = *captured.frames.back().device_time - *captured.frames.front().device_time;
  EXPECT_GE(span, std::chrono::milliseconds(6 * 66 - 34));
}

}  // namespace
}  // namespace cusp
