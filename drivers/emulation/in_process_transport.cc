#include "drivers/emulation/in_process_transport.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>

#include "drivers/bytes.h"
#include "drivers/emulation/chosen_settings.h"
#include "drivers/emulation/standard_requests.h"
#include "drivers/usb/stream_errors.h"

namespace cusp {
namespace {

using Kind = UsbOutcome::Kind;
using OnChunk = std::function<bool(const StreamChunk&)>;

constexpr const char* kLocation = "0-1";
constexpr std::uint8_t kInBit = 0x80;

MonoTime now() { return std::chrono::steady_clock::now(); }

std::string name_of(const UsbFunction& function) {
  const auto descriptor = function.device_descriptor();
  CUSP_CHECK(descriptor.size() >= 12, "a double has a device descriptor");
  return fmt::format("USB device {:04x}:{:04x} at {}", read_le<std::uint16_t>(descriptor, 8),
                     read_le<std::uint16_t>(descriptor, 10), kLocation);
}

class InProcessTransport final : public UsbTransport {
 public:
  InProcessTransport(UsbFunction& function, std::stop_token unplugged)
      : function_(function),
        what_(name_of(function)),
        device_(function.device_descriptor()),
        config_(function.config_descriptor()),
        settings_(config_),
        unplugged_(std::move(unplugged)),
        on_unplug_(unplugged_, [this] { wake(); }) {
    function_.set_wake([this] { wake(); });
  }
  ~InProcessTransport() override {
    function_.set_wake({});
    if (gone()) function_.reset();  // without a cable it has no power
  }

  std::span<const std::uint8_t> device_descriptor() const override { return device_; }
  std::span<const std::uint8_t> config_descriptor() const override { return config_; }
  UsbSpeed speed() const override { return function_.speed(); }
  std::string location() const override { return kLocation; }

  Result<std::string> string_descriptor(std::uint8_t index) override {
    if (gone()) return device_gone(what_);
    std::string text = function_.string_descriptor(index);
    if (text.empty()) return refused();
    return text;
  }

  Result<void> claim_interface(int number) override {
    if (gone()) return device_gone(what_);
    CUSP_ASSIGN(const UsbIdentity identity, identity_of(device_, config_));
    if (std::none_of(identity.interfaces.begin(), identity.interfaces.end(),
                     [&](const UsbInterface& i) { return i.number == number; }))
      return interface_missing(what_, number);
    claimed_.insert(number);
    return {};
  }
  Result<void> set_alternate(int interface_number, int alternate) override {
    if (!claimed_.contains(interface_number)) return interface_unclaimed(what_, interface_number);
    CUSP_TRY(standard(set_interface_request(interface_number, alternate),
                      alternate_missing(what_, interface_number, alternate)));
    settings_.choose(interface_number, alternate);
    return {};
  }
  Result<void> clear_halt(std::uint8_t endpoint) override {
    return standard(clear_halt_request(endpoint), endpoint_missing(what_, endpoint));
  }
  Result<void> reset() override {
    if (gone()) return device_gone(what_);
    function_.reset();
    settings_.forget();
    return {};
  }

  Result<std::size_t> control_in(const ControlSetup& setup, std::span<std::uint8_t> data,
                                 std::chrono::milliseconds timeout) override {
    return control(setup, data, timeout);
  }
  Result<void> control_out(const ControlSetup& setup, std::span<const std::uint8_t> data,
                           std::chrono::milliseconds timeout) override {
    std::vector<std::uint8_t> copy(data.begin(), data.end());
    CUSP_TRY(control(setup, copy, timeout));
    return {};
  }

