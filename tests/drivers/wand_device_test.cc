// The wand driver against the firmware double, over a transport without a kernel.
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
using testing::IsEmpty;

// Numbers of the frames behind pictures of small_wand(): twice six fringes, then three colours.
constexpr std::uint64_t kCycleFrames = 15, kCyclePictures = 13, kCycleFringes = 12;

TEST(WandDevice, IsKnownByItsExtensionUnitAlone) {
  auto options = small_wand();
  options.vendor_id = 0xABCD;
  options.product_id = 0x4242;
  const Emulator wand = make_emulator(options, paint);
  const auto identity =
      identity_of(wand.function->device_descriptor(), wand.function->config_descriptor());
  ASSERT_TRUE(identity);
  const Driver* const found = find_driver(*identity);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->name, "wand");
}

TEST(WandDevice, IsNotEveryDeviceWithAnExtensionUnit) {
  const Emulator wand = make_emulator(small_wand(), paint);
  auto config = wand.function->config_descriptor();
  const auto at = std::search(config.begin(), config.end(), kUnitGuid.begin(), kUnitGuid.end());
  ASSERT_NE(at, config.end());
  *at ^= 1;
  const auto identity = identity_of(wand.function->device_descriptor(), config);
  ASSERT_TRUE(identity);
  EXPECT_FALSE(driver().knows(*identity));
  EXPECT_FALSE(driver().knows(
      {.interfaces = {{.extra = {0x24}}, {.extra = {0, 0x24, 6}}, {.extra = {20, 0x24, 6}}}}));
}

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

