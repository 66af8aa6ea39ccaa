#include "drivers/emulation/in_process_transport.h"

#include <condition_variable>
#include <mutex>

namespace cusp {
namespace {

class InProcessTransport final : public UsbTransport {
 public:
  explicit InProcessTransport(UsbFunction& function)
      : function_(function),
        device_(function.device_descriptor()),
        config_(function.config_descriptor()) {
    function_.set_wake([this] {
      const std::lock_guard lock(mutex_);
      ++wakes_;
      changed_.notify_all();
    });
  }
  ~InProcessTransport() override { function_.set_wake({}); }

  std::span<const std::uint8_t> device_descriptor() const override { return device_; }
  std::span<const std::uint8_t> config_descriptor() const override { return config_; }

  Result<std::string> string_descriptor(std::uint8_t index) override {
    return function_.string_descriptor(index);
  }
  UsbSpeed speed() const override { return function_.speed(); }
  std::string location() const override { return "0-1"; }
  Result<void> claim_interface(int) override { return {}; }
  Result<void> set_alternate(int interface_number, int alternate) override {
    function_.set_alternate(interface_number, alternate);
    return {};
  }

  Result<std::size_t> control_in(const ControlSetup& setup, std::span<std::uint8_t> data,
                                 std::chrono::milliseconds) override {
    const UsbOutcome outcome = function_.control(setup, data);
    if (outcome.kind != UsbOutcome::Kind::kData) return refused(setup);
    return outcome.size;
  }
  Result<void> control_out(const ControlSetup& setup, std::span<const std::uint8_t> data,
                           std::chrono::milliseconds) override {
    std::vector<std::uint8_t> copy(data.begin(), data.end());
    if (function_.control(setup, copy).kind != UsbOutcome::Kind::kData) return refused(setup);
    return {};
  }
  Result<void> clear_halt(std::uint8_t endpoint) override {
    function_.clear_halt(endpoint);
    return {};
  }
  Result<void> reset() override {
    function_.reset();
    return {};
  }

  Result<void> stream(std::span<const StreamOptions> endpoints, std::stop_token stop,
                      const std::function<bool(const StreamChunk&)>& on_chunk) override {
    CUSP_CHECK(endpoints.size() == 1, "one endpoint");
    const StreamOptions& options = endpoints.front();
    std::vector<std::uint8_t> buffer(static_cast<std::size_t>(options.transfer_size_bytes));
    auto deadline = std::chrono::steady_clock::now() + options.watchdog;
    while (!stop.stop_requested()) {
      const std::uint64_t wakes = wakes_before_asking();
      const UsbOutcome outcome = function_.in(options.endpoint, buffer);
      switch (outcome.kind) {
        case UsbOutcome::Kind::kStall:
          return error(ErrorCode::kProtocol, "USB endpoint {:#04x}: stalled", options.endpoint);
        case UsbOutcome::Kind::kNak: {
          std::unique_lock lock(mutex_);
          if (!changed_.wait_until(lock, stop, deadline, [&] { return wakes_ != wakes; }) &&
              !stop.stop_requested())
            return error(ErrorCode::kTimeout, "USB endpoint {:#04x}: no data for {} ms",
                         options.endpoint, options.watchdog.count());
          break;
        }
        case UsbOutcome::Kind::kData: {
          const auto now = std::chrono::steady_clock::now();
          deadline = now + options.watchdog;
          if (!on_chunk({.endpoint = options.endpoint,
                         .bytes = std::span(buffer).first(outcome.size),
                         .ends_payload = outcome.size < buffer.size(),
                         .arrival = now}))
            return {};
          break;
        }
      }
    }
    return {};
  }

 private:
  static Error refused(const ControlSetup& setup) {
    return error(ErrorCode::kProtocol,
                 "USB control request {:#04x} {:#04x} value {:#06x} index {:#06x}: refused (stall)",
                 setup.request_type, setup.request, setup.value, setup.index);
  }
  std::uint64_t wakes_before_asking() {
    const std::lock_guard lock(mutex_);
    return wakes_;
  }

  UsbFunction& function_;
  const std::vector<std::uint8_t> device_;
  const std::vector<std::uint8_t> config_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::uint64_t wakes_ = 0;
};

}  // namespace

std::unique_ptr<UsbTransport> make_in_process_transport(UsbFunction& function) {
  return std::make_unique<InProcessTransport>(function);
}

}  // namespace cusp
