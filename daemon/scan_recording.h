// ScanRecording: the recording of one scan: the cable of every opening of its device, and the notes
// from which a replay makes the same model (pipeline/scan_note.h).
//
// Threads: record() on the capturing thread, took() on the reconstructing one, finish() after both,
// discard() from any.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "core/frame.h"
#include "drivers/driver.h"
#include "drivers/recording/recordings.h"
#include "pipeline/scan_note.h"

namespace cusp::daemon {

class ScanRecording {
 public:
  ScanRecording(recording::Recordings& recordings, std::shared_ptr<recording::Recording> recording,
                const ScanNote& note);
  ~ScanRecording();  // closes it, without a result if there was none
  ScanRecording(const ScanRecording&) = delete;
  ScanRecording& operator=(const ScanRecording&) = delete;

  std::unique_ptr<UsbTransport> record(std::unique_ptr<UsbTransport> cable,
                                       const DeviceAddress& address);
  // The frame reached the reconstruction.
  void took(const RawFrame& frame);
  // Of the model as PLY. Once; later ones change nothing.
  void finish(const std::string& mesh_sha256);
  // What was scanned was thrown away, and its recording goes too. Whatever is still recorded is
  // lost.
  void discard();
  [[nodiscard]] std::string id() const { return recording::id_of(*recording_); }
  // Why it ended early; empty: it did not.
  [[nodiscard]] std::string problem() const { return recording_->status().problem; }

 private:
  void note_frames();

  recording::Recordings& recordings_;
  const std::shared_ptr<recording::Recording> recording_;
  std::mutex mutex_;
  std::vector<MonoTime> opened_at_;
  FramesNote frames_;  // not noted yet
  std::uint64_t count_ = 0;
  bool finished_ = false;
};

}  // namespace cusp::daemon
