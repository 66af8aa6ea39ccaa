// The wand driver against the firmware double, over a transport without a kernel: capture, light,
// heater, button, settings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "drivers/wand/colour.h"
#include "drivers/wand/device.h"
#include "tests/drivers/wand_fixture.h"

namespace cusp::wand {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

// Numbers of the frames behind pictures of small_wand(): twice six fringes, then three colours.
constexpr std::uint64_t kCycleFrames = 15, kCyclePictures = 13, kCycleFringes = 12;

TEST(WandDevice, TellsWhoItIs) {
  const Wand wand = open_wand();
  const DeviceInfo& info = wand.device->info();
  EXPECT_EQ(info.driver, "wand");
  EXPECT_EQ(info.maker, "Cusp");
  EXPECT_EQ(info.model, "Open wand");
  EXPECT_EQ(info.serial, "wand-0001");
  EXPECT_EQ(info.firmware, "1.0.0");
  EXPECT_EQ(info.kind, DeviceKind::kFringe);
  EXPECT_TRUE(info.has_button);
}

TEST(WandDevice, OffersItsOneSizeAtEachRate) {
  const Wand wand = open_wand();
  const auto modes = wand.device->modes();
  ASSERT_EQ(modes.size(), 2u);
  EXPECT_EQ(modes[0].width_px, 96);
  EXPECT_EQ(modes[0].height_px, 64);
  EXPECT_NEAR(modes[0].rate_hz, 120, 0.01);
  EXPECT_NEAR(modes[1].rate_hz, 60, 0.01);
  const auto refused = wand.device->configure({96, 64, 240});
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
}

TEST(WandDevice, CapturesFringesAndColoursInTheOrderTheyWereTaken) {
  const Wand wand = open_wand();
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  const Captured captured = capture(*wand.device, 3 * kCyclePictures);
  EXPECT_TRUE(captured.result.ok()) << captured.result.error().message;
  ASSERT_EQ(captured.pictures.size(), 3 * kCyclePictures);
  for (std::size_t i = 0; i < captured.pictures.size(); ++i) {
    const RawFrame& picture = captured.pictures[i];
    const std::uint64_t cycle = i / kCyclePictures, at = i % kCyclePictures;
    EXPECT_EQ(picture.sequence, i);
    ASSERT_TRUE(picture.fringe);
    EXPECT_EQ(picture.fringe->patterns, 6);
    ASSERT_TRUE(picture.imu);
    ASSERT_TRUE(picture.exposure);
    EXPECT_EQ(*picture.exposure, std::chrono::milliseconds(4));
    ASSERT_TRUE(picture.temperature_c);
    if (i > 0) {
      EXPECT_GT(*picture.device_time, *captured.pictures[i - 1].device_time);
    }
    const std::uint64_t frame = cycle * kCycleFrames + at;
    if (at < kCycleFringes) {
      EXPECT_EQ(picture.format, PixelFormat::kGrey8);
      EXPECT_EQ(picture.fringe->pattern, static_cast<int>(at % 6));
      EXPECT_EQ(picture.fringe->sequence, 2 * cycle + at / 6);
      ASSERT_EQ(picture.bytes.size(), 96u * 64u);
      for (std::size_t pixel = 0; pixel < picture.bytes.size(); ++pixel)
        ASSERT_EQ(picture.bytes[pixel], expected_pixel(frame, pixel)) << "picture " << i;
      EXPECT_EQ(picture.imu->angular_velocity_rad_s[0], static_cast<float>(frame));
    } else {
      EXPECT_EQ(picture.format, PixelFormat::kYuy2);
      EXPECT_EQ(picture.fringe->pattern, 6);
      EXPECT_EQ(picture.fringe->sequence, 2 * cycle + 1);
      std::array<std::vector<std::uint8_t>, 3> colours;
      for (std::size_t c = 0; c < 3; ++c)
        for (std::size_t pixel = 0; pixel < 96u * 64u; ++pixel)
          colours[c].push_back(expected_pixel(frame + c, pixel));
      EXPECT_EQ(picture.bytes, yuy2_of(colours[0], colours[1], colours[2]));
    }
  }
  const CaptureCounts counts = wand.device->counts();
  EXPECT_GE(counts.frames, captured.pictures.size());
  EXPECT_EQ(counts.lost, 0u);
  EXPECT_EQ(counts.broken(), 0u);
  EXPECT_GT(counts.bytes, captured.pictures.size() * 96 * 64);
}

TEST(WandDevice, SeesASceneInFringesAndColours) {
  // Left orange, right grey: in YUY2 of BT.601.
  const auto scene = [](std::uint64_t, const FringeIndex& index, std::span<std::uint8_t> out) {
    const bool colour = index.pattern == index.patterns;
    EXPECT_EQ(out.size(), (colour ? 2u : 1u) * 96u * 64u);
    constexpr std::array<std::uint8_t, 8> kPixels{144, 62, 144, 185, 126, 128, 126, 128};
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = colour ? kPixels[i % 4 + (i % 192 < 96 ? 0 : 4)]
                      : static_cast<std::uint8_t>(index.pattern);
    return true;
  };
  const Wand wand = open_wand(small_wand(), from_scene(scene));
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  const Captured captured = capture(*wand.device, kCyclePictures);
  ASSERT_EQ(captured.pictures.size(), kCyclePictures);
  EXPECT_THAT(captured.pictures[4].bytes, testing::Each(4));
  std::vector<std::uint8_t> sent(2u * 96u * 64u);
  ASSERT_TRUE(scene(0, {.pattern = 6, .patterns = 6}, sent));
  const auto& seen = captured.pictures.back().bytes;
  ASSERT_EQ(seen.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) ASSERT_NEAR(seen[i], sent[i], 2) << i;
}

TEST(WandDevice, TakesItsSequenceAsData) {
  for (const int steps : {3, 4, 5}) {
    auto options = small_wand();
    options.capabilities.colour_every = 0;
    options.capabilities.patterns.clear();
    for (int step = 0; step < steps; ++step)
      options.capabilities.patterns.push_back({30, static_cast<double>(step)});
    const Wand wand = open_wand(options);
    ASSERT_TRUE(wand.device->configure(kSmallMode));
    const auto calibration = wand.device->read_calibration();
    ASSERT_TRUE(calibration);
    EXPECT_EQ(calibration->fringe->patterns, options.capabilities.patterns);
    const Captured captured = capture(*wand.device, 12);
    ASSERT_EQ(captured.pictures.size(), 12u);
    for (std::size_t i = 0; i < captured.pictures.size(); ++i)
      EXPECT_EQ(captured.pictures[i].fringe,
                (FringeIndex{
                    .sequence = static_cast<std::uint32_t>(i) / static_cast<std::uint32_t>(steps),
                    .pattern = static_cast<int>(i) % steps,
                    .patterns = steps}));
  }
}

TEST(WandDevice, BeginsEachCaptureWithANewSequence) {
  const Wand wand = open_wand();
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  const Captured first = capture(*wand.device, 4);
  const Captured second = capture(*wand.device, 4);
  ASSERT_EQ(second.pictures.size(), 4u);
  EXPECT_EQ(second.pictures.front().fringe->pattern, 0);
  EXPECT_GT(second.pictures.front().fringe->sequence, first.pictures.back().fringe->sequence);
  EXPECT_GT(second.pictures.front().sequence, first.pictures.back().sequence);
  EXPECT_EQ(wand.device->counts().lost, 0u);
}

TEST(WandDevice, CapturesOverIsochronousTransfersToo) {
  auto options = small_wand();
  options.isochronous = true;
  options.speed = UsbSpeed::kHigh;
  const Wand wand = open_wand(options);
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  const Captured captured = capture(*wand.device, kCyclePictures);
  EXPECT_TRUE(captured.result.ok()) << captured.result.error().message;
  ASSERT_EQ(captured.pictures.size(), kCyclePictures);
  for (std::size_t pixel = 0; pixel < 96u * 64u; ++pixel)
    ASSERT_EQ(captured.pictures[7].bytes[pixel], expected_pixel(7, pixel));
}

TEST(WandDevice, CountsTheFramesThatTheWandLost) {
  const Wand wand = open_wand();
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  wand.emulator.wand->lose_frames(3, 2);
  const Captured captured = capture(*wand.device, 6);
  ASSERT_EQ(captured.pictures.size(), 6u);
  EXPECT_EQ(wand.device->counts().lost, 2u);
  std::vector<int> patterns;
  std::vector<std::uint64_t> sequences;
  for (const RawFrame& picture : captured.pictures) {
    patterns.push_back(picture.fringe->pattern);
    sequences.push_back(picture.sequence);
  }
  EXPECT_THAT(patterns, ElementsAre(0, 1, 2, 5, 0, 1));
  EXPECT_THAT(sequences, ElementsAre(0, 1, 2, 5, 6, 7));
  EXPECT_THAT(wand.device->health().problems, Contains(HasSubstr("too slowly")));
}

TEST(WandDevice, ComesBackFromAStallWithANewSequence) {
  const Wand wand = open_wand();
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  wand.emulator.stream->stall_after(4);
  const Captured captured = capture(*wand.device, 10);
  EXPECT_TRUE(captured.result.ok()) << captured.result.error().message;
  ASSERT_EQ(captured.pictures.size(), 10u);
  EXPECT_EQ(captured.pictures[4].fringe->pattern, 0);
  EXPECT_EQ(wand.device->counts().restarts, 1u);
}

TEST(WandDevice, PutsItsLightOutWheneverItDoesNotCapture) {
  const Wand wand = open_wand();
  EXPECT_TRUE(wand.emulator.wand->in_standby());
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  EXPECT_TRUE(wand.emulator.wand->in_standby());
  std::atomic<bool> lit{false};
  BoundedQueue<RawFrame> queue(4, WhenFull::kDropOldest);
  {
    std::jthread thread(
        [&](const std::stop_token& stop) { EXPECT_TRUE(wand.device->capture(queue, stop)); });
    ASSERT_TRUE(queue.pop());
    lit = !wand.emulator.wand->in_standby();
  }
  EXPECT_TRUE(lit);
  EXPECT_TRUE(wand.emulator.wand->in_standby());
  EXPECT_FALSE(wand.emulator.stream->streaming());
}

TEST(WandDevice, HeatsItsTipWhileItScans) {
  const Wand wand = open_wand();
  EXPECT_EQ(wand.emulator.wand->heater().state, HeaterState::kOff);
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  ASSERT_EQ(capture(*wand.device, 30).pictures.size(), 30u);
  const Heater heater = wand.emulator.wand->heater();
  EXPECT_EQ(heater.target_c, 37);
  EXPECT_EQ(heater.state, HeaterState::kWarming);
  EXPECT_GT(*heater.now_c, 24.1);
}

TEST(WandDevice, HearsItsButtonWhileItCaptures) {
  const Wand wand = open_wand();
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  std::mutex mutex;
  std::condition_variable heard;
  std::vector<ButtonPress> presses;
  wand.device->on_button([&](ButtonPress press) {
    const std::lock_guard lock(mutex);
    presses.push_back(press);
    heard.notify_all();
  });
  BoundedQueue<RawFrame> queue(4, WhenFull::kDropOldest);
  std::jthread thread(
      [&](const std::stop_token& stop) { EXPECT_TRUE(wand.device->capture(queue, stop)); });
  ASSERT_TRUE(queue.pop());
  wand.emulator.wand->press_button(ButtonPress::kShort);
  wand.emulator.wand->press_button(ButtonPress::kLong);
  std::unique_lock lock(mutex);
  EXPECT_TRUE(heard.wait_for(lock, std::chrono::seconds(20), [&] { return presses.size() == 2; }));
  EXPECT_THAT(presses, ElementsAre(ButtonPress::kShort, ButtonPress::kLong));
}

TEST(WandDevice, HearsItsButtonInStandby) {
  const Wand wand = open_wand();
  std::mutex mutex;
  std::condition_variable heard;
  std::vector<ButtonPress> presses;
  wand.device->on_button([&](ButtonPress press) {
    const std::lock_guard lock(mutex);
    presses.push_back(press);
    heard.notify_all();
  });
  std::jthread thread(
      [&](const std::stop_token& stop) { EXPECT_TRUE(wand.device->standby(stop)); });
  wand.emulator.wand->press_button(ButtonPress::kLong);
  {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(
        heard.wait_for(lock, std::chrono::seconds(20), [&] { return presses.size() == 1; }));
    EXPECT_THAT(presses, ElementsAre(ButtonPress::kLong));
  }
  EXPECT_TRUE(wand.emulator.wand->in_standby());
  EXPECT_EQ(wand.emulator.stream->frames_sent(), 0u);
}

TEST(WandDevice, StandsByWithoutAButton) {
  auto options = small_wand();
  options.button = false;
  const Wand wand = open_wand(options);
  EXPECT_FALSE(wand.device->info().has_button);
  std::jthread thread(
      [&](const std::stop_token& stop) { EXPECT_TRUE(wand.device->standby(stop)); });
}

TEST(WandDevice, OffersSettingsAndKeepsThem) {
  const Wand wand = open_wand();
  const auto settings = wand.device->settings();
  ASSERT_TRUE(settings) << settings.error().message;
  std::vector<std::string> names;
  for (const Setting& setting : *settings) names.push_back(setting.name);
  EXPECT_THAT(names, ElementsAre("exposure_us", "projector_percent", "led_percent", "heater_c"));
  EXPECT_EQ(settings->at(1).value, 100);
  ASSERT_TRUE(wand.device->apply("exposure_us", 2500));
  ASSERT_TRUE(wand.device->apply("projector_percent", 60));
  ASSERT_TRUE(wand.device->apply("heater_c", 39.5));
  EXPECT_EQ(wand.device->settings()->at(0).value, 2500);
  EXPECT_EQ(wand.device->settings()->at(1).value, 60);
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  const Captured captured = capture(*wand.device, 2);
  ASSERT_EQ(captured.pictures.size(), 2u);
  EXPECT_EQ(*captured.pictures[0].exposure, std::chrono::microseconds(2500));
  EXPECT_EQ(wand.emulator.wand->heater().target_c, 39.5);
  EXPECT_EQ(wand.device->apply("projector_percent", 101).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(wand.device->apply("heater_c", 90).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(wand.device->apply("exposure_us", 20).error().code, ErrorCode::kInvalidArgument)
      << "below the shortest";
  EXPECT_EQ(wand.device->apply("gain", 1).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace cusp::wand
