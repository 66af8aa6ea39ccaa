// The whole USB path without hardware: driver, libusb, an emulated usbfs, firmware double. Runs
// under umockdev's preload.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "drivers/emulation/umock_bus.h"
#include "drivers/usb/usb_bus.h"
#include "tests/drivers/capture_frames.h"
#include "tests/drivers/test_scene.h"

extern char** environ;  // NOLINT: POSIX names it so

namespace cusp {
namespace {

using realsense_d400::Emulator;
using realsense_d400::make_emulator;

constexpr StreamMode kSmallMode{320, 240, 30};
// The event thread may still look once for what came last. A client that spins asks thousands of
// times.
constexpr std::uint64_t kStragglers = 4;

// Collects hotplug events; only posts, as the bus asks for.
class Events {
 public:
  void add(const HotplugEvent& event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
    changed_.notify_all();
  }
  std::vector<HotplugEvent> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return events_.size() >= count; });
    return events_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<HotplugEvent> events_;
};

class UmockTest : public testing::Test {
 protected:
  void SetUp() override {
    auto bus = UmockBus::create();
    ASSERT_TRUE(bus) << bus.error().message;
    umock_ = std::move(bus).value();
    auto usb = UsbBus::start();
    ASSERT_TRUE(usb) << usb.error().message;
    usb_ = std::move(usb).value();
  }
  void TearDown() override {
    usb_.reset();
    if (umock_) {
      EXPECT_EQ(umock_->counts().unhandled, 0u) << "libusb asked for something that is not there";
    }
    umock_.reset();
  }

  void plug_in() { ASSERT_TRUE(umock_->plug(*camera_.function)); }

  std::unique_ptr<Device> open_device() {
    const auto addresses = usb_->list();
    EXPECT_EQ(addresses.size(), 1u);
    if (addresses.empty()) return nullptr;
    auto transport = usb_->open(addresses.front());
    EXPECT_TRUE(transport) << transport.error().message;
    if (!transport) return nullptr;
    const Driver* const driver = find_driver(addresses.front().driver);
    auto device = driver->open(std::move(transport).value());
    EXPECT_TRUE(device) << device.error().message;
    return device ? std::move(device).value() : nullptr;
  }

  // Waits until libusb has heard of the plug or unplug.
  void wait_for_devices(std::size_t count) {
    for (int i = 0; i < 2000 && usb_->list().size() != count; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ASSERT_EQ(usb_->list().size(), count);
  }

  // Declared first: the function outlives the bus that it is plugged into.
  Emulator camera_ = make_emulator(quick_camera(), fill_frame);
  std::unique_ptr<UmockBus> umock_;
  std::unique_ptr<UsbBus> usb_;
};

TEST_F(UmockTest, FindsTheCameraAndReadsItsNameAndCalibration) {
  plug_in();
  wait_for_devices(1);
  EXPECT_EQ(usb_->list().front().port_path, "2-1");
  const auto device = open_device();
  ASSERT_NE(device, nullptr);
  EXPECT_EQ(device->info().model, "RealSense D405");
  EXPECT_EQ(device->info().serial, "0123456789ab");
  ASSERT_TRUE(device->configure(kSmallMode));
  const auto calibration = device->read_calibration();
  ASSERT_TRUE(calibration) << calibration.error().message;
  EXPECT_EQ(calibration->depth, kSmall);
}

TEST_F(UmockTest, ReadsStringsAsLibusbDoes) {
  plug_in();
  wait_for_devices(1);
  auto transport = usb_->open(usb_->list().front());
  ASSERT_TRUE(transport);
  EXPECT_EQ(*(*transport)->string_descriptor(2), "RealSense D405");
  EXPECT_EQ((*transport)->string_descriptor(9).error().code, ErrorCode::kProtocol);
}

TEST_F(UmockTest, DeliversEveryFrameBitExactAndInOrder) {
  plug_in();
  wait_for_devices(1);
  const auto device = open_device();
  ASSERT_NE(device, nullptr);
  ASSERT_TRUE(device->configure(kSmallMode));
  Result<void> result;
  const auto frames = capture_frames(*device, 60, result);
  EXPECT_TRUE(result.ok()) << result.error().message;
  ASSERT_EQ(frames.size(), 60u);
  for (std::size_t i = 0; i < frames.size(); ++i)
    EXPECT_EQ(frame_index_of(frames[i]), static_cast<std::int64_t>(i));
  EXPECT_EQ(device->counts().broken(), 0u);
  EXPECT_EQ(device->counts().restarts, 0u);
}

TEST_F(UmockTest, RestartsAfterAStallOfTheEndpoint) {
  plug_in();
  wait_for_devices(1);
  const auto device = open_device();
  ASSERT_NE(device, nullptr);
  ASSERT_TRUE(device->configure(kSmallMode));
  camera_.control->stall_after(4);
  Result<void> result;
  EXPECT_EQ(capture_frames(*device, 12, result).size(), 12u);
  EXPECT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(device->counts().restarts, 1u);
}

TEST_F(UmockTest, RestartsAfterSilence) {
  plug_in();
  wait_for_devices(1);
  const auto device = open_device();
  ASSERT_NE(device, nullptr);
  ASSERT_TRUE(device->configure(kSmallMode));
  camera_.control->go_silent_after(4);
  Result<void> result;
  EXPECT_EQ(capture_frames(*device, 12, result).size(), 12u);
  EXPECT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(device->counts().restarts, 1u);
}

TEST_F(UmockTest, EndsACaptureWhenTheCableIsPulledAndWorksAfterTheReplug) {
  plug_in();
  wait_for_devices(1);
  auto device = open_device();
  ASSERT_NE(device, nullptr);
  ASSERT_TRUE(device->configure(kSmallMode));
  Result<void> result;
  {
    BoundedQueue<RawFrame> queue(1, WhenFull::kDropOldest);
    std::jthread thread([&] { result = device->capture(queue, {}); });
    ASSERT_TRUE(queue.pop());
    ASSERT_TRUE(umock_->unplug(*camera_.function));
  }
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kDisconnected) << result.error().message;
  EXPECT_THAT(result.error().message, testing::HasSubstr("device 0123456789ab"));
  device.reset();
  wait_for_devices(0);
  EXPECT_EQ(usb_->list().size(), 0u);

