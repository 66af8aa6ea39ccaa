// Scan: one run of one stage. A capture thread fills a bounded queue from the device, a reconstruct
// thread empties it into the volume; it touches neither disk nor network.
//
// Pause and a lost device are the same thing seen from here: the device is closed, the volume stays
// in memory, resume() opens the device of that serial again and goes on. Only a device with a
// button stays open while the scan is paused, in standby, so that its button can end the pause; one
// that left meanwhile is opened again by stand_by(). A volume begun with one calibration never
// takes frames of another. What is scanned goes to a journal as well, from which a later Scan goes
// on after a crash. Threads: verbs from one thread (the station's), but end() may be called
// on any one; on_hold and on_button are called on threads of the scan.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "core/bounded_queue.h"
#include "core/calibration.h"
#include "core/clock.h"
#include "daemon/device_list.h"
#include "daemon/journal_file.h"
#include "daemon/options.h"
#include "daemon/scan_recording.h"
#include "drivers/driver.h"
#include "pipeline/reconstruction.h"
#include "pipeline/refine.h"

namespace cusp::daemon {

struct ScanCounts {
  std::uint64_t frames = 0;  // reached the reconstruction
  std::uint64_t tracked = 0;
  std::uint64_t relocalised = 0;
  std::uint64_t lost = 0;        // not fused
  std::uint64_t dropped = 0;     // the queue was full
  std::uint64_t broken = 0;      // damaged on the cable
  std::uint64_t missing = 0;     // gaps in the device's own frame numbers
  std::uint64_t obscured = 0;    // something stood in front of the model: not fused
  std::uint64_t incomplete = 0;  // fringe sequences of which a picture did not come
  std::uint64_t closures = 0;    // after which the model was made anew (live_closure.h)
  std::uint64_t restarts = 0;    // of the stream
  std::uint64_t triangles = 0;   // an estimate
  std::uint64_t volume_bytes = 0;
  double largest_closure_mm = 0;
  double fps = 0;          // reconstructed over the last second
  double residual_mm = 0;  // of the last frame that was tracked
  double mean_residual_mm = 0;
  PoseVerdict verdict = PoseVerdict::kLost;  // of the last frame
};

// Where a scan's journal is, and what the scan goes on with.
struct ScanPlace {
  std::filesystem::path journal;  // empty: none can be kept,
  std::string problem;            // and why
  std::string started_at;         // RFC 3339
  std::optional<Journal> earlier;
  bool is_copy = false;  // `earlier` stands in another file, and is written into this one first
};

struct ScanStatus {
  enum class Phase { kOpening, kRunning, kHeld, kEnded } phase = Phase::kOpening;
  ScanCounts counts;
  DeviceInfo device;  // empty before the first opening
  std::string calibration_id;
  std::string
      journal_problem;  // why what is scanned now would not survive a crash; empty: it would
};
std::string_view to_string(ScanStatus::Phase phase);

class Scan {
 public:
  using Open = std::function<Result<DeviceLease>(std::stop_token)>;
  // Told when the scan can't go on by itself: the device's error, or a full volume (kNoSpace). Of a
  // paused scan: that its device's button is not heard any more.
  using OnHold = std::function<void(const Error&)>;
  using OnButton = std::function<void(ButtonPress)>;
  // What is done with the model between two frames, on the reconstruct thread; an error: there is
  // none yet, or none any more.
  using Task = std::function<void(const Result<Reconstruction*>&)>;
  // What is done to the model, and who is told how it went.
  using Edit = std::function<Result<ScanRecord>(Reconstruction&)>;
  using Edited = std::function<void(const Result<void>&)>;

