// VideoCapture: what every UVC device does to stream: agree on a stream, choose the alternate
// setting with enough bandwidth, start it, put frames together, and bring a stopped stream back.
//
// The ladder of a stopped stream: when no frame came for ten frame periods (half a second at least;
// two after the start, for cameras take up to one to begin), when the endpoint stalled, or when 30
// frames in a row were broken, all transfers are cancelled and drained, the endpoint's halt is
// cleared (bulk) or alternate setting 0 chosen (isochronous) and the stream committed anew; if it
// stops again before two seconds' worth of frames came the device is reset; if that does not help
// either, the error asks the operator to plug the device in again. Streams are stopped however a
// capture ends. UVC 1.5 sections 2.4.3 and 4.3.1.1.
// Threads: one, but counts() from any. Errors: as UsbTransport; kUnsupported when no alternate
// setting has enough bandwidth for the stream (it says how much is needed and there is).
#pragma once

#include <atomic>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "drivers/driver.h"
#include "drivers/uvc/descriptors.h"
#include "drivers/uvc/frame_assembler.h"
#include "drivers/uvc/stream_control.h"

namespace cusp::uvc {

// A stream as the device agreed to it. Nothing has started.
struct AgreedStream {
  int interface_number = 0;
  AlternateSetting setting{};
  StreamControl control{};
  std::vector<std::uint8_t> commit_block{};  // the device's answer, which starts the stream
  FormatDescriptor format{};                 // with the chosen frame alone
  std::uint32_t clock_hz = 0;
  // Of a whole frame. Where the pixels say it, they do: some devices answer 0 or nonsense.
  std::size_t frame_bytes = 0;
  FrameSize frame_size = FrameSize::kExact;

  [[nodiscard]] const FrameDescriptor& frame() const { return format.frames.front(); }
  [[nodiscard]] double rate_hz() const { return 1e7 / control.interval_100ns; }
};

// Probes for a format, frame and interval of the interface. kProtocol: the device answers with
// another one or with sizes that make no sense.
Result<AgreedStream> agree(UsbTransport& transport, const VideoFunction& function,
                           const StreamingInterface& stream, std::uint8_t format_index,
                           std::uint8_t frame_index, std::uint32_t interval_100ns);

// Every format, frame and interval of a streaming interface, for Device::modes().
struct OfferedMode {
  StreamMode mode;
  std::uint8_t format_index = 0;
  std::uint8_t frame_index = 0;
  std::uint32_t interval_100ns = 0;
};
std::vector<OfferedMode> offered_modes(const StreamingInterface& stream,
                                       const std::function<bool(const FormatDescriptor&)>& wanted);
// The one that is wished for (rates within 1 %); kInvalidArgument lists what there is.
Result<OfferedMode> choose_mode(const std::vector<OfferedMode>& offered, const StreamMode& wish,
                                const std::string& device_name);

struct AgreedStill;

class VideoCapture {
 public:
  // `name` is the device in sentences. Interfaces must be claimed. The first stream leads: it is
  // the one whose silence the watchdog judges.
  VideoCapture(UsbTransport& transport, std::string name, std::vector<AgreedStream> streams);

  // Status packets of the control interface's interrupt endpoint (UVC 1.5 section 2.4.2.2).
  void listen(const VideoFunction& function,
              std::function<void(std::span<const std::uint8_t>)> on_status);
  // Still pictures of the first stream (still_capture.h) come as its frames, marked as such; while
  // the camera makes one, five seconds of silence are no fault.
  void expect_stills(const AgreedStill& still);
  // Called on the capturing thread between chunks, about this often.
  void every(std::chrono::milliseconds period, std::function<void()> call);

  // Called when the stream has stopped and before anything is done about it. An error is why it
  // stopped, and ends the capture: the device says itself that restarting it is no use.
  void before_recovery(std::function<Result<void>()> call);

  // Streams until `stop` is asked or `on_frame` answers false (ok), or the device can't go on. May
  // be run again; frame sequence numbers go on.
  Result<void> run(std::stop_token stop,
                   const std::function<bool(std::size_t stream, AssembledFrame&&)>& on_frame);

  // `frames` and `lost` stay 0: only the device's own code knows them.
  [[nodiscard]] CaptureCounts counts() const;

 private:
  using OnFrame = std::function<bool(std::size_t stream, AssembledFrame&&)>;
  struct Counters {
    std::atomic<std::uint64_t> on_bus{0}, header{0}, size{0}, by_device{0}, restarts{0}, bytes{0};
  };

  Result<void> start();
  Result<void> stop_streams();
  Result<void> stream_once(const std::stop_token& stop);
  Result<void> recover(const Error& why, int failures);
  [[nodiscard]] std::vector<StreamOptions> endpoints() const;
  [[nodiscard]] std::chrono::nanoseconds patience(bool has_begun) const;
  [[nodiscard]] int frames_to_forgive() const;
  void take(const StreamChunk& chunk);
  void give(std::size_t stream, AssembledFrame&& frame);
  void judge_silence(MonoTime now);
  void call_periodic(MonoTime now);
  void count_broken();
  [[nodiscard]] bool too_many_broken() const;
  [[nodiscard]] Error named(const Error& e) const;

  UsbTransport& transport_;
  const std::string name_;
  const std::vector<AgreedStream> streams_;
  std::vector<FrameAssembler> assemblers_;  // one a stream
  std::optional<FrameAssembler> stills_;    // of an endpoint of their own
  std::uint8_t still_endpoint_ = 0;
  bool stills_expected_ = false;
  std::uint8_t status_endpoint_ = 0;
  int status_packet_bytes_ = 0;
  std::function<void(std::span<const std::uint8_t>)> on_status_;
  std::chrono::milliseconds period_{0};
  std::function<void()> periodic_;
  std::optional<MonoTime> waits_since_;  // for the next call
  std::function<Result<void>()> before_recovery_;
  Counters counters_;

  // Of the current run.
  const OnFrame* on_frame_ = nullptr;
  bool wanted_ = true;                   // on_frame_ wants more
  int failures_ = 0;                     // since the stream last ran well
  int led_ = 0;                          // frames of the leading stream since the start
  MonoTime last_chunk_{};                // of the leading stream
  std::chrono::nanoseconds silence_{0};  // of the leading stream, as far as chunks told of it
  bool silent_ = false;
};

// Turns the device's 32-bit ticks into a time that does not wrap (at 48 MHz they do every 89 s).
class DeviceClock {
 public:
  explicit DeviceClock(std::uint32_t hz) : hz_(hz) {}
  std::chrono::nanoseconds operator()(std::uint32_t ticks);

 private:
  std::uint64_t hz_;
  bool started_ = false;
  std::uint32_t last_ = 0;
  std::uint64_t total_ticks_ = 0;
};

}  // namespace cusp::uvc