  plug_in();
  wait_for_devices(1);
  device = open_device();
  ASSERT_NE(device, nullptr);
  ASSERT_TRUE(device->configure(kSmallMode));
  EXPECT_EQ(capture_frames(*device, 5, result).size(), 5u);
  EXPECT_TRUE(result.ok());
}

TEST_F(UmockTest, AnnouncesEachArrivalAndLeaveOnce) {
  Events events;
  plug_in();
  wait_for_devices(1);
  ASSERT_TRUE(usb_->watch([&](const HotplugEvent& event) { events.add(event); }));
  EXPECT_EQ(events.wait_for(1).size(), 1u);
  ASSERT_TRUE(umock_->unplug(*camera_.function));
  EXPECT_EQ(events.wait_for(2).size(), 2u);
  plug_in();
  const auto seen = events.wait_for(3);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].kind, HotplugEvent::Kind::kArrived);
  EXPECT_EQ(seen[1].kind, HotplugEvent::Kind::kLeft);
  EXPECT_EQ(seen[2].kind, HotplugEvent::Kind::kArrived);
  EXPECT_EQ(seen[0].address, seen[1].address);
  EXPECT_EQ(seen[0].address.port_path, seen[2].address.port_path);
  EXPECT_NE(seen[0].address.address, seen[2].address.address);
}

TEST_F(UmockTest, KeepsTheOrderOfFastReplugs) {
  constexpr std::size_t kReplugs = 20;
  Events events;
  ASSERT_TRUE(usb_->watch([&](const HotplugEvent& event) { events.add(event); }));
  for (std::size_t i = 0; i < kReplugs; ++i) {
    plug_in();
    ASSERT_TRUE(umock_->unplug(*camera_.function));
  }
  plug_in();
  // A stay that was too short for libusb to see is no event; the last one is.
  wait_for_devices(1);
  const int last = usb_->list().front().address;
  std::vector<HotplugEvent> seen;
  for (std::size_t count = 1;; ++count) {
    seen = events.wait_for(count);
    ASSERT_GE(seen.size(), count) << "the last arrival was not announced";
    if (seen.back().address.address == last) break;
  }
  ASSERT_EQ(seen.size() % 2, 1u);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const bool arrived = i % 2 == 0;
    EXPECT_EQ(seen[i].kind, arrived ? HotplugEvent::Kind::kArrived : HotplugEvent::Kind::kLeft);
    if (!arrived) {
      EXPECT_EQ(seen[i].address, seen[i - 1].address);
    }
  }
}

