#include "drivers/emulation/uvc_function.h"

#include <array>
#include <deque>
#include <mutex>
#include <utility>

#include "drivers/emulation/uvc_function_descriptors.h"
#include "drivers/emulation/uvc_function_internal.h"
#include "drivers/emulation/uvc_function_stream.h"

namespace cusp {
namespace {

// Requests to the control interface itself, and what it says of the last refusal (UVC 1.5 section
// 4.2.1.2).
constexpr std::uint8_t kErrorCodeSelector = 2;
enum class RequestError : std::uint8_t {
  kNone = 0,
  kOutOfRange = 4,
  kUnknownUnit = 5,
  kUnknownControl = 6,
  kUnknownRequest = 7,
};
constexpr std::size_t kMaxStatusBytes = 16;

class UvcFunction final : public UsbFunction, public EmulatorControl {
 public:
  explicit UvcFunction(EmulatedUvcDevice device)
      : device_descriptor_(emulated_device_descriptor(device)),
        config_descriptor_(emulated_config_descriptor(device)),
        strings_{device.maker, device.product, device.serial},
        speed_(device.speed) {
    CUSP_CHECK(!device.functions.empty() && !device.functions.front().streams.empty(),
               "the double has a stream");
    const auto now = std::chrono::steady_clock::now();
    for (auto& video : device.functions) {
      Function& function = functions_.emplace_back();
      function.description = std::move(video.function);
      function.controls = std::move(video.controls);
      for (const EmulatedControl& control : function.controls)
        CUSP_CHECK(control.size_bytes > 0 && (control.get || control.set), "a control has a use");
      for (auto& stream : video.streams)
        streams_.emplace_back(std::move(stream),
                              StreamSurroundings{
                                  .uvc_version_bcd = function.description.uvc_version_bcd,
                                  .clock_hz = function.description.clock_hz,
                                  .speed = speed_,
                                  .real_time = device.real_time,
                                  .powered_on = now,
                                  .wake = [this] { wake(); },
                              });
    }
  }

  std::vector<std::uint8_t> device_descriptor() const override { return device_descriptor_; }
  std::vector<std::uint8_t> config_descriptor() const override { return config_descriptor_; }
  std::string string_descriptor(std::uint8_t index) const override {
    return index >= 1 && index <= strings_.size() ? strings_[index - std::size_t{1}]
                                                  : std::string();
  }
  UsbSpeed speed() const override { return speed_; }

  UsbOutcome control(const ControlSetup& setup, std::span<std::uint8_t> data) override {
    if (frozen()) return kNothingYet;
    const bool in = setup.request_type == uvc::kFromInterface;
    if (!in && setup.request_type != uvc::kToInterface) return kRefused;
    if (in != (setup.request != uvc::kSetCur)) return kRefused;
    const int interface = setup.index & 0xFF;
    const auto entity = static_cast<std::uint8_t>(setup.index >> 8);
    for (UvcFunctionStream& stream : streams_)
      if (stream.number() == interface) return entity == 0 ? stream.control(setup, data) : kRefused;
    for (Function& function : functions_)
      if (function.description.control_interface == interface)
        return control_of(function, entity, setup, data);
    return kRefused;
  }

  UsbOutcome in(std::uint8_t endpoint, std::span<std::uint8_t> data) override {
    if (frozen()) return kNothingYet;
    for (UvcFunctionStream& stream : streams_)
      if (stream.has(endpoint)) return stream.in(endpoint, data);
    const std::lock_guard lock(status_mutex_);
    for (Function& function : functions_) {
      if (endpoint != function.description.status_endpoint) continue;
      if (function.status.empty()) return kNothingYet;
      const auto packet = std::move(function.status.front());
      function.status.pop_front();
      return answer(data, packet);
    }
    return kRefused;
  }

  void set_alternate(int interface_number, int alternate) override {
    for (UvcFunctionStream& stream : streams_)
      if (stream.number() == interface_number) stream.set_alternate(alternate);
  }
  void clear_halt(std::uint8_t endpoint) override {
    for (UvcFunctionStream& stream : streams_)
      if (stream.has(endpoint)) stream.clear_halt(endpoint);
  }
  void reset() override {
    if (frozen()) return;
    for (UvcFunctionStream& stream : streams_) stream.reset();
  }

  void set_wake(std::function<void()> wake) override {
    if (wake) {
      for (UvcFunctionStream& stream : streams_) stream.power_on();
      const std::lock_guard lock(status_mutex_);
      for (Function& function : functions_) function.status.clear();
    }
    const std::lock_guard lock(wake_mutex_);
    wake_ = std::move(wake);
  }

