// What a wand says of itself: calibration, tip, temperatures, faults; and what the driver makes of
// it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/wand/device.h"
#include "tests/drivers/wand_fixture.h"

namespace cusp::wand {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(WandHealth, WarmsUpAndSaysSo) {
  auto options = small_wand();
  options.warm_up = std::chrono::seconds(1);
  const Wand wand = open_wand(options);
  EXPECT_THAT(wand.device->health().problems, Contains(HasSubstr("warming up")));
  ASSERT_TRUE(wand.device->configure({96, 64, 60}));
  const Captured captured = capture(*wand.device, 300);
  ASSERT_EQ(captured.pictures.size(), 300u);
  EXPECT_NEAR(*captured.pictures.front().temperature_c, 24, 0.01);
  EXPECT_GT(*captured.pictures.back().temperature_c, 40);
  EXPECT_THAT(wand.device->health().problems, IsEmpty());
  const auto temperatures = wand.device->health().temperatures;
  ASSERT_EQ(temperatures.size(), 3u);
  EXPECT_EQ(temperatures[0].where, "projector");
  EXPECT_GT(temperatures[0].celsius, 40);
}

TEST(WandHealth, ReadsItsCalibration) {
  const Wand wand = open_wand();
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  const auto calibration = wand.device->read_calibration();
  ASSERT_TRUE(calibration) << calibration.error().message;
  const Calibration expected = small_optics();
  EXPECT_EQ(calibration->depth, expected.depth);
  EXPECT_EQ(calibration->fringe->projector, expected.fringe->projector);
  EXPECT_EQ(calibration->fringe->camera_distortion, expected.fringe->camera_distortion);
  EXPECT_EQ(calibration->fringe->patterns, expected.fringe->patterns);
  EXPECT_EQ(calibration->fringe->projector_from_camera.matrix(),
            expected.fringe->projector_from_camera.matrix());
  EXPECT_EQ(calibration->made_on, "2026-03-14");
  EXPECT_THAT(calibration->id, testing::MatchesRegex("wand-[0-9a-f]{8}"));
  EXPECT_EQ(wand.device->health().calibration_id, calibration->id);
  EXPECT_EQ(wand.device->health().calibrated_on, "2026-03-14");
}

TEST(WandHealth, RefusesADamagedCalibrationAndStillTellsOfItself) {
  const Emulator emulator = make_emulator(small_wand(), paint);
  emulator.wand->corrupt_calibration();
  const auto device = driver().open(make_in_process_transport(*emulator.function));
  ASSERT_TRUE(device);
  EXPECT_THAT((*device)->health().problems, Contains(HasSubstr("calibration can't be read")));
  EXPECT_EQ((*device)->health().calibration_id, "");
  ASSERT_TRUE((*device)->configure(kSmallMode));
  const auto calibration = (*device)->read_calibration();
  ASSERT_FALSE(calibration);
  EXPECT_EQ(calibration.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(calibration.error().message, HasSubstr("device wand-0001"));
  EXPECT_THAT(calibration.error().message, HasSubstr("CRC"));
}

TEST(WandHealth, SaysThatItWasNeverCalibrated) {
  auto options = small_wand();
  options.calibration.reset();
  const Wand wand = open_wand(options);
  EXPECT_THAT(wand.device->health().problems, Contains(HasSubstr("never calibrated")));
  EXPECT_EQ(wand.device->read_calibration().error().code, ErrorCode::kNotFound);
}

TEST(WandHealth, RefusesTheCalibrationOfAnotherWand) {
  auto options = small_wand();
  options.calibration->camera.width_px = 640;
  const Wand wand = open_wand(options);
  const auto calibration = wand.device->read_calibration();
  ASSERT_FALSE(calibration);
  EXPECT_EQ(calibration.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(calibration.error().message, HasSubstr("640x64"));
}

TEST(WandHealth, TellsOfItsTipAndCountsAUse) {
  const Wand wand = open_wand();
  EXPECT_EQ(wand.device->health().tip_id, "T-000017");
  EXPECT_EQ(wand.device->health().tip_uses, 12u);
  EXPECT_EQ(wand.device->health().tip_uses_allowed, 100u);
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  ASSERT_EQ(capture(*wand.device, 2).pictures.size(), 2u);
  ASSERT_EQ(capture(*wand.device, 2).pictures.size(), 2u);
  EXPECT_EQ(wand.device->health().tip_uses, 13u) << "one patient, one use";
}

TEST(WandHealth, ScansWithAWornTipAndSaysSo) {
  auto options = small_wand();
  options.tip = {.present = true, .id = "T-9", .uses = 100, .uses_allowed = 100};
  const Wand wand = open_wand(options);
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  EXPECT_EQ(capture(*wand.device, 3).pictures.size(), 3u);
  EXPECT_THAT(wand.device->health().problems, Contains(HasSubstr("all its allowed uses")));
}

TEST(WandHealth, DoesNotScanWithoutATip) {
  auto options = small_wand();
  options.tip = {};
  const Wand wand = open_wand(options);
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  const Captured captured = capture(*wand.device, 1);
  EXPECT_TRUE(captured.pictures.empty());
  ASSERT_FALSE(captured.result.ok());
  EXPECT_EQ(captured.result.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(captured.result.error().message, "device wand-0001: no tip is attached; put one on");
  wand.emulator.wand->set_tip({.present = true, .id = "T-2"});
  EXPECT_EQ(capture(*wand.device, 3).pictures.size(), 3u);
  EXPECT_EQ(wand.device->health().tip_id, "T-2");
  EXPECT_EQ(wand.device->health().tip_uses, 1u);
  EXPECT_FALSE(wand.device->health().tip_uses_allowed) << "no limit";
}

TEST(WandHealth, EndsACaptureWhenTheProjectorIsTooHotAndGoesOnWhenItIsCool) {
  const Wand wand = open_wand();
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  Captured captured;
  {
    BoundedQueue<RawFrame> queue(4, WhenFull::kDropOldest);
    std::jthread thread([&](const std::stop_token& stop) {
      captured.result = wand.device->capture(queue, stop);
      queue.close();
    });
    ASSERT_TRUE(queue.pop());
    wand.emulator.wand->set_faults(fault::kProjectorHot);
    while (queue.pop()) {
    }
  }
  ASSERT_FALSE(captured.result.ok());
  EXPECT_EQ(captured.result.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(captured.result.error().message, HasSubstr("too hot"));
  EXPECT_THAT(wand.device->health().problems, Contains(HasSubstr("too hot")));
  EXPECT_TRUE(wand.emulator.wand->in_standby());
  EXPECT_EQ(capture(*wand.device, 1).result.error().code, ErrorCode::kUnavailable);
  wand.emulator.wand->set_faults(0);
  EXPECT_EQ(capture(*wand.device, 3).pictures.size(), 3u);
}

TEST(WandHealth, ShowsTheMakersOwnWords) {
  const Emulator emulator = make_emulator(small_wand(), paint);
  emulator.wand->set_faults(fault::kMakersOwn | fault::kImuFailed, "the lens cover is open");
  const auto device = driver().open(make_in_process_transport(*emulator.function));
  ASSERT_TRUE(device);
  EXPECT_THAT((*device)->health().problems, Contains(HasSubstr("the lens cover is open")));
  EXPECT_THAT((*device)->health().problems, Contains(HasSubstr("motion sensor")));
}

}  // namespace
}  // namespace cusp::wand
