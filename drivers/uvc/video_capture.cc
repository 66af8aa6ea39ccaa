#include "drivers/uvc/video_capture.h"

#include <algorithm>

#include "drivers/uvc/still_capture.h"

namespace cusp::uvc {
namespace {

using std::chrono::milliseconds;

constexpr int kPatienceFrames = 10;
constexpr milliseconds kLeastPatience{500}, kStartPatience{2000}, kStillPatience{5000};
constexpr std::uint64_t kMaxBrokenInARow = 30;
constexpr int kRestarts = 1, kResets = 1;  // unless the stream ran well between them
constexpr std::uint32_t kGoodRun100Ns = 20'000'000;
// Isochronous transfers hold up to 32 intervals (4 ms at high speed) but no more than this each,
// for the kernel's memory for USB is small.
constexpr int kTransferBytes = 256 * 1024, kPackets = 32, kIsochronousTransfers = 16;
constexpr int kStatusTransfers = 2;

}  // namespace

VideoCapture::VideoCapture(UsbTransport& transport, std::string name,
                           std::vector<AgreedStream> streams)
    : transport_(transport), name_(std::move(name)), streams_(std::move(streams)) {
  CUSP_CHECK(!streams_.empty(), "a capture has a stream");
  assemblers_.reserve(streams_.size());
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    const AgreedStream& stream = streams_[i];
    // An isochronous packet is a payload, whatever the device says of its payloads' size.
    const std::size_t max_payload_bytes =
        stream.setting.type == TransferType::kBulk ? stream.control.max_payload_bytes : SIZE_MAX;
    assemblers_.emplace_back(
        stream.frame_bytes, max_payload_bytes,
        [this, i](AssembledFrame&& frame) { give(i, std::move(frame)); }, stream.frame_size);
  }
}

void VideoCapture::listen(const VideoFunction& function,
                          std::function<void(std::span<const std::uint8_t>)> on_status) {
  CUSP_CHECK(function.status_endpoint != 0, "there is something to listen to");
  status_endpoint_ = function.status_endpoint;
  status_packet_bytes_ = function.status_packet_bytes;
  on_status_ = std::move(on_status);
}

void VideoCapture::expect_stills(const AgreedStill& still) {
  stills_expected_ = true;
  if (still.endpoint == 0) {
    const bool bulk = streams_.front().setting.type == TransferType::kBulk;
    assemblers_.front().expect_stills(
        still.frame_bytes, bulk ? still.control.max_payload_bytes : SIZE_MAX, still.frame_size);
    return;
  }
  still_endpoint_ = still.endpoint;
  stills_.emplace(
      still.frame_bytes, still.control.max_payload_bytes,
      [this](AssembledFrame&& frame) {
        frame.still = true;
        give(0, std::move(frame));
      },
      still.frame_size);
}

void VideoCapture::every(milliseconds period, std::function<void()> call) {
  period_ = period;
  periodic_ = std::move(call);
}

void VideoCapture::before_recovery(std::function<Result<void>()> call) {
  before_recovery_ = std::move(call);
}

CaptureCounts VideoCapture::counts() const {
  const auto read = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  return {.broken_on_bus = read(counters_.on_bus),
          .broken_header = read(counters_.header),
          .broken_size = read(counters_.size),
          .broken_by_device = read(counters_.by_device),
          .restarts = read(counters_.restarts),
          .bytes = read(counters_.bytes)};
}

Result<void> VideoCapture::run(
    std::stop_token stop,
    const std::function<bool(std::size_t stream, AssembledFrame&&)>& on_frame) {
  on_frame_ = &on_frame;
  wanted_ = true;
  failures_ = 0;
  waits_since_.reset();
  while (true) {
    const Result<void> streamed = stream_once(stop);
    if (stop.stop_requested() || !wanted_) {
      for (FrameAssembler& assembler : assemblers_) assembler.stop();
      if (stills_) stills_->stop();
      // Tells the camera to stop; if it is gone by now, that is no fault of this capture.
      static_cast<void>(stop_streams());
      return {};
    }
    for (FrameAssembler& assembler : assemblers_) assembler.interrupt();
    if (stills_) stills_->interrupt();
    count_broken();
    if (const auto recovered = recover(streamed.error(), ++failures_); !recovered) {
      // Its bandwidth is given back and its projector goes out.
      if (recovered.error().code != ErrorCode::kDisconnected) static_cast<void>(stop_streams());
      return recovered;
    }
    counters_.restarts.fetch_add(1, std::memory_order_relaxed);
  }
}

