#include "drivers/emulation/uvc_function_stream.h"

#include <algorithm>
#include <utility>

#include "drivers/bytes.h"
#include "drivers/emulation/uvc_function_descriptors.h"
#include "drivers/emulation/uvc_function_internal.h"

namespace cusp {
namespace {

constexpr std::size_t kLookAhead = 2;  // frames made before the host asks for them
constexpr std::size_t kMaxMetadataBytes = 243;

std::uint8_t still_endpoint_of(const uvc::StreamingInterface& interface) {
  if (interface.still_method != 3) return 0;
  for (const auto& format : interface.formats)
    if (format.still && format.still->endpoint != 0) return format.still->endpoint;
  return 0;
}

}  // namespace

UvcFunctionStream::UvcFunctionStream(EmulatedStream description, StreamSurroundings surroundings)
    : interface_(std::move(description.interface)),
      source_(std::move(description.source)),
      max_payload_bytes_(description.max_payload_bytes),
      around_(std::move(surroundings)),
      still_endpoint_(still_endpoint_of(interface_)),
      probe_(fallback()),
      virtual_now_(around_.powered_on),
      writer_(around_.clock_hz),
      still_writer_(around_.clock_hz),
      producer_([this](std::stop_token stop) { produce(stop); }) {
  CUSP_CHECK(source_ != nullptr, "a stream needs a source of frames");
}

UsbOutcome UvcFunctionStream::in(std::uint8_t endpoint, std::span<std::uint8_t> data) {
  const std::lock_guard lock(mutex_);
  return endpoint == interface_.endpoint() ? video_in(data) : still_in(data);
}

// A fault takes effect between two frames.
bool UvcFunctionStream::fault_is_due() {
  const auto due = [&](std::optional<std::uint64_t>& at) {
    if (!at || frames_sent_ < *at) return false;
    at.reset();
    return true;
  };
  if (due(freeze_at_)) frozen_ = true;
  if (due(silent_at_)) silent_ = true;
  // An isochronous endpoint has no handshake to refuse with: it falls silent.
  if (due(stall_at_)) (interface_.bulk() ? halted_ : silent_) = true;
  return frozen_ || silent_ || halted_;
}

UsbOutcome UvcFunctionStream::video_in(std::span<std::uint8_t> data) {
  if (halted_) return kRefused;
  if (!mode_ || silent_ || frozen_) return kNothingYet;
  if (!read_) {
    read_ = true;
    work_.notify_all();
  }
  if (!writer_.busy()) {
    if (fault_is_due()) return halted_ ? kRefused : kNothingYet;
    if (ready_.empty()) return kNothingYet;
    writer_.begin(std::move(ready_.front()));
    ready_.pop_front();
    work_.notify_all();
  }
  std::size_t limit = committed_->max_payload_bytes;
  std::size_t size = 0;
  const std::uint32_t now = now_ticks(writer_.frame());
  if (interface_.bulk()) {
    size = writer_.fill(data, limit, now);
  } else {
    const auto setting = std::find_if(interface_.alternates.begin(), interface_.alternates.end(),
                                      [&](const auto& s) { return s.number == alternate_; });
    limit = std::min(limit, static_cast<std::size_t>(setting->interval_bytes));
    if (data.size() >= limit) {
      size = writer_.fill(data.first(limit), limit, now);
    } else {  // the host asked for less than the packet has: it sees babble
      std::vector<std::uint8_t> packet(limit);
      size = writer_.fill(packet, limit, now);
      std::copy_n(packet.begin(), std::min(size, data.size()), data.begin());
    }
  }
  if (!writer_.busy()) {
    spare_ = writer_.take_content();
    ++frames_sent_;
  }
  return data_of(size);
}

UsbOutcome UvcFunctionStream::still_in(std::span<std::uint8_t> data) {
  if (frozen_) return kNothingYet;
  if (!still_writer_.busy()) {
    if (!ready_still_) return kNothingYet;
    still_writer_.begin(std::move(*ready_still_));
    ready_still_.reset();
  }
  const std::size_t whole = still_writer_.frame().content.pixels.size() +
                            PayloadWriter::kStandardHeaderBytes + kMaxMetadataBytes + 1;
  return data_of(still_writer_.fill(data, max_payload_bytes_ != 0 ? max_payload_bytes_ : whole,
                                    now_ticks(still_writer_.frame())));
}

void UvcFunctionStream::set_alternate(int alternate) {
  const std::lock_guard lock(mutex_);
  alternate_ = alternate;
  end_stream();
  if (!interface_.bulk() && alternate != 0 && committed_) begin_stream();
}

void UvcFunctionStream::clear_halt(std::uint8_t endpoint) {
  const std::lock_guard lock(mutex_);
  if (endpoint != interface_.endpoint()) {
    still_writer_.drop();
    return;
  }
  halted_ = false;
  silent_ = false;
  if (interface_.bulk()) end_stream();
}

void UvcFunctionStream::reset() {
  const std::lock_guard lock(mutex_);
  forget_state();
}

void UvcFunctionStream::power_on() {
  const std::lock_guard lock(mutex_);
  frozen_ = false;
  forget_state();
}

void UvcFunctionStream::forget_state() {
  halted_ = false;
  silent_ = false;
  alternate_ = 0;
  probe_ = fallback();
  committed_.reset();
  still_probe_ = still_committed_ = {};
  still_due_ = false;
  ready_still_.reset();
  still_writer_.drop();
  end_stream();
}

void UvcFunctionStream::begin_stream() {
  end_stream();
  mode_ = mode_of(*committed_);
}

void UvcFunctionStream::end_stream() {
  mode_.reset();
  read_ = false;
  exhausted_ = false;
  writer_.drop();
  forget_ready();
}

// The frames that were made ahead will be asked for again: the host never saw them begin.
void UvcFunctionStream::forget_ready() {
  if (!ready_.empty()) next_index_ = ready_.front().index;
  ready_.clear();
  ++run_;
  work_.notify_all();
}

bool UvcFunctionStream::wants_still() const {
  if (!still_due_) return false;
  return still_endpoint_ != 0 ? !ready_still_ : mode_ && read_;
}

bool UvcFunctionStream::wants_frame() const {
  return wants_still() || (mode_ && read_ && !exhausted_ && ready_.size() < kLookAhead);
}

void UvcFunctionStream::produce(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (work_.wait(lock, stop, [&] { return wants_frame(); }) && !stop.stop_requested())
    make_frame(lock, stop);
}

// Makes one frame, with the lock let go while the source works, and releases it no earlier than the
// committed rate allows.
void UvcFunctionStream::make_frame(std::unique_lock<std::mutex>& lock,
                                   const std::stop_token& stop) {
  const bool still = wants_still();
  const EmulatedMode mode = still ? still_mode() : *mode_;
  const std::uint64_t run = run_;
  MadeFrame made{.content = std::exchange(spare_, {}), .index = next_index_, .still = still};
  made.content.pixels.clear();
  made.content.metadata.clear();

  lock.unlock();
  const bool more = source_(made.index, mode, made.content);
  lock.lock();

  // Not wanted any more: the index is asked for again.
  if (run != run_ || (still && !still_due_)) return;
  if (!more) {
    if (still)
      still_due_ = false;
    else
      exhausted_ = true;
    return;
  }
  CUSP_CHECK(made.content.metadata.size() <= kMaxMetadataBytes, "frame metadata fits the header");
  const auto period = period_of(mode, made.content.pixels.size());
  if (around_.real_time) {
    work_.wait_until(lock, stop, next_release_, [&] { return run != run_; });
    if (stop.stop_requested() || run != run_) return;
    const auto now = std::chrono::steady_clock::now();
    next_release_ = std::max(next_release_, now - period / 2) + period;
    made.pts_ticks = ticks(now);
  } else {
    made.pts_ticks = ticks(virtual_now_);
    virtual_now_ += period;
  }
  ++next_index_;
  if (still) still_due_ = false;
  if (still && still_endpoint_ != 0)
    ready_still_ = std::move(made);
  else
    ready_.push_back(std::move(made));
  lock.unlock();
  around_.wake();
  lock.lock();
}

// A frame takes its interval, or longer when the chosen alternate setting is too slow for it.
std::chrono::nanoseconds UvcFunctionStream::period_of(const EmulatedMode& mode,
                                                      std::size_t frame_bytes) const {
  const std::chrono::nanoseconds interval{std::uint64_t{mode.interval_100ns} * 100};
  if (interface_.bulk() || !committed_) return interval;
  const auto setting = std::find_if(interface_.alternates.begin(), interface_.alternates.end(),
                                    [&](const auto& s) { return s.number == alternate_; });
  if (setting == interface_.alternates.end()) return interval;
  const auto packet = std::min<std::size_t>(static_cast<std::size_t>(setting->interval_bytes),
                                            committed_->max_payload_bytes);
  const std::size_t part = packet - PayloadWriter::kStandardHeaderBytes;
  const std::size_t packets = (frame_bytes + part - 1) / part;
  return std::max(interval, service_interval(around_.speed, setting->interval_exponent) *
                                static_cast<std::int64_t>(packets));
}

std::uint32_t UvcFunctionStream::ticks(SteadyTime time) const {
  const std::chrono::duration<double> age = time - around_.powered_on;
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(age.count() * around_.clock_hz));
}

