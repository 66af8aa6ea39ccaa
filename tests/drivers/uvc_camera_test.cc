// The driver of ordinary cameras, against its firmware double.
#include <fnmatch.h>
#include <gmock/gmock.h>

#include <atomic>
#include <fstream>
#include <regex>
#include <sstream>
#include <thread>

#include "drivers/driver.h"
#include "drivers/emulation/faulty_function.h"
#include "drivers/emulation/in_process_transport.h"
#include "drivers/uvc/controls.h"
#include "drivers/uvc/still_capture.h"
#include "drivers/uvc/stream_control.h"
#include "drivers/uvc_camera/device.h"
#include "drivers/uvc_camera/emulator.h"
#include "drivers/uvc_camera/picture_formats.h"
#include "tests/drivers/capture_frames.h"
#include "tests/drivers/double_host.h"
#include "tests/drivers/jpeg_decode.h"
#include "tests/drivers/passing_transport.h"

namespace cusp::uvc_camera {
namespace {

using testing::AllOf;
using testing::Field;
using testing::HasSubstr;
using testing::SizeIs;

constexpr StreamMode kSmall{640, 480, 30};
constexpr std::uint8_t kVideoPipe = 0x81;

// What a driver did to the interfaces of a camera.
class WatchedTransport final : public PassingTransport {
 public:
  WatchedTransport(UsbFunction& function, std::vector<int>& claimed)
      : PassingTransport(make_in_process_transport(function)), claimed_(claimed) {}

  std::string location() const override { return "2-1.4"; }
  Result<void> claim_interface(int number) override {
    claimed_.push_back(number);
    return PassingTransport::claim_interface(number);
  }

 private:
  std::vector<int>& claimed_;
};

EmulatorOptions quick() {
  EmulatorOptions options;
  options.real_time = false;
  return options;
}

// A camera on a cable that can be broken, and its Device.
class Bench {
 public:
  explicit Bench(const EmulatorOptions& options = quick()) {
    Emulator made = make_emulator(options, test_pictures());
    stream = made.stream;
    camera = made.camera;
    cable = std::make_unique<FaultyFunction>(std::move(made.function));
    auto opened = open(std::make_unique<WatchedTransport>(*cable, claimed));
    EXPECT_TRUE(opened) << opened.error().message;
    if (opened) device = std::move(opened).value();
  }

  // `count` frames, or fewer when the capture ended.
  std::vector<RawFrame> capture(std::size_t count) {
    return capture_frames(*device, count, captured);
  }

  EmulatorControl* stream = nullptr;
  CameraControl* camera = nullptr;
  std::vector<int> claimed;
  std::unique_ptr<FaultyFunction> cable;
  std::unique_ptr<Device> device;
  Result<void> captured;
};

std::vector<std::uint8_t> test_picture(std::uint64_t index, int width_px, int height_px) {
  std::vector<std::uint8_t> rgb(std::size_t{3} * static_cast<std::size_t>(width_px) *
                                static_cast<std::size_t>(height_px));
  test_pictures()(index, width_px, height_px, rgb);
  return rgb;
}

// Whether a picture shows what the camera saw, as far as the JPEG leaves it.
void expect_shows(const RawFrame& frame, std::uint64_t index) {
  ASSERT_EQ(frame.format, PixelFormat::kMjpeg);
  const auto decoded = decode_jpeg(frame.bytes);
  ASSERT_TRUE(decoded) << "any program can read it";
  EXPECT_EQ(decoded->width_px, frame.width_px);
  EXPECT_EQ(decoded->height_px, frame.height_px);
  const auto seen = test_picture(index, frame.width_px, frame.height_px);
  double difference = 0;
  for (std::size_t i = 0; i < seen.size(); ++i)
    difference += std::abs(int{seen[i]} - int{decoded->rgb[i]});
  EXPECT_LT(difference / static_cast<double>(seen.size()), 6);
}

TEST(UvcCamera, IsTheLastDriverThatIsAsked) {
  Emulator camera = make_emulator(quick(), test_pictures());
  const auto identity =
      identity_of(camera.function->device_descriptor(), camera.function->config_descriptor());
  ASSERT_TRUE(identity);
  ASSERT_NE(find_driver(*identity), nullptr);
  EXPECT_EQ(find_driver(*identity)->name, "uvc_camera");
  EXPECT_EQ(drivers().back().name, "uvc_camera");
  EXPECT_EQ(find_driver({.vendor_id = 1, .product_id = 2, .interfaces = {{.usb_class = 8}}}),
            nullptr);
}

TEST(UvcCamera, TellsWhatItIsAndTakesNoInterfaceYet) {
  Bench bench;
  const DeviceInfo& info = bench.device->info();
  EXPECT_EQ(info.maker, "Cusp");
  EXPECT_EQ(info.model, "Intraoral Camera");
  EXPECT_EQ(info.serial, "000000000001");
  EXPECT_EQ(info.firmware, "1.00");
  EXPECT_EQ(info.kind, DeviceKind::kPhoto);
  EXPECT_TRUE(info.has_button);
  EXPECT_THAT(bench.device->modes(), SizeIs(7)) << "each size and rate once";
  EXPECT_THAT(bench.claimed, testing::IsEmpty()) << "another program may be using it";
  ASSERT_TRUE(bench.device->configure(kSmall));
  EXPECT_THAT(bench.claimed, testing::ElementsAre(0, 1));
}

TEST(UvcCamera, WithoutASerialNumberItIsNamedByItsPort) {
  EmulatorOptions options = quick();
  options.serial = " \t";
  Bench bench(options);
  EXPECT_EQ(bench.device->info().serial, "1d6b-0102-2-1.4");
}

TEST(UvcCamera, RefusesAModeThatItHasNotAndListsThoseThatItHas) {
  Bench bench;
  const auto refused = bench.device->configure({123, 45, 30});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr("000000000001"), HasSubstr("1280x720")));
  BoundedQueue<RawFrame> queue(1, WhenFull::kBlock);
  EXPECT_EQ(bench.device->capture(queue, {}).error().code, ErrorCode::kConflict);
}

