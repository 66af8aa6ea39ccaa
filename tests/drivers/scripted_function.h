// ScriptedFunction: a USB device that sends exactly what a test queued, for tests of transports.
// Its ids are those of a scanner that Cusp knows, so that a bus lists it.
//
// Interface 0 has bulk 0x81 and interrupt 0x82; interface 1 has, in its alternate setting 1,
// isochronous 0x83. Threads: every verb from any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "drivers/emulation/usb_function.h"

namespace cusp {

inline constexpr std::uint8_t kBulkEndpoint = 0x81, kInterruptEndpoint = 0x82,
                              kIsochronousEndpoint = 0x83;
inline constexpr int kPacketBytes = 192;

class ScriptedFunction final : public UsbFunction {
 public:
  struct Sent {
    UsbOutcome::Kind kind = UsbOutcome::Kind::kData;
    std::vector<std::uint8_t> bytes{};
  };

  // Sends one more transfer or packet. A stall halts the endpoint until it is cleared.
  void send(std::uint8_t endpoint, Sent sent) {
    {
      const std::lock_guard lock(mutex_);
      queued_[endpoint].push_back(std::move(sent));
    }
    wake();
  }
  void send(std::uint8_t endpoint, std::vector<std::uint8_t> bytes) {
    send(endpoint, Sent{.bytes = std::move(bytes)});
  }
  // Has `fill` write every transfer of an endpoint from now on; false: nothing just now.
  void keep_sending(std::uint8_t endpoint, std::function<bool(std::span<std::uint8_t>)> fill) {
    {
      const std::lock_guard lock(mutex_);
      sources_[endpoint] = std::move(fill);
    }
    wake();
  }
  // How vendor requests are answered: 1 echoes its value, 2 stalls, 3 is never answered.
  enum Request : std::uint8_t { kEcho = 1, kRefuse = 2, kIgnore = 3 };
  void wake() {
    const std::lock_guard lock(wake_mutex_);
    if (wake_) wake_();
  }
  int requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  std::vector<std::uint8_t> device_descriptor() const override {
    return {18, 1, 0, 2, 0, 0, 0, 64, 0x86, 0x80, 0x5B, 0x0B, 0, 1, 1, 2, 3, 1};
  }
  std::vector<std::uint8_t> config_descriptor() const override {
    return {
        9,
        2,
        57,
        0,
        2,
        1,
        0,
        0x80,
        50,  //
        9,
        4,
        0,
        0,
        2,
        0xFF,
        0,
        0,
        0,  //
        7,
        5,
        kBulkEndpoint,
        2,
        0,
        2,
        0,  //
        7,
        5,
        kInterruptEndpoint,
        3,
        64,
        0,
        4,  //
        9,
        4,
        1,
        0,
        0,
        0xFF,
        0,
        0,
        0,  //
        9,
        4,
        1,
        1,
        1,
        0xFF,
        0,
        0,
        0,  //
        7,
        5,
        kIsochronousEndpoint,
        5,
        kPacketBytes,
        0,
        1,
    };
  }
  std::string string_descriptor(std::uint8_t index) const override {
    return index == 2 ? "Scripted" : "";
  }
  UsbSpeed speed() const override { return UsbSpeed::kHigh; }

  UsbOutcome control(const ControlSetup& setup, std::span<std::uint8_t> data) override {
    const std::lock_guard lock(mutex_);
    ++requests_;
    switch (setup.request) {
      case kEcho:
        for (std::uint8_t& byte : data) byte = static_cast<std::uint8_t>(setup.value);
        return {UsbOutcome::Kind::kData, data.size()};
      case kIgnore:
        return {UsbOutcome::Kind::kNak, 0};
      default:
        return {UsbOutcome::Kind::kStall, 0};
    }
  }

  UsbOutcome in(std::uint8_t endpoint, std::span<std::uint8_t> data) override {
    const std::lock_guard lock(mutex_);
    if (halted_ == endpoint) return {UsbOutcome::Kind::kStall, 0};
    auto& queue = queued_[endpoint];
    if (queue.empty()) {
      const auto source = sources_.find(endpoint);
      const bool more = source != sources_.end() && source->second(data);
      return more ? UsbOutcome{UsbOutcome::Kind::kData, data.size()}
                  : UsbOutcome{UsbOutcome::Kind::kNak, 0};
    }
    const Sent sent = std::move(queue.front());
    queue.pop_front();
    if (sent.kind == UsbOutcome::Kind::kStall) halted_ = endpoint;
    std::copy_n(sent.bytes.begin(), std::min(sent.bytes.size(), data.size()), data.begin());
    return {sent.kind, sent.bytes.size()};
  }
  void set_alternate(int interface_number, int alternate) override {
    const std::lock_guard lock(mutex_);
    if (interface_number == 1) alternate_ = alternate;
  }
  void clear_halt(std::uint8_t endpoint) override {
    const std::lock_guard lock(mutex_);
    if (halted_ == endpoint) halted_.reset();
  }
  void reset() override {
    const std::lock_guard lock(mutex_);
    halted_.reset();
    alternate_ = 0;
    queued_.clear();
  }
  void set_wake(std::function<void()> wake) override {
    const std::lock_guard lock(wake_mutex_);
    wake_ = std::move(wake);
  }
  int alternate() const {
    const std::lock_guard lock(mutex_);
    return alternate_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::uint8_t, std::deque<Sent>> queued_;
  std::map<std::uint8_t, std::function<bool(std::span<std::uint8_t>)>> sources_;
  std::optional<std::uint8_t> halted_;
  int alternate_ = 0;
  int requests_ = 0;
  std::mutex wake_mutex_;  // held while wake_ runs, so that set_wake({}) ends all calls
  std::function<void()> wake_;
};

}  // namespace cusp