std::uint32_t UvcFunctionStream::now_ticks(const MadeFrame& frame) const {
  return around_.real_time ? ticks(std::chrono::steady_clock::now()) : frame.pts_ticks;
}

bool UvcFunctionStream::streaming() const {
  const std::lock_guard lock(mutex_);
  return mode_ && read_;
}
bool UvcFunctionStream::frozen() const {
  const std::lock_guard lock(mutex_);
  return frozen_;
}
std::uint64_t UvcFunctionStream::frames_sent() const {
  const std::lock_guard lock(mutex_);
  return frames_sent_;
}
void UvcFunctionStream::stall_after(std::uint64_t frames) {
  {
    const std::lock_guard lock(mutex_);
    stall_at_ = frames_sent_ + frames;
  }
  around_.wake();  // a transfer that waits must see the halt
}
void UvcFunctionStream::go_silent_after(std::uint64_t frames) {
  const std::lock_guard lock(mutex_);
  silent_at_ = frames_sent_ + frames;
}
void UvcFunctionStream::freeze_after(std::uint64_t frames) {
  const std::lock_guard lock(mutex_);
  freeze_at_ = frames_sent_ + frames;
}
void UvcFunctionStream::flush() {
  const std::lock_guard lock(mutex_);
  forget_ready();
}

}  // namespace cusp
