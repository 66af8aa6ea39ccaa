// An ordinary camera over an isochronous endpoint: driver, libusb, an emulated usbfs, firmware
// double. Runs under umockdev's preload.
#include <gmock/gmock.h>

#include <thread>

#include "drivers/emulation/umock_bus.h"
#include "drivers/usb/usb_bus.h"
#include "drivers/uvc_camera/emulator.h"
#include "tests/drivers/jpeg_decode.h"

namespace cusp::uvc_camera {
namespace {

EmulatorOptions without_serial() {
  EmulatorOptions options;
  options.serial.clear();
  return options;
}

class UvcCameraUmockTest : public testing::Test {
 protected:
  void SetUp() override {
    auto bus = UmockBus::create();
    ASSERT_TRUE(bus) << bus.error().message;
    umock_ = std::move(bus).value();
    auto usb = UsbBus::start();
    ASSERT_TRUE(usb) << usb.error().message;
    usb_ = std::move(usb).value();
    ASSERT_TRUE(umock_->plug(*camera_.function));
    for (int i = 0; i < 2000 && usb_->list().empty(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const auto addresses = usb_->list();
    ASSERT_EQ(addresses.size(), 1u);
    EXPECT_EQ(addresses.front().driver, "uvc_camera");
    auto transport = usb_->open(addresses.front());
    ASSERT_TRUE(transport) << transport.error().message;
    auto device = find_driver(addresses.front().driver)->open(std::move(transport).value());
    ASSERT_TRUE(device) << device.error().message;
    device_ = std::move(device).value();
  }
  void TearDown() override {
    device_.reset();
    usb_.reset();
    if (umock_) {
      EXPECT_EQ(umock_->counts().unhandled, 0u);
    }
    umock_.reset();
  }

  // Declared first: the function outlives the bus that it is plugged into.
  Emulator camera_ = make_emulator(without_serial(), test_pictures());
  std::unique_ptr<UmockBus> umock_;
  std::unique_ptr<UsbBus> usb_;
  std::unique_ptr<Device> device_;
};

TEST_F(UvcCameraUmockTest, StreamsPicturesOverIsochronousTransfers) {
  EXPECT_EQ(device_->info().serial, "1d6b-0102-2-1") << "it is named by its port";
  ASSERT_TRUE(device_->configure({640, 480, 30}));
  BoundedQueue<RawFrame> queue(4, WhenFull::kDropOldest);
  Result<void> result;
  std::jthread thread([&](const std::stop_token& stop) { result = device_->capture(queue, stop); });
  for (int i = 0; i < 10; ++i) {
    const auto frame = queue.pop();
    ASSERT_TRUE(frame);
    EXPECT_TRUE(decode_jpeg(frame->bytes)) << "any program can read it";
  }
  thread.request_stop();
  thread.join();
  EXPECT_TRUE(result) << result.error().message;
  EXPECT_EQ(device_->counts().broken(), 0u);
}

TEST_F(UvcCameraUmockTest, TakesAStill) {
  const auto photo = device_->photo();
  ASSERT_TRUE(photo) << photo.error().message;
  EXPECT_EQ(photo->width_px, 1600);
  EXPECT_TRUE(decode_jpeg(photo->bytes));
}

TEST_F(UvcCameraUmockTest, EndsACaptureWhenTheCableIsPulled) {
  ASSERT_TRUE(device_->configure({640, 480, 30}));
  Result<void> result;
  {
    BoundedQueue<RawFrame> queue(1, WhenFull::kDropOldest);
    std::jthread thread([&] { result = device_->capture(queue, {}); });
    ASSERT_TRUE(queue.pop());
    ASSERT_TRUE(umock_->unplug(*camera_.function));
  }
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kDisconnected) << result.error().message;
}

}  // namespace
}  // namespace cusp::uvc_camera
