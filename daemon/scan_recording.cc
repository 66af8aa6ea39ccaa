#include "daemon/scan_recording.h"

#include <algorithm>

#include "drivers/recording/recording_transport.h"

namespace cusp::daemon {
namespace {

// A note must stay below the longest comment of a capture file.
constexpr std::size_t kRangesANote = 500;

}  // namespace

ScanRecording::ScanRecording(recording::Recordings& recordings,
                             std::shared_ptr<recording::Recording> recording, const ScanNote& note)
    : recordings_(recordings), recording_(std::move(recording)) {
  recording_->note(to_text(note));
}

ScanRecording::~ScanRecording() {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  note_frames();
  recordings_.finish(*recording_);
}

std::unique_ptr<UsbTransport> ScanRecording::record(std::unique_ptr<UsbTransport> cable,
                                                    const DeviceAddress& address) {
  {
    const std::lock_guard lock(mutex_);
    opened_at_.push_back(std::chrono::steady_clock::now());
  }
  return recording::make_recording_transport(std::move(cable), recording_,
                                             {address.bus, address.address});
}

void ScanRecording::took(const RawFrame& frame) {
  const std::lock_guard lock(mutex_);
  // Frames of an opening that waited in the queue may come after the next one began; they arrived
  // before it, though.
  const auto later = std::ranges::upper_bound(opened_at_, frame.host_time);
  const auto opening =
      static_cast<std::size_t>(std::max<std::ptrdiff_t>(later - opened_at_.begin() - 1, 0));
  if (opening != frames_.opening || frames_.ranges.size() == kRangesANote) note_frames();
  frames_.opening = opening;
  ++count_;
  if (!frames_.ranges.empty() && frames_.ranges.back().last + 1 == frame.sequence)
    frames_.ranges.back().last = frame.sequence;
  else
    frames_.ranges.push_back({frame.sequence, frame.sequence});
}

void ScanRecording::note_frames() {
  if (!frames_.ranges.empty()) recording_->note(to_text(frames_));
  frames_.ranges.clear();
}

void ScanRecording::finish(const std::string& mesh_sha256) {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  finished_ = true;
  note_frames();
  recording_->note(to_text(ResultNote{.mesh_sha256 = mesh_sha256, .frames = count_}));
  recordings_.finish(*recording_);
}

void ScanRecording::discard() {
  const std::lock_guard lock(mutex_);
  if (finished_)
    recordings_.remove(id());
  else
    recordings_.discard(*recording_);
  finished_ = true;
}

}  // namespace cusp::daemon
