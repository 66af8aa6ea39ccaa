#include "tests/faults/usb/fault_rig.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>

#include "drivers/emulation/endpoint_list.h"
#include "drivers/emulation/in_process_transport.h"
#include "drivers/realsense_d400/emulator.h"
#include "drivers/wand/emulator.h"

namespace cusp {
namespace {

using std::chrono::milliseconds;

constexpr int kQuietPolls = 100;  // of 2 ms each
constexpr int kWidth = 160, kHeight = 120;
constexpr std::uint8_t kInBit = 0x80;

void mark(std::uint64_t index, std::span<std::uint8_t> pixels) {
  std::fill(pixels.begin(), pixels.end(), static_cast<std::uint8_t>(index));
  std::memcpy(pixels.data(), &index, sizeof index);
}

std::uint8_t video_endpoint(const UsbFunction& function) {
  for (const ListedEndpoint& endpoint : list_endpoints(function.config_descriptor()).endpoints)
    if ((endpoint.address & kInBit) != 0 && endpoint.type() != kInterruptType)
      return endpoint.address;
  ADD_FAILURE() << "a scanner without a video endpoint";
  return 0;
}

class LibusbSocket final : public Socket {
 public:
  LibusbSocket() {
    auto umock = UmockBus::create();
    EXPECT_TRUE(umock) << umock.error().message;
    umock_ = std::move(umock).value();
    auto usb = UsbBus::start();
    EXPECT_TRUE(usb) << usb.error().message;
    usb_ = std::move(usb).value();
  }
  ~LibusbSocket() override {
    usb_.reset();
    EXPECT_EQ(umock_->counts().unhandled, 0u) << "libusb asked for something that is not there";
    EXPECT_EQ(umock_->counts().urb_bytes, 0u) << "a transfer was left behind";
  }
  void plug(UsbFunction& function) override {
    EXPECT_TRUE(plug_and_look(function, milliseconds(20'000))) << "it was not seen";
  }
  void plug_suspect(UsbFunction& function) override { plug_and_look(function, milliseconds(300)); }
  void unplug(UsbFunction& function) override { ASSERT_TRUE(umock_->unplug(function)); }
  Result<std::unique_ptr<Device>> open(UsbFunction& function) override {
    const auto place = places_.find(&function);
    if (place == places_.end()) return error(ErrorCode::kNotFound, "it was not seen on the bus");
    const DeviceAddress& address = place->second;
    const Driver* const driver = find_driver(address.driver);
    CUSP_CHECK(driver != nullptr, "the bus lists what a driver knows");
    CUSP_ASSIGN(auto transport, usb_->open(address));
    return driver->open(std::move(transport));
  }

 private:
  bool plug_and_look(UsbFunction& function, milliseconds patience) {
    places_.erase(&function);
    const auto before = usb_->list();
    const auto plugged = umock_->plug(function);
    EXPECT_TRUE(plugged) << plugged.error().message;
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < deadline) {
      for (const DeviceAddress& address : usb_->list())
        if (std::find(before.begin(), before.end(), address) == before.end()) {
          places_[&function] = address;
          return true;
        }
      std::this_thread::sleep_for(milliseconds(2));
    }
    return false;
  }

  std::unique_ptr<UmockBus> umock_;
  std::unique_ptr<UsbBus> usb_;
  std::map<UsbFunction*, DeviceAddress> places_;
};

class InProcessSocket final : public Socket {
 public:
  void plug(UsbFunction& function) override { cables_[&function] = {}; }
  void plug_suspect(UsbFunction& function) override { plug(function); }
  void unplug(UsbFunction& function) override { cables_[&function].request_stop(); }
  Result<std::unique_ptr<Device>> open(UsbFunction& function) override {
    auto transport = make_in_process_transport(function, cables_[&function].get_token());
    CUSP_ASSIGN(const UsbIdentity identity,
                identity_of(transport->device_descriptor(), transport->config_descriptor()));
    const Driver* const driver = find_driver(identity);
    if (driver == nullptr) return error(ErrorCode::kNotFound, "no driver knows it");
    return driver->open(std::move(transport));
  }

 private:
  std::map<UsbFunction*, std::stop_source> cables_;
};

}  // namespace

std::string to_string(Family family) { return family == Family::kD400 ? "D400" : "Wand"; }
std::string to_string(Cable cable) { return cable == Cable::kLibusb ? "Libusb" : "InProcess"; }

Scanner make_scanner(Family family, std::uint64_t frames, int number) {
  Scanner scanner;
  std::unique_ptr<UsbFunction> function;
  if (family == Family::kD400) {
    scanner.serial = fmt::format("{:012x}", number);
    scanner.mode = {kWidth, kHeight, 30};
    auto made = realsense_d400::make_emulator(
        {.serial = scanner.serial,
         .depth = {.width_px = kWidth,
                   .height_px = kHeight,
                   .fx_px = 100,
                   .fy_px = 100,
                   .cx_px = 80,
                   .cy_px = 60},
         .real_time = false},
        [frames](std::uint64_t index, std::span<std::uint16_t> z16) {
          if (index >= frames) return false;
          mark(index, {reinterpret_cast<std::uint8_t*>(z16.data()), z16.size_bytes()});
          return true;
        });
    function = std::move(made.function);
    scanner.stream = made.control;
  } else {
    scanner.serial = fmt::format("wand-{:04}", number);
    scanner.mode = {kWidth, kHeight, 120};
    wand::EmulatorOptions options;
    options.serial = scanner.serial;
    options.real_time = false;
    options.capabilities.width_px = options.capabilities.projector_width_px = kWidth;
    options.capabilities.height_px = options.capabilities.projector_height_px = kHeight;
    options.capabilities.patterns.assign(6, {.pitch_px = 16, .phase_rad = 1});
    options.capabilities.min_exposure = std::chrono::milliseconds(1);
    options.capabilities.max_exposure = std::chrono::milliseconds(8);
    options.capabilities.min_depth_mm = 10;
    options.capabilities.max_depth_mm = 30;
    auto made = wand::make_emulator(std::move(options),
                                    [frames](const wand::Shot& shot, wand::Picture& picture) {
                                      if (shot.index >= frames) return false;
                                      mark(shot.index, picture.grey8);
                                      return true;
                                    });
    function = std::move(made.function);
    scanner.stream = made.stream;
  }
  scanner.endpoint = video_endpoint(*function);
  scanner.function = std::make_unique<FaultyFunction>(std::move(function));
  return scanner;
}

std::uint64_t index_of(const RawFrame& frame) {
  std::uint64_t index = 0;
  CUSP_CHECK(frame.bytes.size() >= sizeof index, "a frame has pixels");
  std::memcpy(&index, frame.bytes.data(), sizeof index);
  const auto rest = std::span(frame.bytes).subspan(sizeof index);
  EXPECT_TRUE(std::all_of(rest.begin(), rest.end(),
                          [&](std::uint8_t b) { return b == static_cast<std::uint8_t>(index); }))
      << "frame " << index << " was mixed with another";
  return index;
}

std::unique_ptr<Socket> Socket::make(Cable cable) {
  if (cable == Cable::kLibusb) return std::make_unique<LibusbSocket>();
  return std::make_unique<InProcessSocket>();
}

Captured capture(Device& device, std::uint64_t frames,
                 const std::function<void(std::uint64_t index)>& on_frame) {
  Captured captured;
  const auto accounted = [&] {
    captured.counts = device.counts();
    return captured.accounted();
  };
  BoundedQueue<RawFrame> queue(4, WhenFull::kBlock);
  std::atomic<bool> ended{false};
  std::jthread thread([&](const std::stop_token& stop) {
    captured.result = device.capture(queue, stop);
    ended = true;
  });
  // A fault may count as a frame of its own, so all are accounted for before the last one came.
  int quiet = 0;
  const auto all_came = [&] {
    if (accounted() < frames) return false;
    const auto& indices = captured.indices;
    return indices.size() >= frames || (!indices.empty() && indices.back() + 1 >= frames) ||
           quiet > kQuietPolls;
  };
  while (true) {
    const bool last = ended;  // asked before the queue: nothing comes after it
    if (const auto frame = queue.pop_for(milliseconds(2))) {
      quiet = 0;
      captured.indices.push_back(index_of(*frame));
      if (on_frame) on_frame(captured.indices.back());
    } else if (last) {
      break;
    } else {
      ++quiet;
    }
    if (all_came()) thread.request_stop();
  }
  thread.join();
  accounted();
  return captured;
}

}  // namespace cusp
