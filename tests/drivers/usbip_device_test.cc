// Unmodified drivers over the USB/IP wire: frames of every family arrive whole.
#include <gtest/gtest.h>

#include <thread>

#include "drivers/emulation/usbip_server.h"
#include "drivers/uvc_camera/emulator.h"
#include "tests/drivers/capture_frames.h"
#include "tests/drivers/test_scene.h"
#include "tests/drivers/usbip_transport.h"

namespace cusp {
namespace {

class UsbipDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    auto server = UsbipServer::start(0);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(server).value();
  }
  std::unique_ptr<Device> open(const std::string& driver, const std::string& bus_id) {
    auto device =
        find_driver(driver)->open(std::make_unique<UsbipTransport>(server_->port(), bus_id));
    EXPECT_TRUE(device) << device.error().message;
    return device ? std::move(device).value() : nullptr;
  }
  static std::vector<RawFrame> capture(Device& device, std::size_t count) {
    Result<void> result;
    auto frames = capture_frames(device, count, result);
    EXPECT_TRUE(result) << result.error().message;
    return frames;
  }

  std::unique_ptr<UsbipServer> server_;
};

TEST_F(UsbipDeviceTest, DepthFramesArriveWholeAndInOrder) {
  const auto camera = realsense_d400::make_emulator(quick_camera(), fill_frame);
  ASSERT_TRUE(server_->plug(*camera.function));
  const auto device = open("realsense_d400", "1-1");
  ASSERT_NE(device, nullptr);
  EXPECT_EQ(device->info().serial, "0123456789ab");
  ASSERT_TRUE(device->configure({320, 240, 30}));
  ASSERT_TRUE(device->read_calibration());
  const auto frames = capture(*device, 20);
  ASSERT_EQ(frames.size(), 20u);
  for (std::size_t i = 0; i < frames.size(); ++i)
    EXPECT_EQ(frame_index_of(frames[i]), static_cast<std::int64_t>(i));
  EXPECT_EQ(device->counts().broken(), 0u);
  EXPECT_EQ(device->counts().lost, 0u);
  ASSERT_TRUE(server_->unplug(*camera.function));
}

TEST_F(UsbipDeviceTest, TwoCamerasAtOnceKeepTheirFramesApart) {
  auto options = quick_camera();
  const auto first = realsense_d400::make_emulator(options, fill_frame);
  options.serial = "0123456789ac";
  const auto second =
      realsense_d400::make_emulator(options, [](std::uint64_t index, std::span<std::uint16_t> z16) {
        return fill_frame(index + 1000, z16);
      });
  ASSERT_TRUE(server_->plug(*first.function));
  ASSERT_TRUE(server_->plug(*second.function));
  const auto one = open("realsense_d400", "1-1"), two = open("realsense_d400", "1-2");
  ASSERT_TRUE(one && two);
  ASSERT_TRUE(one->configure({320, 240, 30}));
  ASSERT_TRUE(two->configure({320, 240, 30}));
  std::vector<RawFrame> of_two;
  std::jthread other([&] { of_two = capture(*two, 10); });
  const auto of_one = capture(*one, 10);
  other.join();
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(frame_index_of(of_one.at(i)), static_cast<std::int64_t>(i));
    EXPECT_EQ(frame_index_of(of_two.at(i)), static_cast<std::int64_t>(i + 1000));
  }
  ASSERT_TRUE(server_->unplug(*first.function));
  ASSERT_TRUE(server_->unplug(*second.function));
}

TEST_F(UsbipDeviceTest, PicturesOfAnIsochronousCameraArriveWhole) {
  const auto camera = uvc_camera::make_emulator({}, uvc_camera::test_pictures());
  ASSERT_TRUE(server_->plug(*camera.function));
  const auto device = open("uvc_camera", "1-1");
  ASSERT_NE(device, nullptr);
  ASSERT_TRUE(device->configure(device->modes().front()));
  const auto frames = capture(*device, 3);
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(device->counts().broken(), 0u);
  ASSERT_TRUE(server_->unplug(*camera.function));
}

}  // namespace
}  // namespace cusp
