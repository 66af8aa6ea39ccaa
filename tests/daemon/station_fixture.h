// A Station on a virtual scanner: the real driver and pipeline over an in-process cable, in front
// of a bumpy surface.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "core/file_system.h"
#include "core/uuid.h"
#include "daemon/station.h"
#include "delivery/keys.h"
#include "drivers/emulation/in_process_transport.h"
#include "drivers/realsense_d400/emulator.h"

namespace cusp::daemon {

inline constexpr int kWidthPx = 320;
inline constexpr int kHeightPx = 240;

inline Intrinsics small_camera() {
  return {.width_px = kWidthPx,
          .height_px = kHeightPx,
          .fx_px = 300,
          .fy_px = 300,
          .cx_px = (kWidthPx - 1) / 2.0,
          .cy_px = (kHeightPx - 1) / 2.0};
}

// What the camera sees of a bumpy surface about 80 mm away, 0.2 mm farther along x with every
// frame; or of another one.
inline std::vector<std::uint16_t> render_bumps(double shift_mm, bool another) {
  const double x_bump_mm = another ? 2.5 : 4, y_bump_mm = another ? 8 : 5;
  const Intrinsics k = small_camera();
  std::vector<std::uint16_t> z16;
  for (int v = 0; v < k.height_px; ++v)
    for (int u = 0; u < k.width_px; ++u) {
      double z_mm = 80;
      for (int step = 0; step < 4; ++step) {
        const double x_mm = (u - k.cx_px) / k.fx_px * z_mm + shift_mm;
        const double y_mm = (v - k.cy_px) / k.fy_px * z_mm;
        z_mm = 80 + 3 * std::sin(x_mm / x_bump_mm) + 3 * std::cos(y_mm / y_bump_mm) +
               2 * std::sin((x_mm + y_mm) / 9);
      }
      z16.push_back(static_cast<std::uint16_t>(std::lround(z_mm * 10)));  // a D405 counts 0.1 mm
    }
  return z16;
}

inline bool bumpy_frame(std::uint64_t index, std::span<std::uint16_t> z16, bool another = false) {
  static std::mutex mutex;
  static std::map<std::pair<bool, std::uint64_t>, std::vector<std::uint16_t>> rendered;
  constexpr std::uint64_t kHalf = 60;  // frames there, and the same way back
  const std::uint64_t at = index % (2 * kHalf) < kHalf ? index % kHalf : kHalf - index % kHalf;
  const std::lock_guard lock(mutex);
  auto& frame = rendered[{another, at}];
  if (frame.empty()) frame = render_bumps(0.2 * static_cast<double>(at), another);
  std::copy(frame.begin(), frame.end(), z16.begin());
  return true;
}

// A bus with the scanners that a test plugs in.
class TestBus final : public UsbBus {
 public:
  std::vector<DeviceAddress> list() override { return {}; }
  Result<void> watch(std::function<void(const HotplugEvent&)> on_event) override {
    const std::lock_guard lock(mutex_);
    on_event_ = std::move(on_event);
    for (const auto& [address, port] : ports_) on_event_({HotplugEvent::Kind::kArrived, address});
    return {};
  }
  Result<std::unique_ptr<UsbTransport>> open(const DeviceAddress& address) override {
    const std::lock_guard lock(mutex_);
    const auto found = ports_.find(address);
    if (found == ports_.end()) return error(ErrorCode::kDisconnected, "the device is gone");
    if (denied_) return error(ErrorCode::kPermission, "not allowed: install the udev rule");
    return make_in_process_transport(*found->second.function, found->second.pulled.get_token());
  }

  // The function must outlive the bus.
  void plug(UsbFunction& function, int port) {
    const std::lock_guard lock(mutex_);
    const auto identity = identity_of(function.device_descriptor(), function.config_descriptor());
    CUSP_CHECK(identity.ok(), "a double's descriptors can be read");
    const Driver* const driver = find_driver(*identity);
    CUSP_CHECK(driver != nullptr, "a driver knows every double");
    const DeviceAddress address{identity->vendor_id, identity->product_id,      1,
                                ++addresses_,        fmt::format("1-{}", port), driver->name};
    ports_[address] = {.function = &function};
    if (on_event_) on_event_({HotplugEvent::Kind::kArrived, address});
  }
  void unplug(UsbFunction& function) {
    const std::lock_guard lock(mutex_);
    for (auto it = ports_.begin(); it != ports_.end(); ++it) {
      if (it->second.function != &function) continue;
      const DeviceAddress address = it->first;
      it->second.pulled.request_stop();
      ports_.erase(it);
      if (on_event_) on_event_({HotplugEvent::Kind::kLeft, address});
      return;
    }
  }
  void deny(bool denied) {
    const std::lock_guard lock(mutex_);
    denied_ = denied;
  }

