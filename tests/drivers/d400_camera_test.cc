// What a D400 camera has beside depth: colour, settings, health, and what it tells of each frame.
#include "tests/drivers/d400_camera.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "drivers/realsense_d400/protocol.h"
#include "drivers/realsense_d400/streams.h"
#include "drivers/uvc/stream_control.h"

namespace cusp {
namespace {

using realsense_d400::EmulatorOptions;
using std::chrono::microseconds;
using testing::HasSubstr;

constexpr std::uint8_t kColourEndpoint = 0x84;

// One setting's value; NaN: it has none of that name.
double value_of(Device& device, std::string_view name) {
  const auto settings = device.settings();
  EXPECT_TRUE(settings.ok()) << settings.error().message;
  for (const Setting& setting : *settings)
    if (setting.name == name) return setting.value;
  return std::nan("");
}

// A camera with a colour endpoint that halts whenever it is read, or with controls that nobody may
// set.
class TroubledCamera final : public UsbFunction {
 public:
  explicit TroubledCamera(UsbFunction& inner) : inner_(inner) {}
  std::atomic<bool> colour_halts = false;
  std::atomic<bool> refuses_settings = false;

  std::vector<std::uint8_t> device_descriptor() const override {
    return inner_.device_descriptor();
  }
  std::vector<std::uint8_t> config_descriptor() const override {
    return inner_.config_descriptor();
  }
  std::string string_descriptor(std::uint8_t index) const override {
    return inner_.string_descriptor(index);
  }
  UsbOutcome control(const ControlSetup& setup, std::span<std::uint8_t> data) override {
    const bool sets = setup.request == uvc::kSetCur && setup.index == 0x0300 &&
                      setup.value >> 8 == static_cast<int>(realsense_d400::Selector::kExposure);
    if (refuses_settings && sets) return {UsbOutcome::Kind::kStall, 0};
    return inner_.control(setup, data);
  }
  UsbOutcome in(std::uint8_t endpoint, std::span<std::uint8_t> data) override {
    if (colour_halts && endpoint == kColourEndpoint) return {UsbOutcome::Kind::kStall, 0};
    return inner_.in(endpoint, data);
  }
  void set_alternate(int interface_number, int alternate) override {
    inner_.set_alternate(interface_number, alternate);
  }
  void clear_halt(std::uint8_t endpoint) override { inner_.clear_halt(endpoint); }
  void reset() override { inner_.reset(); }
  void set_wake(std::function<void()> wake) override { inner_.set_wake(std::move(wake)); }