  // Begins at once, or, from an earlier journal, held. `recording` may be null.
  Scan(DeviceProfile profile, std::size_t frame_queue, const Clock& clock, ScanPlace place,
       Open open, OnHold on_hold, OnButton on_button, std::shared_ptr<ScanRecording> recording);
  ~Scan();
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  // These return at once.
  void pause();
  void resume();
  void request_end();
  // Closes the device of a paused scan, which another scan wants.
  void leave_standby();
  // Opens the device of a paused scan once more, for its button, unless another scan wants it.
  void stand_by();

  // Between two frames; `edited` is told once, on a thread of the scan. kConflict before the first
  // frame, and after the end.
  void edit(Edit edit, Edited edited);
  // The same for what only looks at it.
  void between_frames(Task task);
  // Names the live mesh of this scan for its viewers.
  [[nodiscard]] std::uint64_t mesh_id() const { return mesh_id_; }

  // Waits until the device is closed and every queued frame is in the volume. Idempotent.
  void end();
  // After end(). kInvalidArgument when the device never got as far as its calibration, or no frame
  // came.
  [[nodiscard]] Result<RefinedScan> refine(const RefineRun& run) const;
  // After end(), of the model that was made.
  void note_result(const std::string& mesh_sha256);
  // After end(), of a scan that was thrown away: its recording and its journal are deleted.
  void discard();
  // Empty: it is not recorded.
  [[nodiscard]] std::string recording_id() const;
  // Why the scan is not recorded to its end; empty: it is, or was not meant to be.
  [[nodiscard]] std::string recording_problem() const;

  [[nodiscard]] ScanStatus status() const;
  // A frame has been worked on for longer than `span`.
  [[nodiscard]] bool stuck_for(std::chrono::seconds span) const;

 private:
  enum class Wish { kRun, kHold, kEnd };

  void capture_loop();
  Result<void> capture_once(std::stop_token stop);
  Result<void> begin(Device& device);
  void discard_journal();
  Result<void> make_reconstruction(const Device& device, const Calibration& calibration);
  Result<std::unique_ptr<JournalFile>> open_journal(const Journal& earlier) const;
  Result<void> capture(Device& device);
  void reconstruct_loop();
  void reconstruct(RawFrame frame);
  void run_tasks();
  void hold(const Error& problem);
  void wish(Wish wish);

  const DeviceProfile profile_;
  const Clock& clock_;
  ScanPlace place_;
  const std::uint64_t mesh_id_;
  const Open open_;
  const OnHold on_hold_;
  const OnButton on_button_;
  const std::shared_ptr<ScanRecording> recording_;
  BoundedQueue<RawFrame> queue_;

  mutable std::mutex mutex_;
  std::condition_variable wished_;
  Wish wish_ = Wish::kRun;
  std::stop_source running_;          // of the opening or the capture that runs now
  std::stop_source standby_;          // of the standby that lasts now
  bool may_stand_by_ = false;         // this pause was wished for, and nobody else wants the device
  bool stand_by_again_ = false;       // with a device that has to be opened for it
  Device* device_ = nullptr;          // the open one, for its counts
  std::uint64_t earlier_broken_ = 0;  // of devices that are closed again
  std::uint64_t earlier_missing_ = 0;
  std::uint64_t earlier_restarts_ = 0;
  ScanStatus status_;
  std::deque<MonoTime> done_at_;  // reconstructed in the last second
  std::optional<MonoTime> busy_since_;
  double residual_sum_mm_ = 0;
  std::uint64_t residuals_ = 0;

  // Made by the capture thread before the first frame, used by the reconstruct thread until end(),
  // then by mesh().
  std::optional<Calibration> calibration_;
  std::optional<Reconstruction> reconstruction_;
  std::unique_ptr<JournalFile> journal_;  // made and let go of under mutex_
  std::string no_journal_;                // why
  std::deque<Task> tasks_;                // guarded by mutex_
  bool tasks_end_ = false;                // likewise
  bool frames_came_ = false;              // reconstruct thread

  std::mutex end_mutex_;
  std::thread capture_thread_;
  std::thread reconstruct_thread_;
};

}  // namespace cusp::daemon
