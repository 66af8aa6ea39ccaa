// One stream of a UvcFunction: probe and commit, still pictures, the thread that makes its frames
// ahead of the host, and its endpoints.
//
// Threads: the verbs of the bus by one thread at a time, the faults from any; the source is called
// on the stream's own thread, without a lock.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "drivers/emulation/usb_function.h"
#include "drivers/emulation/uvc_function.h"
#include "drivers/emulation/uvc_function_payload.h"

namespace cusp {

// What a stream shares with the rest of its device.
struct StreamSurroundings {
  std::uint16_t uvc_version_bcd = 0;
  std::uint32_t clock_hz = 0;
  UsbSpeed speed = UsbSpeed::kSuper;
  bool real_time = true;
  std::chrono::steady_clock::time_point powered_on{};  // the clock's zero
  std::function<void()> wake;                          // an endpoint that had nothing may have now
};

class UvcFunctionStream {
 public:
  UvcFunctionStream(EmulatedStream description, StreamSurroundings surroundings);

  [[nodiscard]] int number() const { return interface_.number; }
  [[nodiscard]] bool has(std::uint8_t endpoint) const {
    return endpoint == interface_.endpoint() || (endpoint != 0 && endpoint == still_endpoint_);
  }
  UsbOutcome control(const ControlSetup& setup, std::span<std::uint8_t> data);
  UsbOutcome in(std::uint8_t endpoint, std::span<std::uint8_t> data);
  void set_alternate(int alternate);
  void clear_halt(std::uint8_t endpoint);
  void reset();
  void power_on();  // as reset(); and a frozen stream thaws

  [[nodiscard]] bool streaming() const;
  [[nodiscard]] bool frozen() const;
  [[nodiscard]] std::uint64_t frames_sent() const;
  void stall_after(std::uint64_t frames);
  void go_silent_after(std::uint64_t frames);
  void freeze_after(std::uint64_t frames);
  void flush();

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  struct StillChoice {
    std::uint8_t format_index = 0;
    std::uint8_t size_index = 0;
    std::uint8_t compression_index = 0;
  };

  UsbOutcome stream_request(std::uint8_t request, std::uint8_t selector,
                            std::span<std::uint8_t> data);
  UsbOutcome still_request(std::uint8_t request, std::uint8_t selector,
                           std::span<std::uint8_t> data);
  UsbOutcome trigger_request(std::uint8_t request, std::span<std::uint8_t> data);
  [[nodiscard]] std::optional<uvc::StreamControl> negotiate(const uvc::StreamControl& wish) const;
  [[nodiscard]] uvc::StreamControl fallback() const;
  [[nodiscard]] std::optional<std::vector<std::uint8_t>> negotiate_still(
      const StillChoice& wish) const;
  [[nodiscard]] const uvc::FormatDescriptor* find_format(std::uint8_t index) const;
  [[nodiscard]] std::uint32_t bulk_payload_bytes(std::uint32_t frame_bytes) const;
  [[nodiscard]] std::uint32_t payload_bytes(std::uint32_t frame_bytes,
                                            std::uint32_t interval_100ns) const;
  [[nodiscard]] EmulatedMode mode_of(const uvc::StreamControl& control) const;
  [[nodiscard]] EmulatedMode still_mode() const;

  bool fault_is_due();
  UsbOutcome video_in(std::span<std::uint8_t> data);
  UsbOutcome still_in(std::span<std::uint8_t> data);
  void begin_stream();
  void end_stream();
  void forget_ready();
  void forget_state();

  void produce(std::stop_token stop);
  [[nodiscard]] bool wants_still() const;
  [[nodiscard]] bool wants_frame() const;
  void make_frame(std::unique_lock<std::mutex>& lock, const std::stop_token& stop);
  [[nodiscard]] std::chrono::nanoseconds period_of(const EmulatedMode& mode,
                                                   std::size_t frame_bytes) const;
  [[nodiscard]] std::uint32_t ticks(SteadyTime time) const;
  [[nodiscard]] std::uint32_t now_ticks(const MadeFrame& frame) const;

  const uvc::StreamingInterface interface_;
  const EmulatedSource source_;
  const std::uint32_t max_payload_bytes_;
  const StreamSurroundings around_;
  const std::uint8_t still_endpoint_;  // of method 3; 0: none

  mutable std::mutex mutex_;
  std::condition_variable_any work_;
  uvc::StreamControl probe_;
  std::optional<uvc::StreamControl> committed_;
  StillChoice still_probe_, still_committed_;
  int alternate_ = 0;

  std::optional<EmulatedMode> mode_;  // set while the stream flows
  bool read_ = false;                 // the host has begun to read it
  bool exhausted_ = false;            // the source has no more frames for this stream
  bool still_due_ = false;            // triggered and not made yet
  bool halted_ = false, silent_ = false, frozen_ = false;
  std::optional<std::uint64_t> stall_at_, silent_at_, freeze_at_;

  std::uint64_t run_ = 0;  // changes when the frame in the making is not wanted any more
  std::uint64_t next_index_ = 0;
  std::uint64_t frames_sent_ = 0;
  SteadyTime next_release_{};
  SteadyTime virtual_now_;  // the clock when frames leave as fast as they are read
  std::deque<MadeFrame> ready_;
  std::optional<MadeFrame> ready_still_;  // for the still endpoint
  PayloadWriter writer_, still_writer_;
  EmulatedFrame spare_;  // a sent frame's memory, for the next one

  std::jthread producer_;  // last: it uses all of the above
};

}  // namespace cusp