// Starts the streams and takes what comes until stop, a frame that was one too many (both: ok), or
// an error.
Result<void> VideoCapture::stream_once(const std::stop_token& stop) {
  led_ = 0;
  silent_ = false;
  silence_ = {};
  last_chunk_ = std::chrono::steady_clock::now();
  CUSP_TRY(start());
  CUSP_TRY(transport_.stream(endpoints(), stop, [this](const StreamChunk& chunk) {
    take(chunk);
    return wanted_ && !silent_ && !too_many_broken();
  }));
  if (silent_)
    return error(ErrorCode::kTimeout, "no frame for {} ms",
                 std::chrono::duration_cast<milliseconds>(silence_).count());
  if (too_many_broken())
    return error(ErrorCode::kProtocol, "{} broken frames in a row", kMaxBrokenInARow);
  return {};
}

Result<void> VideoCapture::start() {
  for (const AgreedStream& stream : streams_) {
    CUSP_TRY(commit(transport_, stream.interface_number, stream.commit_block));
    if (stream.setting.type == TransferType::kBulk) continue;
    const Result<void> chosen =
        transport_.set_alternate(stream.interface_number, stream.setting.number);
    if (!chosen)
      return error(chosen.error().code,
                   "the bus gave interface {} no bandwidth of {} bytes an interval (alternate "
                   "setting {}): {}",
                   stream.interface_number, stream.setting.interval_bytes, stream.setting.number,
                   chosen.error().message);
  }
  return {};
}

// There is no request to stop a bulk stream; clearing its endpoint is what Windows and Linux do and
// cameras understand. Only a device that is gone is an error.
Result<void> VideoCapture::stop_streams() {
  for (const AgreedStream& stream : streams_) {
    const Result<void> stopped = stream.setting.type == TransferType::kBulk
                                     ? transport_.clear_halt(stream.setting.endpoint)
                                     : transport_.set_alternate(stream.interface_number, 0);
    if (!stopped && stopped.error().code == ErrorCode::kDisconnected) return stopped;
  }
  return {};
}

std::vector<StreamOptions> VideoCapture::endpoints() const {
  std::vector<StreamOptions> all;
  for (const AgreedStream& stream : streams_) {
    StreamOptions options{.endpoint = stream.setting.endpoint, .type = stream.setting.type};
    if (options.type == TransferType::kIsochronous) {
      options.transfer_count = kIsochronousTransfers;
      options.packet_bytes = stream.setting.interval_bytes;
      options.packets_per_transfer =
          std::clamp(kTransferBytes / stream.setting.interval_bytes, 1, kPackets);
    }
    options.watchdog = milliseconds{0};
    if (all.empty()) {  // the leading stream alone is watched
      options.watchdog = std::chrono::duration_cast<milliseconds>(patience(true));
      options.start_watchdog = std::chrono::duration_cast<milliseconds>(patience(false));
    }
    all.push_back(options);
  }
  if (still_endpoint_ != 0)
    all.push_back({.endpoint = still_endpoint_, .watchdog = milliseconds{0}});
  if (status_endpoint_ != 0)
    all.push_back({.endpoint = status_endpoint_,
                   .type = TransferType::kInterrupt,
                   .transfer_count = kStatusTransfers,
                   .transfer_size_bytes = status_packet_bytes_,
                   .watchdog = milliseconds{0}});
  return all;
}

void VideoCapture::take(const StreamChunk& chunk) {
  if (status_endpoint_ != 0 && chunk.endpoint == status_endpoint_) {
    if (on_status_ && !chunk.bytes.empty() && !chunk.damaged) on_status_(chunk.bytes);
  } else if (still_endpoint_ != 0 && chunk.endpoint == still_endpoint_) {
    stills_->feed(chunk);
    count_broken();
  } else {
    counters_.bytes.fetch_add(chunk.bytes.size(), std::memory_order_relaxed);
    for (std::size_t i = 0; i < streams_.size(); ++i)
      if (streams_[i].setting.endpoint == chunk.endpoint) assemblers_[i].feed(chunk);
    count_broken();
    if (chunk.endpoint == streams_.front().setting.endpoint) judge_silence(chunk.arrival);
  }
  call_periodic(chunk.arrival);
}

void VideoCapture::give(std::size_t stream, AssembledFrame&& frame) {
  if (stream == 0) {
    if (++led_ == frames_to_forgive()) failures_ = 0;
    silence_ = {};
  }
  if (wanted_) wanted_ = (*on_frame_)(stream, std::move(frame));
}