TEST(UvcCamera, MeasuresNothing) {
  Bench bench;
  const auto calibration = bench.device->read_calibration();
  ASSERT_FALSE(calibration.ok());
  EXPECT_EQ(calibration.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(calibration.error().message, HasSubstr("camera for photos"));
}

TEST(UvcCamera, CapturesPicturesThatAnyProgramReads) {
  for (const bool bulk : {false, true})
    for (const bool without_tables : {false, true}) {
      EmulatorOptions options = quick();
      options.bulk = bulk;
      options.leaves_out_huffman_tables = without_tables;
      Bench bench(options);
      ASSERT_TRUE(bench.device->configure(kSmall));
      const auto frames = bench.capture(3);
      EXPECT_TRUE(bench.captured) << bench.captured.error().message;
      ASSERT_EQ(frames.size(), 3u);
      for (std::size_t i = 0; i < frames.size(); ++i) {
        EXPECT_EQ(frames[i].sequence, i);
        EXPECT_TRUE(frames[i].device_time);
        expect_shows(frames[i], i);
      }
      EXPECT_EQ(bench.device->counts().broken(), 0u);
    }
}

TEST(UvcCamera, CapturesYuy2BitExactWhereThereIsNoMotionJpegOfThatSize) {
  Bench bench;
  ASSERT_TRUE(bench.device->configure({320, 240, 30}));
  const auto frames = bench.capture(3);
  ASSERT_EQ(frames.size(), 3u);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    std::vector<std::uint8_t> expected;
    encode_yuy2(test_picture(i, 320, 240), expected);
    EXPECT_EQ(frames[i].format, PixelFormat::kYuy2);
    EXPECT_EQ(frames[i].bytes, expected);
  }
}

TEST(UvcCamera, SequenceGoesOnOverCaptures) {
  Bench bench;
  ASSERT_TRUE(bench.device->configure(kSmall));
  const auto first = bench.capture(2);
  const auto second = bench.capture(2);
  ASSERT_EQ(second.size(), 2u);
  EXPECT_GT(second.front().sequence, first.back().sequence);
  EXPECT_GE(bench.device->counts().frames, 4u);
}

TEST(UvcCamera, CountsAPictureThatIsCutOffAndGoesOn) {
  Bench bench;
  ASSERT_TRUE(bench.device->configure(kSmall));
  bench.cable->arm({.of = Fault::Of::kFrame,
                    .kind = FaultKind::kShort,
                    .endpoint = kVideoPipe,
                    .at = 2,
                    .at_byte = 14});
  const auto frames = bench.capture(4);
  ASSERT_EQ(frames.size(), 4u);
  EXPECT_EQ(frames[2].sequence, 3u);
  EXPECT_EQ(bench.device->counts().broken_size, 1u);
  EXPECT_EQ(bench.device->counts().broken(), 1u);
}

TEST(UvcCamera, StreamsOnAfterSilence) {
  Bench bench;
  ASSERT_TRUE(bench.device->configure(kSmall));
  bench.stream->go_silent_after(2);
  EXPECT_THAT(bench.capture(4), SizeIs(4));
  EXPECT_TRUE(bench.captured) << bench.captured.error().message;
  EXPECT_GE(bench.device->counts().restarts, 1u);
}