TEST(WandDevice, WarmsUpAndSaysSo) {
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

TEST(WandDevice, ReadsItsCalibration) {
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

TEST(WandDevice, RefusesADamagedCalibrationAndStillTellsOfItself) {
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

TEST(WandDevice, SaysThatItWasNeverCalibrated) {
  auto options = small_wand();
  options.calibration.reset();
  const Wand wand = open_wand(options);
  EXPECT_THAT(wand.device->health().problems, Contains(HasSubstr("never calibrated")));
  EXPECT_EQ(wand.device->read_calibration().error().code, ErrorCode::kNotFound);
}

TEST(WandDevice, RefusesTheCalibrationOfAnotherWand) {
  auto options = small_wand();
  options.calibration->camera.width_px = 640;
  const Wand wand = open_wand(options);
  const auto calibration = wand.device->read_calibration();
  ASSERT_FALSE(calibration);
  EXPECT_EQ(calibration.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(calibration.error().message, HasSubstr("640x64"));
}

TEST(WandDevice, TellsOfItsTipAndCountsAUse) {
  const Wand wand = open_wand();
  EXPECT_EQ(wand.device->health().tip_id, "T-000017");
  EXPECT_EQ(wand.device->health().tip_uses, 12u);
  EXPECT_EQ(wand.device->health().tip_uses_allowed, 100u);
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  ASSERT_EQ(capture(*wand.device, 2).pictures.size(), 2u);
  ASSERT_EQ(capture(*wand.device, 2).pictures.size(), 2u);
  EXPECT_EQ(wand.device->health().tip_uses, 13u) << "one patient, one use";
}

TEST(WandDevice, ScansWithAWornTipAndSaysSo) {
  auto options = small_wand();
  options.tip = {.present = true, .id = "T-9", .uses = 100, .uses_allowed = 100};
  const Wand wand = open_wand(options);
  ASSERT_TRUE(wand.device->configure(kSmallMode));
  EXPECT_EQ(capture(*wand.device, 3).pictures.size(), 3u);
  EXPECT_THAT(wand.device->health().problems, Contains(HasSubstr("all its allowed uses")));
}

TEST(WandDevice, DoesNotScanWithoutATip) {
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

TEST(WandDevice, EndsACaptureWhenTheProjectorIsTooHotAndGoesOnWhenItIsCool) {
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

TEST(WandDevice, ShowsTheMakersOwnWords) {
  const Emulator emulator = make_emulator(small_wand(), paint);
  emulator.wand->set_faults(fault::kMakersOwn | fault::kImuFailed, "the lens cover is open");
  const auto device = driver().open(make_in_process_transport(*emulator.function));
  ASSERT_TRUE(device);
  EXPECT_THAT((*device)->health().problems, Contains(HasSubstr("the lens cover is open")));
  EXPECT_THAT((*device)->health().problems, Contains(HasSubstr("motion sensor")));
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

// A wand whose every answer is another one's, byte by byte wrong, must be refused or work; it must
// not bring us down.
class LyingFunction final : public UsbFunction {
 public:
  LyingFunction(UsbFunction& honest, std::uint8_t selector, std::size_t at, std::uint8_t flip)
      : honest_(honest), selector_(selector), at_(at), flip_(flip) {}
  std::vector<std::uint8_t> device_descriptor() const override {
    return honest_.device_descriptor();
  }
  std::vector<std::uint8_t> config_descriptor() const override {
    return honest_.config_descriptor();
  }
  std::string string_descriptor(std::uint8_t index) const override {
    return honest_.string_descriptor(index);
  }
  UsbOutcome control(const ControlSetup& setup, std::span<std::uint8_t> data) override {
    const UsbOutcome outcome = honest_.control(setup, data);
    if (setup.request == uvc::kGetCur && setup.value >> 8 == selector_ && setup.index >> 8 != 0 &&
        at_ < data.size())
      data[at_] ^= flip_;
    return outcome;
  }
  UsbOutcome in(std::uint8_t endpoint, std::span<std::uint8_t> data) override {
    return honest_.in(endpoint, data);
  }
  void set_alternate(int number, int alternate) override {
    honest_.set_alternate(number, alternate);
  }
  void clear_halt(std::uint8_t endpoint) override { honest_.clear_halt(endpoint); }
  void reset() override { honest_.reset(); }
  void set_wake(std::function<void()> wake) override { honest_.set_wake(std::move(wake)); }

 private:
  UsbFunction& honest_;
  const std::uint8_t selector_;
  const std::size_t at_;
  const std::uint8_t flip_;
};

TEST(WandDevice, SurvivesAWandThatLies) {
  const Emulator emulator = make_emulator(small_wand(), paint);
  int opened = 0, refused = 0;
  for (std::uint8_t selector = 1; selector <= kControls; ++selector) {
    const std::size_t size = size_bytes(static_cast<Control>(selector));
    for (std::size_t at = 0; at < std::min<std::size_t>(size, 72); ++at) {
      LyingFunction liar(*emulator.function, selector, at, 0x81);
      auto device = driver().open(make_in_process_transport(liar));
      ++(device.ok() ? opened : refused);
      if (!device) continue;
      static_cast<void>((*device)->read_calibration());
      static_cast<void>((*device)->settings());
    }
  }
  EXPECT_GT(opened, 100);
  EXPECT_GT(refused, 20);
}

TEST(WandDevice, SaysWhichControlsCanBeReadAndSet) {
  const Emulator emulator = make_emulator(small_wand(), paint);
  const auto info_of = [&](Control control) {
    std::array<std::uint8_t, 1> info{};
    const ControlSetup setup{.request_type = uvc::kFromInterface,
                             .request = uvc::kGetInfo,
                             .value = static_cast<std::uint16_t>(static_cast<int>(control) << 8),
                             .index = 2 << 8};
    EXPECT_EQ(emulator.function->control(setup, info).kind, UsbOutcome::Kind::kData);
    return info[0];
  };
  EXPECT_EQ(info_of(Control::kStatus), 0x01);
  EXPECT_EQ(info_of(Control::kExposure), 0x03);
  EXPECT_EQ(info_of(Control::kCalibrationPage), 0x01);
  EXPECT_EQ(info_of(Control::kButton), 0x09);
}

TEST(WandDevice, NeverWritesACalibration) {
  const Emulator emulator = make_emulator(small_wand(), paint);
  std::vector<std::uint8_t> page(kPageBytes);
  for (const Control control : {Control::kCalibrationInfo, Control::kCalibrationPage}) {
    page.resize(size_bytes(control));
    const ControlSetup setup{.request_type = uvc::kToInterface,
                             .request = uvc::kSetCur,
                             .value = static_cast<std::uint16_t>(static_cast<int>(control) << 8),
                             .index = 2 << 8};
    EXPECT_EQ(emulator.function->control(setup, page).kind, UsbOutcome::Kind::kStall);
  }
}

}  // namespace
}  // namespace cusp::wand