// Isochronous cameras send empty packets for ever: only frames end a silence. One long gap between
// chunks was the host's sleep, not the device's, and counts as a quarter of the patience at most.
void VideoCapture::judge_silence(MonoTime now) {
  const auto limit = patience(led_ > 0);
  const std::chrono::nanoseconds gap = now - last_chunk_;
  last_chunk_ = now;
  silence_ += std::clamp<std::chrono::nanoseconds>(gap, std::chrono::nanoseconds{0}, limit / 4);
  silent_ = silence_ >= limit;
}

std::chrono::nanoseconds VideoCapture::patience(bool has_begun) const {
  const std::chrono::nanoseconds period(std::uint64_t{streams_.front().control.interval_100ns} *
                                        100);
  const milliseconds least = stills_expected_ ? kStillPatience
                             : has_begun      ? kLeastPatience
                                              : kStartPatience;
  return std::max<std::chrono::nanoseconds>(least, kPatienceFrames * period);
}

// Counted in frames, not by the clock, so that a replay does what the capture did.
int VideoCapture::frames_to_forgive() const {
  const std::uint32_t interval_100ns = streams_.front().control.interval_100ns;
  return static_cast<int>(std::max(1u, kGoodRun100Ns / std::max(1u, interval_100ns)));
}

// The time of chunks, so that a replay calls where the recording did. The period begins with the
// first chunk after the last call, which may itself have taken long.
void VideoCapture::call_periodic(MonoTime now) {
  if (!periodic_) return;
  if (!waits_since_) waits_since_ = now;
  if (now - *waits_since_ < period_) return;
  waits_since_.reset();
  periodic_();
}

void VideoCapture::count_broken() {
  BrokenFrames sum = stills_ ? stills_->broken_by_reason() : BrokenFrames{};
  for (const FrameAssembler& assembler : assemblers_) sum += assembler.broken_by_reason();
  counters_.on_bus.store(sum.on_bus, std::memory_order_relaxed);
  counters_.header.store(sum.header, std::memory_order_relaxed);
  counters_.size.store(sum.size, std::memory_order_relaxed);
  counters_.by_device.store(sum.by_device, std::memory_order_relaxed);
}

bool VideoCapture::too_many_broken() const {
  return std::any_of(assemblers_.begin(), assemblers_.end(), [](const FrameAssembler& assembler) {
    return assembler.broken_in_a_row() >= kMaxBrokenInARow;
  });
}

// Brings the device back to where a commit makes sense, or says why that is no use. A step that is
// refused leads to the next one; only a device that is gone ends the ladder early.
Result<void> VideoCapture::recover(const Error& why, int failures) {
  const bool may_help = why.code == ErrorCode::kTimeout || why.code == ErrorCode::kProtocol ||
                        why.code == ErrorCode::kIo;
  if (!may_help) return named(why);
  if (before_recovery_) CUSP_TRY(before_recovery_());
  if (failures > kRestarts + kResets)
    return error(why.code,
                 "{}: the stream stopped ({}) and neither restarting it nor resetting the device "
                 "helped; unplug the device, wait five seconds and plug it in again",
                 name_, why.message);
  Result<void> step;
  if (failures > kRestarts) {
    step = transport_.reset();
    // Some cameras misbehave unless an alternate setting is chosen before any other request.
    for (const AgreedStream& stream : streams_)
      if (step) step = transport_.set_alternate(stream.interface_number, 0);
  } else {
    step = stop_streams();
    for (const std::uint8_t endpoint : {still_endpoint_, status_endpoint_})
      if (step && endpoint != 0) step = transport_.clear_halt(endpoint);
  }
  if (!step && step.error().code == ErrorCode::kDisconnected) return named(step.error());
  return {};
}

Error VideoCapture::named(const Error& e) const {
  return error(e.code, "{}: {}", name_, e.message);
}

std::chrono::nanoseconds DeviceClock::operator()(std::uint32_t ticks) {
  total_ticks_ += started_ ? static_cast<std::uint32_t>(ticks - last_) : ticks;
  started_ = true;
  last_ = ticks;
  const std::uint64_t seconds = total_ticks_ / hz_;
  const std::uint64_t rest = total_ticks_ % hz_;
  return std::chrono::seconds(seconds) + std::chrono::nanoseconds(rest * 1'000'000'000 / hz_);
}

}  // namespace cusp::uvc
