// A UsbFunction that does what a test tells it: what each endpoint gives next, and a small memory
// behind vendor requests.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "drivers/emulation/usb_function.h"

namespace cusp {

using Bytes = std::vector<std::uint8_t>;

class ObedientFunction final : public UsbFunction {
 public:
  static constexpr std::uint8_t kBulk = 0x81, kIso = 0x82, kInterrupt = 0x83, kBulkOut = 0x04;
  // Vendor requests.
  static constexpr std::uint8_t kRead = 1, kWrite = 2, kRefused = 3, kSilent = 4;

  explicit ObedientFunction(UsbSpeed speed = UsbSpeed::kSuper) : speed_(speed) {}

  Bytes device_descriptor() const override {
    return {18, 1, 0x00, 0x03, 0xEF, 2, 1, 9, 0x34, 0x12, 0x78, 0x56, 0x02, 0x01, 1, 2, 3, 1};
  }
  Bytes config_descriptor() const override {
    Bytes bytes{9, 2, 0, 0, 2, 1, 0, 0x80, 50};
    const auto add = [&](Bytes more) { bytes.insert(bytes.end(), more.begin(), more.end()); };
    add({9, 4, 0, 0, 2, 0xFF, 0x11, 0x22, 0});
    add({7, 5, kBulk, 2, 0x00, 0x04, 0});
    add({7, 5, kBulkOut, 2, 0x00, 0x04, 0});
    add({9, 4, 1, 0, 1, 0x0E, 0x02, 0x00, 0});
    add({7, 5, kInterrupt, 3, 0x40, 0x00, 4});
    add({9, 4, 1, 1, 2, 0x0E, 0x02, 0x00, 0});
    add({7, 5, kInterrupt, 3, 0x40, 0x00, 4});
    add({7, 5, kIso, 5, 0x00, 0x04, 1});
    bytes[2] = static_cast<std::uint8_t>(bytes.size());
    return bytes;
  }
  std::string string_descriptor(std::uint8_t index) const override {
    return index == 3 ? "S-17" : "";
  }
  UsbSpeed speed() const override { return speed_; }

  UsbOutcome control(const ControlSetup& setup, std::span<std::uint8_t> data) override {
    const std::lock_guard lock(mutex_);
    switch (setup.request) {
      case kRead: {
        const std::size_t size = std::min(data.size(), memory_.size());
        std::copy_n(memory_.begin(), size, data.begin());
        return {UsbOutcome::Kind::kData, size};
      }
      case kWrite:
        memory_.assign(data.begin(), data.end());
        return {UsbOutcome::Kind::kData, data.size()};
      case kSilent:
        return {UsbOutcome::Kind::kNak};
      default:
        return {UsbOutcome::Kind::kStall};
    }
  }

  UsbOutcome in(std::uint8_t endpoint, std::span<std::uint8_t> data) override {
    const std::lock_guard lock(mutex_);
    ++asked_[endpoint];
    if (endless_) {
      sent_bytes_ += data.size();
      return {UsbOutcome::Kind::kData, data.size()};
    }
    auto& script = scripts_[endpoint];
    if (script.empty()) return {UsbOutcome::Kind::kNak};
    const auto [outcome, bytes] = std::move(script.front());
    script.pop_front();
    std::copy_n(bytes.begin(), std::min(bytes.size(), data.size()), data.begin());
    return outcome;
  }

  void set_alternate(int interface_number, int alternate) override {
    const std::lock_guard lock(mutex_);
    alternates_.emplace_back(interface_number, alternate);
  }
  void clear_halt(std::uint8_t endpoint) override {
    const std::lock_guard lock(mutex_);
    cleared_.push_back(endpoint);
  }
  void reset() override {
    const std::lock_guard lock(mutex_);
    ++resets_;
  }
  void set_wake(std::function<void()> wake) override {
    const std::lock_guard lock(wake_mutex_);
    wake_ = std::move(wake);
  }

  // --- the test's side ---
  void give(std::uint8_t endpoint, Bytes bytes) {
    const std::size_t size = bytes.size();
    give(endpoint, {UsbOutcome::Kind::kData, size}, std::move(bytes));
  }
  void give(std::uint8_t endpoint, UsbOutcome outcome, Bytes bytes = {}) {
    {
      const std::lock_guard lock(mutex_);
      scripts_[endpoint].emplace_back(outcome, std::move(bytes));
    }
    const std::lock_guard lock(wake_mutex_);
    if (wake_) wake_();
  }
  void give_without_end() {
    const std::lock_guard lock(mutex_);
    endless_ = true;
  }
  int asked(std::uint8_t endpoint) const {
    const std::lock_guard lock(mutex_);
    const auto found = asked_.find(endpoint);
    return found == asked_.end() ? 0 : found->second;
  }
  std::uint64_t sent_bytes() const {
    const std::lock_guard lock(mutex_);
    return sent_bytes_;
  }
  int resets() const {
    const std::lock_guard lock(mutex_);
    return resets_;
  }
  std::vector<std::pair<int, int>> alternates() const {
    const std::lock_guard lock(mutex_);
    return alternates_;
  }
  std::vector<std::uint8_t> cleared() const {
    const std::lock_guard lock(mutex_);
    return cleared_;
  }

 private:
  const UsbSpeed speed_;
  mutable std::mutex mutex_;
  std::mutex wake_mutex_;
  std::function<void()> wake_;
  Bytes memory_;
  std::map<std::uint8_t, std::deque<std::pair<UsbOutcome, Bytes>>> scripts_;
  std::map<std::uint8_t, int> asked_;
  bool endless_ = false;
  std::uint64_t sent_bytes_ = 0;
  int resets_ = 0;
  std::vector<std::pair<int, int>> alternates_;
  std::vector<std::uint8_t> cleared_;
};

}  // namespace cusp