 private:
  UsbFunction& inner_;
};

TEST(D400Models, AreAllDriven) {
  for (const auto& model : realsense_d400::models()) {
    const Camera camera = open_camera(colour_camera(model.product_id), fill_frame, grey_picture);
    EXPECT_EQ(camera.device->info().model, model.name);
    ASSERT_TRUE(camera.device->configure(kSmallMode)) << model.name;
    const auto calibration = camera.device->read_calibration();
    ASSERT_TRUE(calibration) << model.name;
    EXPECT_EQ(calibration->depth_unit_mm, model.depth_unit_mm);
    EXPECT_TRUE(calibration->colour) << model.name;
    EXPECT_EQ(capture(*camera.device, 3).frames.size(), 3u) << model.name;
  }
}

TEST(D400Settings, AreThoseOfTheCamera) {
  const Camera active = open_camera(camera_of(kD435));
  EXPECT_EQ(value_of(*active.device, "exposure_us"), 33000);
  EXPECT_EQ(value_of(*active.device, "auto_exposure"), 1);
  EXPECT_EQ(value_of(*active.device, "gain"), 16);
  EXPECT_EQ(value_of(*active.device, "emitter"), 1);
  EXPECT_EQ(value_of(*active.device, "laser_power_mw"), 150);
  EXPECT_EQ(value_of(*active.device, "preset"), 0);
  EXPECT_TRUE(std::isnan(value_of(*active.device, "colour")));  // it has no colour stream
  const Camera passive = open_camera(camera_of(kD405));
  EXPECT_TRUE(std::isnan(value_of(*passive.device, "emitter")));
  EXPECT_EQ(value_of(*passive.device, "exposure_us"), 33000);
}

TEST(D400Settings, SwitchOffWhatWouldTakeThemBack) {
  const Camera camera = open_camera(camera_of(kD435));
  ASSERT_TRUE(camera.device->apply("exposure_us", 4000));
  EXPECT_EQ(value_of(*camera.device, "exposure_us"), 4000);
  EXPECT_EQ(value_of(*camera.device, "auto_exposure"), 0);
  ASSERT_TRUE(camera.device->apply("auto_exposure", 1));
  ASSERT_TRUE(camera.device->apply("gain", 100));
  EXPECT_EQ(value_of(*camera.device, "auto_exposure"), 0);
  ASSERT_TRUE(camera.device->apply("emitter", 2));
  ASSERT_TRUE(camera.device->apply("laser_power_mw", 300));
  EXPECT_EQ(value_of(*camera.device, "emitter"), 1);
  EXPECT_EQ(value_of(*camera.device, "laser_power_mw"), 300);
}

TEST(D400Settings, OutOfRangeOrOfAnotherNameAreRefusedWithTheList) {
  const Camera camera = open_camera(camera_of(kD435));
  for (const auto& [name, value] :
       {std::pair{"exposure_us", 0.0}, std::pair{"gain", 249.0},
        std::pair{"laser_power_mw", std::nan("")}, std::pair{"flash", 1.0}}) {
    const auto result = camera.device->apply(name, value);
    ASSERT_FALSE(result) << name;
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(result.error().message, HasSubstr("device 0123456789ab"));
    EXPECT_THAT(result.error().message, HasSubstr("exposure_us (1 to 165000)"));
  }
  EXPECT_THAT(camera.device->apply("laser_power_mw", 100).error().message,
              HasSubstr("in steps of 30"));
  EXPECT_EQ(value_of(*camera.device, "laser_power_mw"), 150);
}

TEST(D400Settings, AreSetAgainWhenTheCameraForgotThem) {
  const Camera camera = open_camera(camera_of(kD435));
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  ASSERT_TRUE(camera.device->apply("laser_power_mw", 60));
  ASSERT_TRUE(camera.device->apply("exposure_us", 4000));
  camera.emulator.control->stall_after(3);
  camera.emulator.camera->forget_settings();
  const Captured captured = capture(*camera.device, 10);
  EXPECT_TRUE(captured.result.ok());
  EXPECT_EQ(camera.device->counts().restarts, 1u);
  EXPECT_EQ(value_of(*camera.device, "exposure_us"), 4000);
  EXPECT_EQ(value_of(*camera.device, "laser_power_mw"), 60);
}

TEST(D400Settings, ThatCanNotBeSetAgainAreToldAndTheScanGoesOn) {
  const auto emulator = realsense_d400::make_emulator(camera_of(kD435), fill_frame);
  TroubledCamera troubled(*emulator.function);
  auto device = realsense_d400::open(make_in_process_transport(troubled));
  ASSERT_TRUE(device) << device.error().message;
  ASSERT_TRUE((*device)->configure(kSmallMode));
  ASSERT_TRUE((*device)->apply("exposure_us", 4000));
  troubled.refuses_settings = true;
  emulator.control->stall_after(3);
  const Captured captured = capture(**device, 10);
  EXPECT_TRUE(captured.result.ok());
  EXPECT_EQ(captured.frames.size(), 10u);
  EXPECT_THAT((*device)->health().problems,
              testing::ElementsAre(HasSubstr("its settings were lost in a restart")));
}

TEST(D400Frames, TellTheirExposureAndTheCamerasTemperature) {
  const Camera camera = open_camera(camera_of(kD435));
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  ASSERT_TRUE(camera.device->apply("exposure_us", 4000));
  const Captured captured = capture(*camera.device, 3);
  ASSERT_EQ(captured.frames.size(), 3u);
  for (const RawFrame& frame : captured.frames) {
    EXPECT_EQ(frame.exposure, microseconds(4000));
    EXPECT_EQ(frame.temperature_c, 31);
    EXPECT_FALSE(frame.colour);
  }
}

TEST(D400Frames, CountThoseThatTheCameraSentAndNobodySaw) {
  const Camera camera = open_camera(
      camera_of(kD435),
      [](std::uint64_t index, std::span<std::uint16_t> z16) { return fill_frame(index, z16); });
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  EXPECT_EQ(capture(*camera.device, 5).frames.size(), 5u);
  EXPECT_EQ(camera.device->counts().lost, 0u);

  BoundedQueue<RawFrame> queue(2, WhenFull::kBlock);
  std::jthread thread([&](const std::stop_token& stop) {
    static_cast<void>(camera.device->capture(queue, stop));
    queue.close();
  });
  const auto first = queue.pop();
  ASSERT_TRUE(first);
  camera.emulator.camera->lose_frames(7);
  std::uint64_t before = first->sequence, largest_gap = 0;
  for (int i = 0; i < 20; ++i) {
    const auto frame = queue.pop();
    ASSERT_TRUE(frame);
    largest_gap = std::max(largest_gap, frame->sequence - before);
    before = frame->sequence;
  }
  thread.request_stop();
  queue.close();
  thread.join();
  EXPECT_EQ(largest_gap, 8u);
  EXPECT_EQ(camera.device->counts().lost, 7u);
}

TEST(D400Frames, OfOlderFirmwareTellNothingAndNothingIsGuessed) {
  EmulatorOptions options = camera_of(kD435);
  options.sends_metadata = false;
  const Camera camera = open_camera(options);
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  camera.emulator.camera->lose_frames(7);
  const Captured captured = capture(*camera.device, 5);
  ASSERT_EQ(captured.frames.size(), 5u);
  EXPECT_FALSE(captured.frames.back().exposure);
  EXPECT_EQ(captured.frames.back().sequence, 4u);
  EXPECT_EQ(camera.device->counts().lost, 0u);
}

TEST(D400Health, TellsTemperaturesAndTheCalibrationInUse) {
  const Camera camera = open_camera(camera_of(kD435));
  const DeviceHealth health = camera.device->health();
  ASSERT_EQ(health.temperatures.size(), 2u);
  EXPECT_EQ(health.temperatures[0].where, "processor");
  EXPECT_EQ(health.temperatures[0].celsius, 36);
  EXPECT_EQ(health.temperatures[1].where, "projector");
  EXPECT_EQ(health.temperatures[1].celsius, 31);
  EXPECT_TRUE(health.problems.empty());
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  EXPECT_EQ(camera.device->read_calibration()->id, health.calibration_id);
  EXPECT_TRUE(health.calibrated_on.empty());  // a D400 does not say
}

TEST(D400Health, LeavesOutATemperatureThatTheCameraCallsInvalid) {
  Camera camera = open_camera(camera_of(kD435));
  camera.emulator.camera->set_temperatures({.projector_c = {}, .asic_c = 55});
  camera.device.reset();
  const auto again = realsense_d400::open(make_in_process_transport(*camera.emulator.function));
  ASSERT_TRUE(again);
  ASSERT_EQ((*again)->health().temperatures.size(), 1u);
  EXPECT_EQ((*again)->health().temperatures[0].celsius, 55);
}

TEST(D400Health, TellsTheErrorWordAndADamagedCalibrationAsSentences) {
  Camera camera = open_camera(camera_of(kD435));
  camera.emulator.camera->report_error(2);
  camera.emulator.camera->corrupt_calibration();
  camera.device.reset();
  const auto again = realsense_d400::open(make_in_process_transport(*camera.emulator.function));
  ASSERT_TRUE(again);
  const DeviceHealth health = (*again)->health();
  EXPECT_THAT(health.problems, testing::ElementsAre(HasSubstr("projector was too hot"),
                                                    HasSubstr("calibration table 25: CRC")));
  EXPECT_TRUE(health.calibration_id.empty());
}

TEST(D400DepthUnit, IsReadWhereSomebodyMayHaveChangedIt) {
  Camera camera = open_camera(camera_of(kD435));
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  EXPECT_EQ(camera.device->read_calibration()->depth_unit_mm, 1.0);
  camera.emulator.camera->set_advanced_depth_unit(100);
  EXPECT_DOUBLE_EQ(camera.device->read_calibration()->depth_unit_mm, 0.1);
  camera.emulator.camera->set_advanced_depth_unit(0);
  EXPECT_EQ(camera.device->read_calibration().error().code, ErrorCode::kCorrupt);
}

TEST(D400DepthUnit, ThatChangesDuringAScanEndsIt) {
  Camera camera = open_camera(camera_of(kD435));
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  camera.emulator.camera->set_advanced_depth_unit(100);
  ASSERT_TRUE(camera.device->read_calibration());
  camera.emulator.camera->set_advanced_depth_unit(std::nullopt);
  camera.emulator.control->stall_after(3);
  const Captured captured = capture(*camera.device, 10);
  EXPECT_EQ(captured.frames.size(), 3u);
  ASSERT_FALSE(captured.result.ok());
  EXPECT_EQ(captured.result.error().code, ErrorCode::kConflict);
  EXPECT_THAT(captured.result.error().message, HasSubstr("begin the scan again"));
}

TEST(D400Optics, OfASizeThatTheTableLacksComeFromTheCamerasList) {
  EmulatorOptions options = camera_of(kD435);
  options.depth = {256, 144, 640.5, 641.5, 128.25, 72.5};
  const Camera camera = open_camera(options);
  ASSERT_TRUE(camera.device->configure({256, 144, 30}));
  const auto calibration = camera.device->read_calibration();
  ASSERT_TRUE(calibration) << calibration.error().message;
  EXPECT_EQ(calibration->depth, options.depth);
}

TEST(D400Colour, ComesBesideDepthFromItsOwnCameraOrTheLeftImager) {
  for (const std::uint16_t product_id : {kD435, kD405}) {
    const Camera camera = open_camera(colour_camera(product_id), fill_frame, grey_picture);
    ASSERT_TRUE(camera.device->configure(kSmallMode));
    const Captured captured = capture(*camera.device, 10);
    ASSERT_EQ(captured.frames.size(), 10u);
    int with_colour = 0;
    for (const RawFrame& frame : captured.frames) {
      EXPECT_EQ(frame_index_of(frame), static_cast<std::int64_t>(frame.sequence));
      if (!frame.colour) continue;
      ++with_colour;
      EXPECT_EQ(frame.colour->format, PixelFormat::kYuy2);
      EXPECT_EQ(frame.colour->width_px, 320);
      ASSERT_EQ(frame.colour->bytes.size(), 320u * 240 * 2);
      EXPECT_EQ(frame.colour->bytes.front(), frame.colour->bytes[320 * 240 * 2 - 2]);
      ASSERT_TRUE(frame.colour->device_time);
      EXPECT_LE(std::chrono::abs(*frame.colour->device_time - *frame.device_time),
                std::chrono::milliseconds(34));
    }
    EXPECT_GE(with_colour, 8);
    EXPECT_TRUE(camera.device->health().problems.empty());
  }
}

TEST(D400Colour, HasOpticsInTheCalibration) {
  const EmulatorOptions options = colour_camera();
  const Camera camera = open_camera(options, fill_frame, grey_picture);
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  const auto calibration = camera.device->read_calibration();
  ASSERT_TRUE(calibration) << calibration.error().message;
  ASSERT_TRUE(calibration->colour);
  EXPECT_EQ(calibration->colour->intrinsics.width_px, 320);
  EXPECT_NEAR(calibration->colour->intrinsics.fx_px, 300, 1e-3);
  EXPECT_EQ(calibration->colour->distortion, options.colour->distortion);
  EXPECT_TRUE(calibration->colour->colour_from_depth.isApprox(options.colour->colour_from_depth));
}

TEST(D400Colour, CanBeSwitchedOff) {
  const Camera camera = open_camera(colour_camera(), fill_frame, grey_picture);
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  ASSERT_TRUE(camera.device->apply("colour", 0));
  EXPECT_EQ(value_of(*camera.device, "colour"), 0);
  EXPECT_FALSE(camera.device->read_calibration()->colour);
  for (const RawFrame& frame : capture(*camera.device, 3).frames) EXPECT_FALSE(frame.colour);
  ASSERT_TRUE(camera.device->apply("colour", 1));
  EXPECT_TRUE(camera.device->read_calibration()->colour);
}

TEST(D400Colour, WithADamagedCalibrationLeavesDepthAlone) {
  const Camera camera = open_camera(colour_camera(), fill_frame, grey_picture);
  camera.emulator.camera->corrupt_colour_calibration();
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  const auto calibration = camera.device->read_calibration();
  ASSERT_TRUE(calibration) << calibration.error().message;
  EXPECT_FALSE(calibration->colour);
  EXPECT_THAT(camera.device->health().problems,
              testing::ElementsAre(HasSubstr("no colour: calibration table 32: CRC")));
}

TEST(D400Colour, ThatFallsSilentDoesNotHoldDepthUp) {
  const Camera camera = open_camera(colour_camera(), fill_frame,
                                    [](std::uint64_t index, int width, int height, auto yuy2) {
                                      return index < 2 && grey_picture(index, width, height, yuy2);
                                    });
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  const Captured captured = capture(*camera.device, 25);
  EXPECT_TRUE(captured.result.ok());
  ASSERT_EQ(captured.frames.size(), 25u);
  EXPECT_FALSE(captured.frames.back().colour);
  EXPECT_EQ(camera.device->counts().restarts, 0u);
}

TEST(D400Colour, ThatFailsIsGivenUpAndToldAndDepthGoesOn) {
  EmulatorOptions options = colour_camera();
  const auto emulator = realsense_d400::make_emulator(options, fill_frame, grey_picture);
  TroubledCamera troubled(*emulator.function);
  troubled.colour_halts = true;
  auto device = realsense_d400::open(make_in_process_transport(troubled));
  ASSERT_TRUE(device) << device.error().message;
  ASSERT_TRUE((*device)->configure(kSmallMode));
  const Captured captured = capture(**device, 10);
  EXPECT_TRUE(captured.result.ok());
  ASSERT_EQ(captured.frames.size(), 10u);
  for (const RawFrame& frame : captured.frames) EXPECT_FALSE(frame.colour);
  EXPECT_GE((*device)->counts().restarts, 2u);
  EXPECT_THAT((*device)->health().problems,
              testing::ElementsAre(HasSubstr("no colour: its stream stopped")));
}

TEST(D400Colour, ModeHasTheRateOfDepthAndTheSizeNearestToIt) {
  const auto offer = [](int width, int height, double rate) {
    return uvc::OfferedMode{.mode = {width, height, rate}};
  };
  const std::vector<uvc::OfferedMode> offered{offer(424, 240, 30), offer(640, 480, 30),
                                              offer(1280, 720, 30), offer(848, 480, 60)};
  const auto mode = realsense_d400::colour_mode_for(offered, {848, 480, 30.0003});
  ASSERT_TRUE(mode);
  EXPECT_EQ(mode->mode.width_px, 640);
  EXPECT_EQ(realsense_d400::colour_mode_for(offered, {1280, 720, 30})->mode.width_px, 1280);
  EXPECT_FALSE(realsense_d400::colour_mode_for(offered, {848, 480, 90}));
}

}  // namespace
}  // namespace cusp