  Result<void> stream(std::span<const StreamOptions> endpoints, std::stop_token stop,
                      const OnChunk& on_chunk) override {
    check_stream_options(endpoints);
    std::vector<Lane> lanes;
    for (const StreamOptions& options : endpoints) {
      const ListedEndpoint* const endpoint = settings_.find(options.endpoint);
      if (endpoint == nullptr) return endpoint_missing(what_, options.endpoint);
      lanes.emplace_back(options, service_interval(*endpoint, speed()));
    }
    const std::stop_callback on_stop(stop, [this] { wake(); });
    while (!stop.stop_requested()) {
      const std::uint64_t wakes = wakes_so_far();
      bool moved = false;
      for (Lane& lane : lanes) {
        if (gone()) return device_gone(what_);
        if (stop.stop_requested()) return {};
        CUSP_ASSIGN(const Turn turn, serve(lane, on_chunk));
        if (turn == Turn::kEnough) return {};
        moved = moved || turn == Turn::kMoved;
        if (lane.silent()) return endpoint_silent(what_, lane.options.endpoint, lane.patience());
      }
      if (!moved) wait_for_wake(wakes, earliest_deadline(lanes));
    }
    return {};
  }

 private:
  // An endpoint.
  struct Lane {
    Lane(const StreamOptions& wish, std::chrono::microseconds interval)
        : options(wish),
          transfer_time(interval * wish.packets_per_transfer),
          buffer(static_cast<std::size_t>(isochronous() ? wish.packet_bytes
                                                        : wish.transfer_size_bytes)) {}
    [[nodiscard]] bool isochronous() const { return options.type == TransferType::kIsochronous; }
    [[nodiscard]] std::chrono::milliseconds patience() const {
      return patience_with(options, begun);
    }
    [[nodiscard]] bool silent() const {
      return options.watchdog.count() > 0 && now() >= moved + patience();
    }

    StreamOptions options;
    std::chrono::microseconds transfer_time;  // of an isochronous transfer
    std::vector<std::uint8_t> buffer;
    bool begun = false;      // a chunk was delivered
    MonoTime moved = now();  // when one last was
  };
  enum class Turn { kMoved, kIdle, kEnough };

  // One transfer of the lane, if the function has one.
  Result<Turn> serve(Lane& lane, const OnChunk& on_chunk) {
    return lane.isochronous() ? serve_packets(lane, on_chunk) : serve_transfer(lane, on_chunk);
  }

  Result<Turn> serve_transfer(Lane& lane, const OnChunk& on_chunk) {
    const std::uint8_t endpoint = lane.options.endpoint;
    const UsbOutcome outcome = function_.in(endpoint, lane.buffer);
    switch (outcome.kind) {
      case Kind::kStall:
        if (outcome.size > 0)
          deliver(lane, std::min(outcome.size, lane.buffer.size()), true, false, on_chunk);
        return endpoint_stalled(what_, endpoint);
      case Kind::kDamaged:
        deliver(lane, std::min(outcome.size, lane.buffer.size()), true, true, on_chunk);
        return endpoint_failed(what_, endpoint);
      case Kind::kNak:
        return Turn::kIdle;
      case Kind::kData:
        break;
    }
    if (outcome.size > lane.buffer.size()) {
      deliver(lane, lane.buffer.size(), true, true, on_chunk);
      return endpoint_sent_too_much(what_, endpoint);
    }
    const bool ends =
        lane.options.type == TransferType::kInterrupt || outcome.size < lane.buffer.size();
    return deliver(lane, outcome.size, ends, false, on_chunk);
  }

  // Packets until the function has none; empty ones when a transfer's time has passed without any.
  Result<Turn> serve_packets(Lane& lane, const OnChunk& on_chunk) {
    Turn turn = Turn::kIdle;
    for (int i = 0; i < lane.options.packets_per_transfer; ++i) {
      const UsbOutcome outcome = function_.in(lane.options.endpoint, lane.buffer);
      if (outcome.kind == Kind::kNak) break;
      const std::size_t size =
          outcome.kind == Kind::kStall ? 0 : std::min(outcome.size, lane.buffer.size());
      const bool damaged = outcome.kind != Kind::kData || outcome.size > size;
      turn = deliver(lane, size, true, damaged, on_chunk);
      if (turn == Turn::kEnough) return turn;
    }
    if (turn == Turn::kIdle && now() >= lane.moved + lane.transfer_time)
      for (int i = 0; i < lane.options.packets_per_transfer && turn != Turn::kEnough; ++i)
        turn = deliver(lane, 0, true, false, on_chunk);
    return turn;
  }

