// A camera whose pictures come in isochronous packets, which nobody sends again. Runs under
// umockdev's preload.
#include <gmock/gmock.h>

#include <thread>

#include "drivers/uvc_camera/emulator.h"
#include "tests/faults/usb/fault_rig.h"

namespace cusp {
namespace {

constexpr std::uint8_t kVideoEndpoint = 0x81;

class IsochronousTest : public testing::TestWithParam<Cable> {
 protected:
  void SetUp() override {
    auto camera = uvc_camera::make_emulator({.real_time = false}, uvc_camera::test_pictures());
    stream_ = camera.stream;
    function_ = std::make_unique<FaultyFunction>(std::move(camera.function));
    socket_ = Socket::make(GetParam());
    socket_->plug(*function_);
    auto opened = socket_->open(*function_);
    ASSERT_TRUE(opened) << opened.error().message;
    device_ = std::move(opened).value();
    const auto modes = device_->modes();
    ASSERT_FALSE(modes.empty());
    const auto smallest =
        std::min_element(modes.begin(), modes.end(), [](const auto& a, const auto& b) {
          return a.width_px * a.height_px < b.width_px * b.height_px;
        });
    const auto configured = device_->configure(*smallest);
    ASSERT_TRUE(configured) << configured.error().message;
  }
  void TearDown() override {
    device_.reset();
    socket_.reset();
  }

  // Captures until `enough` or the camera can't go on.
  Result<void> capture_until(const std::function<bool()>& enough) {
    BoundedQueue<RawFrame> queue(2, WhenFull::kDropOldest);
    std::atomic<bool> ended{false};
    Result<void> result;
    std::jthread thread([&](const std::stop_token& stop) {
      result = device_->capture(queue, stop);
      ended = true;
    });
    while (!ended && !enough()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    thread.request_stop();
    thread.join();
    return result;
  }

  std::unique_ptr<FaultyFunction> function_;
  EmulatorControl* stream_ = nullptr;
  std::unique_ptr<Socket> socket_;
  std::unique_ptr<Device> device_;
};

INSTANTIATE_TEST_SUITE_P(Cables, IsochronousTest,
                         testing::Values(Cable::kLibusb, Cable::kInProcess),
                         [](const auto& tested) { return to_string(tested.param); });

TEST_P(IsochronousTest, GivesEveryPictureOfAGoodCamera) {
  const auto result = capture_until([&] { return device_->counts().frames >= 20; });
  EXPECT_TRUE(result) << result.error().message;
  EXPECT_EQ(device_->counts().broken(), 0u);
  EXPECT_EQ(device_->counts().restarts, 0u);
}

TEST_P(IsochronousTest, CountsThePictureWhosePacketTheBusDamaged) {
  function_->arm({.of = Fault::Of::kTransfer,
                  .kind = FaultKind::kDamage,
                  .endpoint = kVideoEndpoint,
                  .at = 40,
                  .at_byte = 100});
  const auto result =
      capture_until([&] { return function_->struck() > 0 && device_->counts().frames >= 30; });
  EXPECT_TRUE(result) << result.error().message;
  EXPECT_EQ(device_->counts().broken_on_bus, 1u);
  EXPECT_EQ(device_->counts().broken(), 1u);
  EXPECT_EQ(device_->counts().restarts, 0u);
}

// A frozen isochronous camera goes on sending: empty packets.
TEST_P(IsochronousTest, TellsTheOperatorOfAFrozenCamera) {
  function_->arm({.of = Fault::Of::kTransfer,
                  .kind = FaultKind::kFreeze,
                  .endpoint = kVideoEndpoint,
                  .at = 100});
  const auto result = capture_until([] { return false; });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kTimeout) << result.error().message;
  EXPECT_THAT(result.error().message, testing::HasSubstr("unplug the device"));
}

TEST_P(IsochronousTest, EndsWhenItIsUnpluggedAndCanBeClosed) {
  bool pulled = false;
  const auto result = capture_until([&] {
    if (!pulled && device_->counts().frames >= 5) {
      socket_->unplug(*function_);
      pulled = true;
    }
    return false;
  });
  EXPECT_EQ(result.error().code, ErrorCode::kDisconnected) << result.error().message;
}

}  // namespace
}  // namespace cusp
