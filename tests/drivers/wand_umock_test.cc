// The wand over unmodified libusb and an emulated usbfs. Runs under umockdev's preload.
//
// The pictures are those of a real scan, where the data is on this machine: what the camera saw
// must come out of the line byte for byte, with the calibration that belongs to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <iostream>
#include <mutex>
#include <thread>

#include "drivers/emulation/structured_light_scan.h"
#include "drivers/emulation/umock_bus.h"
#include "drivers/usb/usb_bus.h"
#include "tests/drivers/wand_fixture.h"

namespace cusp::wand {
namespace {

class WandUmockTest : public testing::Test {
 protected:
  void SetUp() override {
    auto umock = UmockBus::create();
    ASSERT_TRUE(umock) << umock.error().message;
    umock_ = std::move(umock).value();
    auto usb = UsbBus::start();
    ASSERT_TRUE(usb) << usb.error().message;
    usb_ = std::move(usb).value();
  }
  void TearDown() override {
    device_.reset();
    usb_.reset();
    if (umock_) {
      EXPECT_EQ(umock_->counts().unhandled, 0u) << "libusb asked for something that is not there";
    }
    umock_.reset();
  }

  void wait_for_devices(std::size_t count) {
    for (int i = 0; i < 2000 && usb_->list().size() != count; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ASSERT_EQ(usb_->list().size(), count);
  }

  void plug_in(EmulatorOptions options, PictureSource source) {
    emulator_ = make_emulator(std::move(options), std::move(source));
    ASSERT_TRUE(umock_->plug(*emulator_.function));
    open();
  }
  void open() {
    wait_for_devices(1);
    EXPECT_EQ(usb_->list().front().driver, "wand");
    auto transport = usb_->open(usb_->list().front());
    ASSERT_TRUE(transport) << transport.error().message;
    auto device = driver().open(std::move(transport).value());
    ASSERT_TRUE(device) << device.error().message;
    device_ = std::move(device).value();
  }

  Emulator emulator_;  // outlives the bus that it is plugged into
  std::unique_ptr<UmockBus> umock_;
  std::unique_ptr<UsbBus> usb_;
  std::unique_ptr<Device> device_;
};

class RealFringes : public WandUmockTest, public testing::WithParamInterface<const char*> {};

TEST_P(RealFringes, ComeThroughByteForByteWithTheirCalibration) {
  const std::filesystem::path data = CUSP_SKULL_SCAN;
  constexpr double kProjectorColumns = 1824;
  std::vector<double> pitches_px{kProjectorColumns};
  if (GetParam() == std::string("2x3"))
    pitches_px.insert(pitches_px.begin(), kProjectorColumns / 16);
  const auto scan =
      read_structured_light_scan({.pictures = data / GetParam(),
                                  .calibration = data / "calibration" / "calibration.xml",
                                  .pitches_px = pitches_px,
                                  .min_depth_mm = 300,
                                  .max_depth_mm = 500});
  if (!scan && scan.error().code == ErrorCode::kNotFound) {
    std::cout << "no real scan on this machine: " << scan.error().message << "\n";
    return;
  }
  ASSERT_TRUE(scan) << scan.error().message;
  EmulatorOptions options = options_for(scan->calibration);
  options.capabilities.colour_every = 0;
  options.real_time = false;
  plug_in(options, [&](const Shot& shot, Picture& picture) {
    picture.grey8 = scan->pictures[static_cast<std::size_t>(shot.fringe.pattern)];
    return true;
  });
  ASSERT_TRUE(device_->configure({1688, 1352, 120}));

  const auto calibration = device_->read_calibration();
  ASSERT_TRUE(calibration) << calibration.error().message;
  EXPECT_EQ(calibration->depth, scan->calibration.depth);
  const FringeOptics &sent = *scan->calibration.fringe, &read = *calibration->fringe;
  EXPECT_EQ(read.camera_distortion, sent.camera_distortion);
  EXPECT_EQ(read.projector, sent.projector);
  EXPECT_EQ(read.projector_distortion, sent.projector_distortion);
  EXPECT_EQ(read.projector_from_camera.matrix(), sent.projector_from_camera.matrix());
  EXPECT_EQ(read.patterns, sent.patterns);
  EXPECT_NEAR(calibration->baseline_mm, 164.5, 0.1);

  constexpr std::size_t kSequences = 4;
  const std::size_t patterns = scan->pictures.size();
  const Captured captured = capture(*device_, kSequences * patterns);
  EXPECT_TRUE(captured.result.ok()) << captured.result.error().message;
  ASSERT_EQ(captured.pictures.size(), kSequences * patterns);
  for (std::size_t i = 0; i < captured.pictures.size(); ++i) {
    const RawFrame& picture = captured.pictures[i];
    EXPECT_EQ(picture.sequence, i);
    EXPECT_EQ(picture.width_px, 1688);
    EXPECT_EQ(picture.height_px, 1352);
    EXPECT_EQ(picture.fringe, (FringeIndex{.sequence = static_cast<std::uint32_t>(i / patterns),
                                           .pattern = static_cast<int>(i % patterns),
                                           .patterns = static_cast<int>(patterns)}));
    EXPECT_TRUE(picture.bytes == scan->pictures[i % patterns]) << "picture " << i;
  }
  EXPECT_EQ(device_->counts().lost, 0u);
  EXPECT_EQ(device_->counts().broken(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Skull, RealFringes, testing::Values("2x3", "3ps"),
                         [](const auto& test) { return std::string("Of") + test.param; });

TEST_F(WandUmockTest, HearsItsButtonWhileItCapturesAndInStandby) {
  plug_in(small_wand(), paint);
  std::mutex mutex;
  std::condition_variable heard;
  std::vector<ButtonPress> presses;
  device_->on_button([&](ButtonPress press) {
    const std::lock_guard lock(mutex);
    presses.push_back(press);
    heard.notify_all();
  });
  const auto wait_for = [&](std::size_t count) {
    std::unique_lock lock(mutex);
    return heard.wait_for(lock, std::chrono::seconds(20), [&] { return presses.size() == count; });
  };
  ASSERT_TRUE(device_->configure(kSmallMode));
  {
    BoundedQueue<RawFrame> queue(4, WhenFull::kDropOldest);
    std::jthread thread(
        [&](const std::stop_token& stop) { EXPECT_TRUE(device_->capture(queue, stop)); });
    ASSERT_TRUE(queue.pop());
    emulator_.wand->press_button(ButtonPress::kShort);
    EXPECT_TRUE(wait_for(1));
  }
  EXPECT_TRUE(emulator_.wand->in_standby());
  {
    std::jthread thread([&](const std::stop_token& stop) { EXPECT_TRUE(device_->standby(stop)); });
    emulator_.wand->press_button(ButtonPress::kLong);
    EXPECT_TRUE(wait_for(2));
  }
  EXPECT_THAT(presses, testing::ElementsAre(ButtonPress::kShort, ButtonPress::kLong));
}

TEST_F(WandUmockTest, SaysThatItIsGoneWhenUnpluggedInStandbyAndComesBack) {
  plug_in(small_wand(), paint);
  Result<void> result;
  {
    std::jthread thread([&](const std::stop_token& stop) { result = device_->standby(stop); });
    ASSERT_TRUE(umock_->unplug(*emulator_.function));
    thread.join();
  }
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kDisconnected) << result.error().message;
  device_.reset();
  wait_for_devices(0);
  ASSERT_TRUE(umock_->plug(*emulator_.function));
  open();
  ASSERT_TRUE(device_->configure(kSmallMode));
  EXPECT_EQ(capture(*device_, 15).pictures.size(), 15u);
}

}  // namespace
}  // namespace cusp::wand