  static Turn deliver(Lane& lane, std::size_t size, bool ends_payload, bool damaged,
                      const OnChunk& on_chunk) {
    const bool more = on_chunk({.endpoint = lane.options.endpoint,
                                .bytes = std::span(lane.buffer).first(size),
                                .ends_payload = ends_payload,
                                .damaged = damaged,
                                .arrival = now()});
    lane.begun = true;
    lane.moved = now();
    return more ? Turn::kMoved : Turn::kEnough;
  }

  static MonoTime earliest_deadline(std::span<const Lane> lanes) {
    MonoTime earliest = now() + std::chrono::hours(1);
    for (const Lane& lane : lanes) {
      if (lane.options.watchdog.count() > 0)
        earliest = std::min(earliest, lane.moved + lane.patience());
      if (lane.isochronous()) earliest = std::min(earliest, lane.moved + lane.transfer_time);
    }
    return earliest;
  }

  Result<std::size_t> control(const ControlSetup& setup, std::span<std::uint8_t> data,
                              std::chrono::milliseconds timeout) {
    CUSP_CHECK(timeout.count() > 0, "no request waits for ever");
    const MonoTime deadline = now() + timeout;
    while (true) {
      if (gone()) return device_gone(what_);
      const std::uint64_t wakes = wakes_so_far();
      const UsbOutcome outcome = answer_request(function_, setup, data);
      switch (outcome.kind) {
        case Kind::kData:
          if ((setup.request_type & kInBit) == 0) return data.size();
          if (outcome.size > data.size())
            return error(ErrorCode::kProtocol, "{}: it sent more than was asked", what_);
          return outcome.size;
        case Kind::kStall:
          return refused();
        case Kind::kDamaged:
          return error(ErrorCode::kIo, "{}: the bus reported an error on a request", what_);
        case Kind::kNak:
          break;
      }
      if (!wait_for_wake(wakes, deadline))
        return error(ErrorCode::kTimeout, "{}: it does not answer", what_);
    }
  }

  Result<void> standard(const ControlSetup& setup, const Error& refusal) {
    if (gone()) return device_gone(what_);
    if (answer_request(function_, setup, {}).kind != Kind::kData) return refusal;
    return {};
  }

  Error refused() const {
    return error(ErrorCode::kProtocol, "{}: it refused a request (stall)", what_);
  }

  bool gone() const { return unplugged_.stop_requested(); }
  void wake() {
    const std::lock_guard lock(mutex_);
    ++wakes_;
    changed_.notify_all();
  }
  std::uint64_t wakes_so_far() {
    const std::lock_guard lock(mutex_);
    return wakes_;
  }
  // False: the deadline has passed without one.
  bool wait_for_wake(std::uint64_t before, MonoTime deadline) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, deadline, [&] { return wakes_ != before; });
  }

  UsbFunction& function_;
  const std::string what_;
  const std::vector<std::uint8_t> device_;
  const std::vector<std::uint8_t> config_;
  ChosenSettings settings_;
  std::set<int> claimed_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t wakes_ = 0;  // of the function, a pulled cable or a stop
  const std::stop_token unplugged_;
  const std::stop_callback<std::function<void()>> on_unplug_;
};

}  // namespace

std::unique_ptr<UsbTransport> make_in_process_transport(UsbFunction& function,
                                                        std::stop_token unplugged) {
  return std::make_unique<InProcessTransport>(function, std::move(unplugged));
}

}  // namespace cusp