 private:
  struct Port {
    UsbFunction* function = nullptr;
    std::stop_source pulled{};
  };
  std::recursive_mutex mutex_;
  std::function<void(const HotplugEvent&)> on_event_;
  std::map<DeviceAddress, Port> ports_;
  int addresses_ = 0;
  bool denied_ = false;
};

class StationFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("cusp-station-" + new_uuid());
    std::filesystem::create_directories(folder_);
    const auto keys = delivery::make_key_pair();
    ASSERT_TRUE(delivery::save_key_pair(folder_ / "station", keys).ok());
    ASSERT_TRUE(delivery::save_key_pair(folder_ / "store", delivery::make_key_pair()).ok());
    options_.data_folder = folder_ / "data";
    options_.key_stem = folder_ / "station";
    options_.store_public_key = folder_ / "store.public";
    options_.store_endpoint = "tcp://127.0.0.1:1";  // no store answers there
    options_.reserve_bytes = 0;
    DeviceProfile profile;
    profile.mode = {kWidthPx, kHeightPx, 30};
    profile.reconstruction.voxel_mm = 1.0;
    options_.profiles = {{"default", profile}};
    scanner_ = make_scanner("000000000001");
  }
  void TearDown() override {
    station_.reset();
    std::filesystem::remove_all(folder_);
  }

  realsense_d400::Emulator make_scanner(const std::string& serial) {
    realsense_d400::EmulatorOptions options;
    options.serial = serial;
    options.depth = small_camera();
    options.max_rate_hz = 30;
    return realsense_d400::make_emulator(options, [this](std::uint64_t index, auto z16) {
      return index < frames_ && bumpy_frame(index, z16, another_surface_);
    });
  }

  void start_station() {
    auto station =
        Station::start(options_, {"config-hash", "test"},
                       {bus_, files_, clock_,
                        [this](std::function<void()> call) {
                          const std::lock_guard lock(mutex_);
                          posted_.push_back(std::move(call));
                        },
                        [this](bool, const std::string& line) { journal_ += line + "\n"; }});
    ASSERT_TRUE(station.ok()) << station.error().message;
    station_ = std::move(*station);
  }
  void restart_station() {
    station_.reset();
    {
      const std::lock_guard lock(mutex_);
      posted_.clear();
    }
    start_station();
  }

  // Runs what was posted, as main's loop does.
  void turn() {
    std::deque<std::function<void()>> calls;
    {
      const std::lock_guard lock(mutex_);
      calls.swap(posted_);
    }
    for (const auto& call : calls) call();
  }
  // Until the condition holds; it has to, within a time that only a fault needs.
  ::testing::AssertionResult eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 60000; ++i) {
      turn();
      if (condition()) return ::testing::AssertionSuccess();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return ::testing::AssertionFailure() << "never came true; journal:\n" << journal_;
  }

  void plug_in() {
    bus_.plug(*scanner_.function, 1);
    ASSERT_TRUE(eventually([&] { return device_is("000000000001", DeviceStatus::kAvailable); }));
  }
  bool device_is(const std::string& serial, DeviceStatus status) {
    for (const DeviceEntry& entry : station_->devices())
      if (entry.info.serial == serial) return entry.status == status;
    return false;
  }
  std::string make_ticket(std::vector<ScanStage> stages = {ScanStage::kUpper, ScanStage::kLower}) {
    ScanTicket ticket;
    ticket.stages = std::move(stages);
    ticket.patient = {"Ada Quick", "1990-12-10"};
    ticket.patient_ref = "p-1";
    const auto made = station_->make_ticket(ticket);
    CUSP_CHECK(made.ok(), made.ok() ? "" : made.error().message);
    return made->id;
  }
  DeviceEntry device(const std::string& serial) {
    for (const DeviceEntry& entry : station_->devices())
      if (entry.info.serial == serial) return entry;
    ADD_FAILURE() << "no device " << serial;
    return {};
  }
  bool has_frames(std::uint64_t frames) {
    const auto scan = station_->scan();
    return scan && scan->counts.tracked >= frames;
  }
  TicketState state_of(const std::string& id) {
    const auto item = station_->ticket(id);
    CUSP_CHECK(item.ok(), "the ticket is gone");
    return item->state;
  }
  StageState stage_of(ScanStage stage) {
    CUSP_CHECK(station_->session() != nullptr, "no ticket is worked on");
    return station_->session()->stage_state(stage);
  }
  // Scans the stage until its model is durable.
  void scan_stage(const std::string& id, ScanStage stage) {
    const auto started = station_->start_scan(id, stage, "");
    ASSERT_TRUE(started.ok()) << started.error().message;
    ASSERT_TRUE(eventually([&] { return has_frames(10); }));
    ASSERT_TRUE(station_->finish_stage("").ok());
    ASSERT_TRUE(eventually([&] { return stage_of(stage) != StageState::kProcessing; }));
    ASSERT_EQ(stage_of(stage), StageState::kDone) << journal_;
  }

  std::filesystem::path folder_;
  Options options_;
  std::atomic<bool> another_surface_ = false;  // from the next frame on
  std::atomic<std::uint64_t> frames_ = 1'000'000;
  PosixFileSystem files_;
  SystemClock clock_;
  realsense_d400::Emulator scanner_;
  TestBus bus_;
  std::mutex mutex_;
  std::deque<std::function<void()>> posted_;
  std::string journal_;
  std::unique_ptr<Station> station_;
};

}  // namespace cusp::daemon
