#include <sys/resource.h>

#include <algorithm>
#include <array>

#include "tools/bench/usb/usb_bench_internal.h"

namespace cusp::bench {
namespace {

class EndlessFunction final : public UsbFunction {
 public:
  std::vector<std::uint8_t> device_descriptor() const override {
    return {18, 1, 0x10, 3, 0, 0, 0, 9, 0x86, 0x80, 0x5B, 0x0B, 0, 1, 0, 0, 0, 1};
  }
  std::vector<std::uint8_t> config_descriptor() const override {
    return {9, 2,    31,        0, 1, 1,    0, 0x80, 100,  //
            9, 4,    0,         0, 1, 0xFF, 0, 0,    0,    //
            7, 5,    kEndpoint, 2, 0, 4,    0,             //
            6, 0x30, 15,        0, 0, 0};
  }
  std::string string_descriptor(std::uint8_t) const override { return {}; }

  UsbOutcome control(const ControlSetup&, std::span<std::uint8_t>) override {
    return {UsbOutcome::Kind::kStall, 0};
  }
  UsbOutcome in(std::uint8_t, std::span<std::uint8_t> data) override {
    const std::vector<std::uint8_t>& payload = payloads_[frame_ % payloads_.size()];
    const std::size_t size = std::min(data.size(), payload.size() - sent_);
    std::copy_n(payload.begin() + static_cast<std::ptrdiff_t>(sent_), size, data.begin());
    sent_ += size;
    if (sent_ == payload.size()) {
      sent_ = 0;
      ++frame_;
    }
    return {UsbOutcome::Kind::kData, size};
  }
  void set_alternate(int, int) override {}
  void clear_halt(std::uint8_t) override {}
  void reset() override { sent_ = 0; }
  void set_wake(std::function<void()>) override {}

 private:
  const std::array<std::vector<std::uint8_t>, 2> payloads_{payload_of_a_frame(false),
                                                           payload_of_a_frame(true)};
  std::size_t frame_ = 0;
  std::size_t sent_ = 0;
};

}  // namespace

std::vector<std::uint8_t> payload_of_a_frame(bool frame_id) {
  std::vector<std::uint8_t> payload(kPayloadHeaderBytes + kFrameBytes);
  for (std::size_t i = kPayloadHeaderBytes; i < payload.size(); ++i)
    payload[i] = static_cast<std::uint8_t>(i * 131 >> 8);
  payload[0] = kPayloadHeaderBytes;
  payload[1] = static_cast<std::uint8_t>(0x8E | (frame_id ? 1 : 0));  // EOH, SCR, PTS, EOF, FID
  return payload;
}

std::unique_ptr<UsbFunction> make_endless_function() { return std::make_unique<EndlessFunction>(); }

double cpu_seconds_so_far() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace cusp::bench
