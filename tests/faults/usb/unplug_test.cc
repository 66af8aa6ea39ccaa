// Cables that are pulled, at every moment, and put back. Runs under umockdev's preload.
#include <gmock/gmock.h>

#include <deque>
#include <thread>
#include <tuple>

#include "tests/faults/usb/fault_rig.h"

namespace cusp {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr std::uint64_t kEndless = 1'000'000'000;

class UnplugTest : public testing::TestWithParam<std::tuple<Family, Cable>> {
 protected:
  Family family() const { return std::get<0>(GetParam()); }

  // Pulls the cable as soon as a fault has struck.
  std::jthread pull_when_struck(FaultyFunction& function) {
    return std::jthread([this, &function](const std::stop_token& stop) {
      while (function.struck() == 0 && !stop.stop_requested())
        std::this_thread::sleep_for(milliseconds(1));
      if (function.struck() > 0) socket_->unplug(function);
    });
  }

  // Scanners outlive the socket, as functions outlive their bus.
  Scanner scanner_ = make_scanner(family(), kEndless);
  Scanner other_ = make_scanner(family(), kEndless, 2);
  std::deque<Scanner> retired_;
  std::unique_ptr<Socket> socket_ = Socket::make(std::get<1>(GetParam()));
};

INSTANTIATE_TEST_SUITE_P(Scanners, UnplugTest,
                         testing::Combine(testing::Values(Family::kD400, Family::kWand),
                                          testing::Values(Cable::kLibusb, Cable::kInProcess)),
                         [](const auto& tested) {
                           return to_string(std::get<0>(tested.param)) +
                                  to_string(std::get<1>(tested.param));
                         });

// Opens, configures, reads the calibration and captures three frames.
Result<void> use(Socket& socket, const Scanner& scanner) {
  CUSP_ASSIGN(const auto device, socket.open(*scanner.function));
  CUSP_TRY(device->configure(scanner.mode));
  if (const auto calibration = device->read_calibration();
      !calibration && calibration.error().code == ErrorCode::kDisconnected)
    return calibration.error();
  return capture(*device, 3).result;
}

// The n-th request is never answered, and the cable is pulled while it waits.
TEST_P(UnplugTest, WhileAnyRequestWaits) {
  bool whole = false;
  for (std::uint64_t request = 0; !whole; ++request) {
    SCOPED_TRACE(request);
    ASSERT_LT(request, 200u) << "a scanner asks for less than that";
    socket_->plug(*scanner_.function);
    scanner_.function->arm({.of = Fault::Of::kRequest, .kind = FaultKind::kDrop, .at = request});
    Result<void> result;
    {
      const auto puller = pull_when_struck(*scanner_.function);
      result = use(*socket_, scanner_);
    }
    whole = scanner_.function->struck() == 0;
    if (whole) {
      EXPECT_TRUE(result) << result.error().message;
      socket_->unplug(*scanner_.function);
      EXPECT_GT(request, 3u) << "a scanner asks for more than that";
    } else {
      // Once the frames are there, a scanner that leaves is no fault of the capture.
      EXPECT_TRUE(result || result.error().code == ErrorCode::kDisconnected)
          << result.error().message;
    }
    retired_.push_back(std::move(scanner_));
    scanner_ = make_scanner(family(), kEndless);
  }
}

TEST_P(UnplugTest, WhileStreaming) {
  socket_->plug(*scanner_.function);
  auto device = socket_->open(*scanner_.function);
  ASSERT_TRUE(device) << device.error().message;
  ASSERT_TRUE((*device)->configure(scanner_.mode));
  const Captured captured = capture(**device, kEndless, [&](std::uint64_t index) {
    if (index == 10) socket_->unplug(*scanner_.function);
  });
  ASSERT_FALSE(captured.result);
  EXPECT_EQ(captured.result.error().code, ErrorCode::kDisconnected);
  EXPECT_THAT(captured.result.error().message, HasSubstr(scanner_.serial));
  EXPECT_EQ(captured.indices.size(), captured.counts.frames);
  EXPECT_EQ(captured.counts.restarts, 0u);
  for (std::size_t i = 0; i < captured.indices.size(); ++i) EXPECT_EQ(captured.indices[i], i);
}

TEST_P(UnplugTest, WhileDraining) {
  for (int round = 0; round < 10; ++round) {
    Scanner& scanner = retired_.emplace_back(make_scanner(family(), kEndless));
    socket_->plug(*scanner.function);
    auto device = socket_->open(*scanner.function);
    ASSERT_TRUE(device) << device.error().message;
    ASSERT_TRUE((*device)->configure(scanner.mode));
    BoundedQueue<RawFrame> queue(2, WhenFull::kDropOldest);
    Result<void> result;
    std::jthread thread(
        [&](const std::stop_token& stop) { result = (*device)->capture(queue, stop); });
    ASSERT_TRUE(queue.pop());
    std::jthread puller([&] { socket_->unplug(*scanner.function); });
    thread.request_stop();
    thread.join();
    puller.join();
    EXPECT_TRUE(result || result.error().code == ErrorCode::kDisconnected)
        << result.error().message;
  }
}

TEST_P(UnplugTest, AndAnotherScannerComesInItsPlace) {
  socket_->plug(*scanner_.function);
  auto device = socket_->open(*scanner_.function);
  ASSERT_TRUE(device) << device.error().message;
  ASSERT_TRUE((*device)->configure(scanner_.mode));
  const Captured captured = capture(**device, kEndless, [&](std::uint64_t index) {
    if (index != 3) return;
    socket_->unplug(*scanner_.function);
    socket_->plug(*other_.function);
  });
  EXPECT_EQ(captured.result.error().code, ErrorCode::kDisconnected);
  EXPECT_EQ((*device)->configure(scanner_.mode).error().code, ErrorCode::kDisconnected);
  EXPECT_EQ(socket_->open(*scanner_.function).error().code, ErrorCode::kDisconnected);
  auto other = socket_->open(*other_.function);
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ((*other)->info().serial, other_.serial);
  ASSERT_TRUE((*other)->configure(other_.mode));
  EXPECT_TRUE(capture(**other, 5).result);
}

TEST_P(UnplugTest, OfOneScannerLeavesTheOtherAlone) {
  socket_->plug(*scanner_.function);
  socket_->plug(*other_.function);
  auto first = socket_->open(*scanner_.function);
  auto second = socket_->open(*other_.function);
  ASSERT_TRUE(first) << first.error().message;
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ((*first)->info().serial, scanner_.serial);
  EXPECT_EQ((*second)->info().serial, other_.serial);
  ASSERT_TRUE((*first)->configure(scanner_.mode));
  ASSERT_TRUE((*second)->configure(other_.mode));
  Captured kept;
  std::jthread beside([&] { kept = capture(**second, 300); });
  const Captured pulled = capture(**first, kEndless, [&](std::uint64_t index) {
    if (index == 20) socket_->unplug(*scanner_.function);
  });
  beside.join();
  EXPECT_EQ(pulled.result.error().code, ErrorCode::kDisconnected);
  EXPECT_TRUE(kept.result) << kept.result.error().message;
  EXPECT_GE(kept.indices.size(), 300u);
  for (std::size_t i = 0; i < kept.indices.size(); ++i) ASSERT_EQ(kept.indices[i], i);
  EXPECT_EQ(kept.counts.broken() + kept.counts.lost + kept.counts.restarts, 0u);
}

TEST_P(UnplugTest, TwentyFiveTimes) {
  for (int cycle = 0; cycle < 25; ++cycle) {
    SCOPED_TRACE(cycle);
    socket_->plug(*scanner_.function);
    const Result<void> used = use(*socket_, scanner_);
    ASSERT_TRUE(used) << used.error().message;
    socket_->unplug(*scanner_.function);
    EXPECT_EQ(socket_->open(*scanner_.function).error().code, ErrorCode::kDisconnected);
  }
}

}  // namespace
}  // namespace cusp