  bool streaming() const override { return streams_.front().streaming(); }
  std::uint64_t frames_sent() const override { return streams_.front().frames_sent(); }
  void stall_after(std::uint64_t frames) override { streams_.front().stall_after(frames); }
  void go_silent_after(std::uint64_t frames) override { streams_.front().go_silent_after(frames); }
  void freeze_after(std::uint64_t frames) override { streams_.front().freeze_after(frames); }
  void flush() override {
    for (UvcFunctionStream& stream : streams_) stream.flush();
  }
  void send_status(std::size_t function, std::vector<std::uint8_t> packet) override {
    CUSP_CHECK(function < functions_.size() &&
                   functions_[function].description.status_endpoint != 0 &&
                   packet.size() <= kMaxStatusBytes,
               "a status packet fits its endpoint");
    {
      const std::lock_guard lock(status_mutex_);
      functions_[function].status.push_back(std::move(packet));
    }
    wake();
  }

 private:
  struct Function {
    uvc::VideoFunction description;
    std::vector<EmulatedControl> controls;
    RequestError last_error = RequestError::kNone;
    std::deque<std::vector<std::uint8_t>> status;  // guarded by status_mutex_
  };

  bool frozen() const { return streams_.front().frozen(); }

  UsbOutcome control_of(Function& function, std::uint8_t entity, const ControlSetup& setup,
                        std::span<std::uint8_t> data) {
    const auto selector = static_cast<std::uint8_t>(setup.value >> 8);
    if (entity == 0) {
      if (selector != kErrorCodeSelector) return kRefused;
      if (setup.request == uvc::kGetInfo) return answer_byte(data, kCanGet);
      if (setup.request != uvc::kGetCur) return kRefused;
      return answer_byte(
          data, static_cast<std::uint8_t>(std::exchange(function.last_error, RequestError::kNone)));
    }
    RequestError reason = RequestError::kUnknownUnit;
    for (const EmulatedControl& control : function.controls) {
      if (control.entity != entity) continue;
      reason = RequestError::kUnknownControl;
      if (control.selector != selector) continue;
      const UsbOutcome outcome = unit_control(control, setup.request, data);
      if (outcome.kind == UsbOutcome::Kind::kData) return outcome;
      reason = setup.request == uvc::kSetCur && control.set ? RequestError::kOutOfRange
                                                            : RequestError::kUnknownRequest;
      break;
    }
    function.last_error = reason;
    return kRefused;
  }

  // UVC 1.5 section 4.2.
  static UsbOutcome unit_control(const EmulatedControl& control, std::uint8_t request,
                                 std::span<std::uint8_t> data) {
    const auto constant = [&](const std::vector<std::uint8_t>& value) {
      return value.empty() ? kRefused : answer(data, value);
    };
    switch (request) {
      case uvc::kGetLen:
        return answer_le16(data, control.size_bytes);
      case uvc::kGetInfo:
        return answer_byte(data, static_cast<std::uint8_t>((control.get ? kCanGet : 0) |
                                                           (control.set ? kCanSet : 0)));
      case uvc::kGetCur: {
        if (!control.get) return kRefused;
        const auto value = control.get();
        return value ? answer(data, *value) : kRefused;
      }
      case uvc::kGetMin:
        return constant(control.min);
      case uvc::kGetMax:
        return constant(control.max);
      case kGetRes:
        return constant(control.step);
      case uvc::kGetDef:
        return constant(control.initial);
      case uvc::kSetCur:
        if (!control.set || data.size() != control.size_bytes || !control.set(data))
          return kRefused;
        return data_of(data.size());
      default:
        return kRefused;
    }
  }

  void wake() {
    const std::lock_guard lock(wake_mutex_);
    if (wake_) wake_();
  }

  const std::vector<std::uint8_t> device_descriptor_;
  const std::vector<std::uint8_t> config_descriptor_;
  const std::array<std::string, 3> strings_;
  const UsbSpeed speed_;

  std::deque<Function> functions_;
  std::mutex status_mutex_;
  std::mutex wake_mutex_;  // held while wake_ runs, so that set_wake({}) ends all calls
  std::function<void()> wake_;
  std::deque<UvcFunctionStream> streams_;  // last: their threads wake the host
};

}  // namespace

UvcDouble make_uvc_function(EmulatedUvcDevice device) {
  auto function = std::make_unique<UvcFunction>(std::move(device));
  EmulatorControl* const control = function.get();
  return {std::move(function), control};
}

}  // namespace cusp