TEST_F(UmockTest, GivesAddressesAgainAfterTheLast) {
  constexpr int kAddresses = 126, kPlugs = 130;
  for (int plug = 1; plug < kPlugs; ++plug) {
    ASSERT_TRUE(umock_->plug(*camera_.function).ok()) << plug;
    ASSERT_TRUE(umock_->unplug(*camera_.function).ok()) << plug;
  }
  plug_in();
  const auto has_come = [&] {
    const auto list = usb_->list();
    return list.size() == 1 && list.front().address == 2 + (kPlugs - 1) % kAddresses;
  };
  for (int i = 0; i < 2000 && !has_come(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ASSERT_TRUE(has_come());
  EXPECT_NE(open_device(), nullptr);
}

TEST_F(UmockTest, SaysThatAnOldAddressIsGone) {
  plug_in();
  wait_for_devices(1);
  const DeviceAddress address = usb_->list().front();
  ASSERT_TRUE(umock_->unplug(*camera_.function));
  wait_for_devices(0);
  const auto transport = usb_->open(address);
  ASSERT_FALSE(transport);
  EXPECT_EQ(transport.error().code, ErrorCode::kDisconnected);
  EXPECT_THAT(transport.error().message, testing::HasSubstr("8086:0b5b at 2-1"));
}

TEST_F(UmockTest, SaysThatAnotherProgramHoldsTheCamera) {
  plug_in();
  wait_for_devices(1);
  const auto device = open_device();
  ASSERT_NE(device, nullptr);
  auto second = usb_->open(usb_->list().front());
  ASSERT_TRUE(second);
  const auto claimed = (*second)->claim_interface(0);
  ASSERT_FALSE(claimed);
  EXPECT_EQ(claimed.error().code, ErrorCode::kConflict);
  EXPECT_THAT(claimed.error().message, testing::HasSubstr("another program"));
}

TEST_F(UmockTest, AnIdleClientSleeps) {
  plug_in();
  wait_for_devices(1);
  const auto device = open_device();
  ASSERT_NE(device, nullptr);
  ASSERT_TRUE(device->configure(kSmallMode));
  Result<void> result;
  EXPECT_EQ(capture_frames(*device, 3, result).size(), 3u);
  const std::uint64_t before = umock_->counts().ioctls;
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LE(umock_->counts().ioctls - before, kStragglers);
}

TEST_F(UmockTest, AStreamThatWaitsSleeps) {
  Emulator covered =
      make_emulator(quick_camera(), [](std::uint64_t, std::span<std::uint16_t>) { return false; });
  ASSERT_TRUE(umock_->plug(*covered.function));
  wait_for_devices(1);
  const auto device = open_device();
  ASSERT_NE(device, nullptr);
  ASSERT_TRUE(device->configure(kSmallMode));
  BoundedQueue<RawFrame> queue(1, WhenFull::kDropOldest);
  Result<void> result;
  {
    std::jthread thread(
        [&](const std::stop_token& stop) { result = device->capture(queue, stop); });
    while (!covered.control->streaming()) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // the transfers are on their way
    const std::uint64_t before = umock_->counts().ioctls;
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_LE(umock_->counts().ioctls - before, kStragglers);
  }
  EXPECT_TRUE(result.ok());
  ASSERT_TRUE(umock_->unplug(*covered.function));
}

// A client in a process of its own, as the daemon is one.
class Client {
 public:
  Client(const std::filesystem::path& folder, const char* frames) {
    const std::string setting = "UMOCKDEV_DIR=" + folder.string();
    std::vector<char*> environment;
    for (char** entry = environ; *entry != nullptr; ++entry)
      if (std::string_view(*entry).rfind("UMOCKDEV_DIR=", 0) != 0) environment.push_back(*entry);
    environment.push_back(const_cast<char*>(setting.c_str()));
    environment.push_back(nullptr);
    std::string program = CUSP_CAPTURE_PROBE;
    std::array<char*, 3> arguments{program.data(), const_cast<char*>(frames), nullptr};
    EXPECT_EQ(
        posix_spawn(&pid_, program.c_str(), nullptr, nullptr, arguments.data(), environment.data()),
        0);
  }
  ~Client() {
    if (pid_ > 0) kill();
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  void kill() {
    ::kill(pid_, SIGKILL);
    wait();
  }
  int wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_ = -1;
};

TEST_F(UmockTest, ServesAnotherProcess) {
  plug_in();
  Client client(umock_->folder(), "50");
  EXPECT_EQ(client.wait(), 0);
  EXPECT_GE(camera_.control->frames_sent(), 50u);
}

TEST_F(UmockTest, NamesTheProgramThatHoldsTheCamera) {
  plug_in();
  Client client(umock_->folder(), "1000000");
  for (int i = 0; i < 4000 && camera_.control->frames_sent() < 5; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  wait_for_devices(1);
  auto transport = usb_->open(usb_->list().front());
  ASSERT_TRUE(transport) << transport.error().message;
  const auto claimed = (*transport)->claim_interface(0);
  ASSERT_FALSE(claimed);
  EXPECT_EQ(claimed.error().code, ErrorCode::kConflict);
  EXPECT_THAT(claimed.error().message, testing::HasSubstr("capture_probe (process "));
}

TEST_F(UmockTest, ServesANewProcessAfterOneWasKilledWhileStreaming) {
  plug_in();
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t before = camera_.control->frames_sent();
    Client client(umock_->folder(), "1000000");
    for (int i = 0; i < 4000 && camera_.control->frames_sent() < before + 20; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ASSERT_GE(camera_.control->frames_sent(), before + 20);
    client.kill();
  }
  Client survivor(umock_->folder(), "50");
  EXPECT_EQ(survivor.wait(), 0);
}

}  // namespace
}  // namespace cusp