TEST(UvcCamera, TimeNeverGoesBackWhenTheCamerasClockDoes) {
  Bench bench;
  ASSERT_TRUE(bench.device->configure(kSmall));
  // As after a reset: the clock in the payload headers stands at its beginning.
  bench.cable->arm({.of = Fault::Of::kFrame,
                    .kind = FaultKind::kOverwrite,
                    .endpoint = kVideoPipe,
                    .at = 2,
                    .count = Fault::kForEver,
                    .at_byte = 2,
                    .bytes = {1, 0, 0, 0}});
  bench.stream->go_silent_after(4);
  const auto frames = bench.capture(7);
  ASSERT_EQ(frames.size(), 7u);
  EXPECT_GE(bench.device->counts().restarts, 1u);
  for (std::size_t i = 1; i < frames.size(); ++i) {
    ASSERT_TRUE(frames[i].device_time);
    EXPECT_GE(*frames[i].device_time, *frames[i - 1].device_time);
  }
}

TEST(UvcCamera, SaysInItsHealthWhatARestartLost) {
  Bench bench;
  ASSERT_TRUE(bench.device->configure(kSmall));
  ASSERT_TRUE(bench.device->apply("gain", 40));
  bench.cable->arm({.of = Fault::Of::kRequest,
                    .kind = FaultKind::kStall,
                    .count = Fault::kForEver,
                    .request = [](const ControlSetup& setup) {
                      return setup.request_type == uvc::kToInterface && setup.value == uvc::kGain
                                                                                           << 8;
                    }});
  bench.stream->go_silent_after(2);
  EXPECT_THAT(bench.capture(4), SizeIs(4));
  EXPECT_TRUE(bench.captured) << bench.captured.error().message;
  EXPECT_THAT(bench.device->health().problems,
              testing::ElementsAre(HasSubstr("its gain was lost in a restart")));
}

TEST(UvcCamera, EndsWhenNoneOfItsPicturesCanBeUsed) {
  Bench bench;
  ASSERT_TRUE(bench.device->configure(kSmall));
  bench.cable->arm({.of = Fault::Of::kFrame,
                    .kind = FaultKind::kOverwrite,
                    .endpoint = kVideoPipe,
                    .at = 2,
                    .count = Fault::kForEver,
                    .at_byte = 14,  // behind the two bytes by which a frame is told
                    .bytes = {0, 0, 0, 0}});
  EXPECT_THAT(bench.capture(3), SizeIs(2));
  ASSERT_FALSE(bench.captured);
  EXPECT_EQ(bench.captured.error().code, ErrorCode::kProtocol);
  EXPECT_THAT(bench.captured.error().message,
              AllOf(HasSubstr("30 pictures in a row"), HasSubstr("no segment at offset 2")));
}

class UvcCameraStill : public testing::TestWithParam<std::uint8_t> {};

TEST_P(UvcCameraStill, IsTheLargestPictureThatTheCameraTakes) {
  EmulatorOptions options = quick();
  options.still_method = GetParam();
  Bench bench(options);
  const auto photo = bench.device->photo();
  ASSERT_TRUE(photo) << photo.error().message;
  EXPECT_EQ(photo->width_px, 1600);
  EXPECT_EQ(photo->height_px, 1200);
  EXPECT_TRUE(decode_jpeg(photo->bytes));
  EXPECT_EQ(bench.device->counts().frames, 1u);
}
INSTANTIATE_TEST_SUITE_P(OfBothMethods, UvcCameraStill, testing::Values(2, 3));

TEST(UvcCameraPhoto, IsAFrameWhereTheCameraHasNoStills) {
  EmulatorOptions options = quick();
  options.still_method = 0;
  Bench bench(options);
  EXPECT_FALSE(bench.device->info().has_button);
  const auto photo = bench.device->photo();
  ASSERT_TRUE(photo) << photo.error().message;
  EXPECT_EQ(photo->width_px, 1280);
  EXPECT_EQ(photo->height_px, 720);
  EXPECT_TRUE(decode_jpeg(photo->bytes));
}

TEST(UvcCameraPhoto, CanBeStopped) {
  Bench bench;
  std::stop_source stop;
  stop.request_stop();
  const auto photo = bench.device->photo(stop.get_token());
  ASSERT_FALSE(photo);
  EXPECT_EQ(photo.error().code, ErrorCode::kCancelled);
  EXPECT_THAT(photo.error().message, HasSubstr(bench.device->info().serial));
}

TEST(UvcCameraPhoto, IsAFrameWhenTheCameraDoesNotKeepItsPromiseOfStills) {
  Bench bench;
  bench.cable->arm({.of = Fault::Of::kRequest,
                    .kind = FaultKind::kStall,
                    .count = Fault::kForEver,
                    .request = [](const ControlSetup& setup) {
                      return setup.value == uvc::kStillTriggerSelector << 8;
                    }});
  const auto photo = bench.device->photo();
  ASSERT_TRUE(photo) << photo.error().message;
  EXPECT_EQ(photo->width_px, 1280);
  EXPECT_GE(bench.cable->struck(), 1u);
}

