#include "drivers/realsense_d400/emulator.h"

#include <algorithm>
#include <bit>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "drivers/bytes.h"
#include "drivers/realsense_d400/emulator_descriptors.h"
#include "drivers/realsense_d400/protocol.h"
#include "drivers/uvc/stream_control.h"

namespace cusp::realsense_d400 {
namespace {

static_assert(std::endian::native == std::endian::little, "Z16 is filled in place");

constexpr std::size_t kLookAhead = 2;  // frames made before the host asks for them
constexpr std::size_t kHeaderBytes = 12;
constexpr std::uint8_t kFrameId = 0x01, kEndOfFrame = 0x02, kHasPts = 0x04, kHasScr = 0x08,
                       kEndOfHeader = 0x80;
constexpr std::uint8_t kGetAndSet = 0x03;  // GET_INFO: both requests are supported
constexpr std::int32_t kUnknownCommand = -1, kCommandLocked = -27, kWrongTableId = -28;

UsbOutcome data_of(std::size_t size) { return {UsbOutcome::Kind::kData, size}; }
constexpr UsbOutcome kStalled{UsbOutcome::Kind::kStall, 0};
constexpr UsbOutcome kNothingYet{UsbOutcome::Kind::kNak, 0};

// FWB, FES, FEF, FPLOCK, DFU: they write flash, lock it for ever, or leave the firmware.
bool is_dangerous(std::uint32_t opcode) {
  return opcode == 0x0A || opcode == 0x0B || opcode == 0x0C || opcode == 0x0E || opcode == 0x1E;
}

bool is_serial(const std::string& text) {
  return text.size() == 12 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// One payload: the header in front of the pixels, in words so that the pixels are filled in place.
struct Payload {
  std::vector<std::uint16_t> words;
  [[nodiscard]] std::span<std::uint16_t> pixels() {
    return std::span(words).subspan(kHeaderBytes / 2);
  }
  [[nodiscard]] std::span<std::uint8_t> bytes() {
    return {reinterpret_cast<std::uint8_t*>(words.data()), words.size() * 2};
  }
};

class D400Emulator final : public UsbFunction, public EmulatorControl {
 public:
  D400Emulator(EmulatorOptions options, FrameSource source)
      : options_(std::move(options)),
        source_(std::move(source)),
        frames_(emulator_frames(options_)),
        table_(encode(
            Coefficients{.baseline_mm = options_.baseline_mm, .rectified = {options_.depth}})),
        producer_([this](std::stop_token stop) { produce(stop); }) {}

  std::vector<std::uint8_t> device_descriptor() const override {
    return emulator_device_descriptor(options_);
  }
  std::vector<std::uint8_t> config_descriptor() const override {
    return emulator_config_descriptor(frames_);
  }
  std::string string_descriptor(std::uint8_t index) const override {
    switch (index) {
      case 1:
        return "Intel(R) RealSense(TM)";
      case 2:
        return std::string(find_model(options_.product_id)->name);
      case 3:
        return options_.serial;
      default:
        return {};
    }
  }

  UsbOutcome control(const ControlSetup& setup, std::span<std::uint8_t> data) override {
    const std::lock_guard lock(mutex_);
    const auto selector = static_cast<std::uint8_t>(setup.value >> 8);
    const bool known_type =
        setup.request_type == uvc::kToInterface || setup.request_type == uvc::kFromInterface;
    if (!known_type) return kStalled;
    if (setup.index == kEmulatorStreamingInterface) return stream_control(setup, selector, data);
    if (setup.index == (kEmulatorDepthUnit << 8 | kEmulatorControlInterface) &&
        selector == kMonitorSelector)
      return monitor_control(setup, data);
    return kStalled;
  }

  UsbOutcome in(std::uint8_t endpoint, std::span<std::uint8_t> data) override {
    const std::lock_guard lock(mutex_);
    if (endpoint != kEmulatorEndpoint || halted_) return kStalled;
    if (!mode_ || silent_) return kNothingYet;
    if (!read_) {
      read_ = true;
      work_.notify_all();
    }
    if (!sending_) {
      if (stall_at_ && frames_sent_ >= *stall_at_) {
        stall_at_.reset();
        halted_ = true;
        return kStalled;
      }
      if (silent_at_ && frames_sent_ >= *silent_at_) {
        silent_at_.reset();
        silent_ = true;
        return kNothingYet;
      }
      if (ready_.empty()) return kNothingYet;
      sending_ = std::move(ready_.front());
      ready_.pop_front();
      sent_bytes_ = 0;
      work_.notify_all();
    }
    const auto payload = sending_->bytes();
    const std::size_t size = std::min(data.size(), payload.size() - sent_bytes_);
    std::copy_n(payload.begin() + static_cast<std::ptrdiff_t>(sent_bytes_), size, data.begin());
    sent_bytes_ += size;
    if (sent_bytes_ == payload.size()) {
      sending_.reset();
      ++frames_sent_;
    }
    return data_of(size);
  }

  void set_alternate(int interface_number, int alternate) override {
    const std::lock_guard lock(mutex_);
    if (interface_number == kEmulatorStreamingInterface && alternate == 0) end_stream();
  }

  void clear_halt(std::uint8_t endpoint) override {
    const std::lock_guard lock(mutex_);
    if (endpoint != kEmulatorEndpoint) return;
    halted_ = false;
    silent_ = false;
    end_stream();
  }

  void reset() override {
    const std::lock_guard lock(mutex_);
    halted_ = false;
    silent_ = false;
    probe_ = {};
    answer_.clear();
    end_stream();
  }

  void set_wake(std::function<void()> wake) override {
    const std::lock_guard lock(wake_mutex_);
    wake_ = std::move(wake);
  }

  bool streaming() const override {
    const std::lock_guard lock(mutex_);
    return mode_ && read_;
  }
  std::uint64_t frames_sent() const override {
    const std::lock_guard lock(mutex_);
    return frames_sent_;
  }
  void stall_after(std::uint64_t frames) override {
    {
      const std::lock_guard lock(mutex_);
      stall_at_ = frames_sent_ + frames;
    }
    wake();  // a transfer that waits must see the halt
  }
  void go_silent_after(std::uint64_t frames) override {
    const std::lock_guard lock(mutex_);
    silent_at_ = frames_sent_ + frames;
  }
  void corrupt_calibration() override {
    const std::lock_guard lock(mutex_);
    table_.back() ^= 0x01;
  }

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  struct Mode {
    int width_px = 0;
    int height_px = 0;
    std::uint32_t interval_100ns = 0;
  };

  // Interface 1: probe and commit.
  UsbOutcome stream_control(const ControlSetup& setup, std::uint8_t selector,
                            std::span<std::uint8_t> data) {
    if (selector != uvc::kProbeSelector && selector != uvc::kCommitSelector) return kStalled;
    const std::size_t block_bytes = uvc::stream_control_bytes(kEmulatorUvcVersion);
    switch (setup.request) {
      case uvc::kGetLen:
        return answer_le16(data, static_cast<std::uint16_t>(block_bytes));
      case uvc::kGetInfo:
        return answer_byte(data, kGetAndSet);
      case uvc::kGetCur:
        return answer(data, uvc::encode(selector == uvc::kProbeSelector ? probe_ : committed_,
                                        kEmulatorUvcVersion));
      case uvc::kGetMin:
      case uvc::kGetMax:
      case uvc::kGetDef:
        return answer(data, uvc::encode(*negotiate({1, 1, 0}), kEmulatorUvcVersion));
      case uvc::kSetCur:
        break;
      default:
        return kStalled;
    }
    if (data.size() != block_bytes) return kStalled;
    const auto wish = uvc::decode_stream_control(data);
    if (!wish) return kStalled;
    const auto agreed = negotiate(*wish);
    if (!agreed) return kStalled;
    if (selector == uvc::kProbeSelector) {
      probe_ = *agreed;
    } else {
      // A commit must repeat what the probe agreed on.
      if (wish->interval_100ns != agreed->interval_100ns) return kStalled;
      committed_ = *agreed;
      begin_stream();
    }
    return data_of(data.size());
  }

  // Fills in what the device decides; nothing when the format or frame does not exist.
  std::optional<uvc::StreamControl> negotiate(const uvc::StreamControl& wish) const {
    if (wish.format_index != kEmulatorFormatIndex) return std::nullopt;
    const auto frame = std::find_if(frames_.begin(), frames_.end(), [&](const auto& candidate) {
      return candidate.index == wish.frame_index;
    });
    if (frame == frames_.end()) return std::nullopt;
    const auto distance = [&](std::uint32_t interval) {
      return interval > wish.interval_100ns ? interval - wish.interval_100ns
                                            : wish.interval_100ns - interval;
    };
    const auto interval = *std::min_element(
        frame->intervals_100ns.begin(), frame->intervals_100ns.end(),
        [&](std::uint32_t a, std::uint32_t b) { return distance(a) < distance(b); });
    const auto frame_bytes = static_cast<std::uint32_t>(frame->width_px * frame->height_px * 2);
    return uvc::StreamControl{.format_index = wish.format_index,
                              .frame_index = wish.frame_index,
                              .interval_100ns = interval,
                              .max_frame_bytes = frame_bytes,
                              .max_payload_bytes = frame_bytes + std::uint32_t{kHeaderBytes},
                              .clock_hz = kEmulatorClockHz};
  }

  // Unit 3, selector 1: a command is written and its answer read back.
  UsbOutcome monitor_control(const ControlSetup& setup, std::span<std::uint8_t> data) {
    switch (setup.request) {
      case uvc::kGetLen:
        return answer_le16(data, kMonitorBytes);
      case uvc::kGetInfo:
        return answer_byte(data, kGetAndSet);
      case uvc::kGetCur:
        if (answer_.empty() || data.size() != kMonitorBytes) return kStalled;
        return answer(data, answer_);
      case uvc::kSetCur:
        break;
      default:
        return kStalled;
    }
    if (data.size() != kMonitorBytes || read_le<std::uint16_t>(data, 2) != kMonitorMagic ||
        read_le<std::uint16_t>(data, 0) < kMonitorHeaderBytes - 4)
      return kStalled;
    run_command(read_le<std::uint32_t>(data, 4), read_le<std::uint32_t>(data, 8));
    return data_of(data.size());
  }

  void run_command(std::uint32_t opcode, std::uint32_t parameter) {
    if (opcode == static_cast<std::uint32_t>(Opcode::kDeviceDetails)) {
      set_answer(opcode, encode(DeviceDetails{options_.firmware, options_.serial}));
    } else if (opcode == static_cast<std::uint32_t>(Opcode::kReadCalibration)) {
      if (parameter == kCoefficientsTableId)
        set_answer(opcode, table_);
      else
        set_refusal(kWrongTableId);
    } else {
      set_refusal(is_dangerous(opcode) ? kCommandLocked : kUnknownCommand);
    }
  }

  void set_answer(std::uint32_t opcode, std::span<const std::uint8_t> data) {
    answer_.assign(kMonitorBytes, 0);
    write_le(answer_, 0, opcode);
    std::copy(data.begin(), data.end(), answer_.begin() + 4);
    write_le(answer_, kMonitorSizeAt, static_cast<std::uint32_t>(data.size()));
  }
  void set_refusal(std::int32_t code) { set_answer(static_cast<std::uint32_t>(code), {}); }

  static UsbOutcome answer(std::span<std::uint8_t> data, std::span<const std::uint8_t> from) {
    const std::size_t size = std::min(data.size(), from.size());
    std::copy_n(from.begin(), size, data.begin());
    return data_of(size);
  }
  static UsbOutcome answer_byte(std::span<std::uint8_t> data, std::uint8_t value) {
    return answer(data, std::array{value});
  }
  static UsbOutcome answer_le16(std::span<std::uint8_t> data, std::uint16_t value) {
    return answer(
        data, std::array{static_cast<std::uint8_t>(value), static_cast<std::uint8_t>(value >> 8)});
  }

  void begin_stream() {
    end_stream();
    const auto& frame = *std::find_if(frames_.begin(), frames_.end(), [&](const auto& candidate) {
      return candidate.index == committed_.frame_index;
    });
    mode_ = Mode{frame.width_px, frame.height_px, committed_.interval_100ns};
  }

  void end_stream() {
    mode_.reset();
    read_ = false;
    exhausted_ = false;
    ready_.clear();
    sending_.reset();
    ++run_;
    work_.notify_all();
  }

  void wake() {
    const std::lock_guard lock(wake_mutex_);
    if (wake_) wake_();
  }

  // The producer: makes frames ahead of the host, in order, no faster than the committed rate.
  void produce(std::stop_token stop) {
    const SteadyTime start = std::chrono::steady_clock::now();
    SteadyTime next_release{};
    std::unique_lock lock(mutex_);
    while (work_.wait(
        lock, stop, [&] { return mode_ && read_ && !exhausted_ && ready_.size() < kLookAhead; })) {
      const std::uint64_t run = run_;
      const Mode mode = *mode_;
      const std::uint64_t index = next_index_;
      const bool frame_id = frame_id_;
      lock.unlock();
      Payload payload;
      payload.words.resize(kHeaderBytes / 2 + static_cast<std::size_t>(mode.width_px) *
                                                  static_cast<std::size_t>(mode.height_px));
      const bool more = source_(index, payload.pixels());
      lock.lock();
      if (!more) {
        exhausted_ = run == run_;  // the next stream asks for this frame again
        continue;
      }
      ++next_index_;
      const std::chrono::nanoseconds period{std::uint64_t{mode.interval_100ns} * 100};
      SteadyTime capture_time = start + period * index;
      if (options_.real_time) {
        work_.wait_until(lock, stop, next_release, [&] { return run != run_; });
        if (stop.stop_requested()) return;
        capture_time = std::chrono::steady_clock::now();
        next_release = std::max(next_release, capture_time - period / 2) + period;
      }
      if (run != run_) continue;  // the host stopped meanwhile: what was in the making is flushed
      write_header(payload, frame_id, capture_time - start);
      frame_id_ = !frame_id;
      ready_.push_back(std::move(payload));
      lock.unlock();
      wake();
      lock.lock();
    }
  }

  static void write_header(Payload& payload, bool frame_id, std::chrono::nanoseconds capture_time) {
    const auto bytes = payload.bytes();
    const auto ticks = static_cast<std::uint32_t>(static_cast<std::uint64_t>(
        std::chrono::duration<double>(capture_time).count() * kEmulatorClockHz));
    bytes[0] = kHeaderBytes;
    bytes[1] = static_cast<std::uint8_t>((frame_id ? kFrameId : 0) | kEndOfFrame | kHasPts |
                                         kHasScr | kEndOfHeader);
    write_le(bytes, 2, ticks);
    write_le(bytes, 6, ticks);
    // The SCR's token: the 1 kHz frame number of the bus, 11 bits.
    const auto frame_number =
        static_cast<std::uint16_t>((ticks / (kEmulatorClockHz / 1000)) & 0x7FF);
    write_le(bytes, 10, frame_number);
  }

  const EmulatorOptions options_;
  const FrameSource source_;
  const std::vector<uvc::FrameDescriptor> frames_;

  mutable std::mutex mutex_;
  std::condition_variable_any work_;
  std::vector<std::uint8_t> table_;   // calibration, as it is sent
  std::vector<std::uint8_t> answer_;  // of the last monitor command
  uvc::StreamControl probe_;
  uvc::StreamControl committed_;
  std::optional<Mode> mode_;  // set while a stream is committed
  bool read_ = false;         // the host has begun to read it
  bool exhausted_ = false;    // the source has no more frames for this stream
  bool halted_ = false;
  bool silent_ = false;
  bool frame_id_ = false;
  std::uint64_t run_ = 0;  // names the stream, so that late frames of an old one are seen
  std::uint64_t next_index_ = 0;
  std::uint64_t frames_sent_ = 0;
  std::optional<std::uint64_t> stall_at_;
  std::optional<std::uint64_t> silent_at_;
  std::deque<Payload> ready_;
  std::optional<Payload> sending_;
  std::size_t sent_bytes_ = 0;

  std::mutex wake_mutex_;  // held while wake_ runs, so that set_wake({}) ends all calls
  std::function<void()> wake_;
  std::jthread producer_;  // last: it uses all of the above
};

}  // namespace

Emulator make_emulator(EmulatorOptions options, FrameSource source) {
  CUSP_CHECK(find_model(options.product_id) != nullptr, "a product id of the D400 family");
  CUSP_CHECK(is_serial(options.serial), "a serial number has 12 lower-case hex digits");
  CUSP_CHECK(options.depth.width_px > 0 && options.depth.height_px > 0 && options.max_rate_hz > 0,
             "the double needs a size and a rate");
  CUSP_CHECK(source != nullptr, "the double needs a source of frames");
  auto emulator = std::make_unique<D400Emulator>(std::move(options), std::move(source));
  EmulatorControl* const control = emulator.get();
  return {std::move(emulator), control};
}

}  // namespace cusp::realsense_d400