TEST(UvcCameraPhoto, LeavesTheConfiguredStreamAsItWas) {
  Bench bench;
  ASSERT_TRUE(bench.device->configure({320, 240, 30}));
  ASSERT_TRUE(bench.device->photo());
  const auto frames = bench.capture(1);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames.front().width_px, 320);
}

TEST(UvcCameraButton, IsHeardWhileItCaptures) {
  Bench bench;
  std::atomic<int> presses{0};
  bench.device->on_button([&](ButtonPress press) {
    EXPECT_EQ(press, ButtonPress::kShort);
    ++presses;
    presses.notify_all();
  });
  ASSERT_TRUE(bench.device->configure(kSmall));
  BoundedQueue<RawFrame> queue(1, WhenFull::kDropOldest);
  std::jthread thread(
      [&](const std::stop_token& stop) { bench.captured = bench.device->capture(queue, stop); });
  ASSERT_TRUE(queue.pop());
  bench.camera->press_button();
  presses.wait(0);
  thread.request_stop();
  thread.join();
  EXPECT_EQ(presses, 1) << "letting it go is no press";
}

TEST(UvcCameraButton, IsHeardInStandby) {
  Bench bench;
  std::atomic<int> presses{0};
  bench.device->on_button([&](ButtonPress) {
    ++presses;
    presses.notify_all();
  });
  Result<void> result = error(ErrorCode::kCancelled, "still in standby");
  std::jthread thread([&](const std::stop_token& stop) { result = bench.device->standby(stop); });
  bench.camera->press_button();
  presses.wait(0);
  EXPECT_FALSE(bench.stream->streaming());
  thread.request_stop();
  thread.join();
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(presses, 1);
}

TEST(UvcCameraSettings, SetExposureAndGain) {
  Bench bench;
  const auto settings = bench.device->settings();
  ASSERT_TRUE(settings) << settings.error().message;
  ASSERT_THAT(*settings, SizeIs(3));
  EXPECT_THAT(*settings, testing::ElementsAre(Field(&Setting::name, "auto_exposure"),
                                              Field(&Setting::name, "exposure_us"),
                                              Field(&Setting::name, "gain")));
  EXPECT_EQ((*settings)[0].value, 1);
  EXPECT_EQ((*settings)[1].value, 15'600);
  ASSERT_TRUE(bench.device->apply("exposure_us", 8'000));
  ASSERT_TRUE(bench.device->apply("gain", 40));
  EXPECT_EQ(bench.camera->exposure_100us(), 80u);
  EXPECT_EQ(bench.camera->gain(), 40u);
  EXPECT_EQ((*bench.device->settings())[0].value, 0) << "automatic exposure would take it back";
  ASSERT_TRUE(bench.device->apply("auto_exposure", 1));
  EXPECT_EQ((*bench.device->settings())[0].value, 1);
  const auto refused = bench.device->apply("gain", 1000);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(bench.device->apply("zoom", 1).ok());
}

TEST(UvcCameraOpen, RefusesADeviceWithoutPicturesThatItReads) {
  EmulatedUvcDevice depth = bulk_camera(numbered_frames());
  depth.functions.front().streams.front().interface.formats.front().guid = uvc::fourcc_guid("Z16 ");
  const auto function = make_uvc_function(std::move(depth)).function;
  const auto opened = open(make_in_process_transport(*function));
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kUnsupported);
}

TEST(UvcCameraUdevRule, GivesEveryVideoClassDeviceToTheGroup) {
  std::ifstream file(CUSP_UDEV_RULE);
  const std::string rules{std::istreambuf_iterator<char>(file), {}};
  std::smatch rule;
  ASSERT_TRUE(std::regex_search(
      rules, rule, std::regex("ENV\\{ID_USB_INTERFACES\\}==\"([^\"]+)\", GROUP=\"cusp\"")));
  // As udev does: any of the patterns between bars.
  const auto matches = [&](const char* interfaces) {
    std::istringstream patterns(rule[1]);
    for (std::string pattern; std::getline(patterns, pattern, '|');)
      if (fnmatch(pattern.c_str(), interfaces, 0) == 0) return true;
    return false;
  };
  EXPECT_TRUE(matches(":0e0100:0e0200:")) << "a camera of UVC 1.1";
  EXPECT_TRUE(matches(":0e0101:0e0201:")) << "a camera of UVC 1.5";
  EXPECT_TRUE(matches(":010100:010200:0e0100:0e0200:")) << "one with a microphone";
  EXPECT_FALSE(matches(":030101:030000:")) << "a keyboard";
  EXPECT_FALSE(matches(":0e0200:")) << "no control interface";
}

}  // namespace
}  // namespace cusp::uvc_camera
