#include "daemon/scan.h"

#include <random>
#include <utility>

namespace cusp::daemon {

std::string_view to_string(ScanStatus::Phase phase) {
  switch (phase) {
    case ScanStatus::Phase::kOpening:
      return "opening";
    case ScanStatus::Phase::kRunning:
      return "running";
    case ScanStatus::Phase::kHeld:
      return "held";
    case ScanStatus::Phase::kEnded:
      return "ended";
  }
  CUSP_CHECK(false, "a scan phase without a name");
}

namespace {

// What the operator does to the model while no frames come.
constexpr std::chrono::milliseconds kTasksMayWait{50};

std::uint64_t random_number() {
  std::random_device source;
  return std::uint64_t{source()} << 32 | source();
}

ScanStatus status_of(const ScanPlace& place) {
  ScanStatus status;
  if (!place.earlier) return status;
  const JournalBegin& begin = place.earlier->begin;
  status.phase = ScanStatus::Phase::kHeld;
  status.device.driver = begin.device_driver;
  status.device.maker = begin.device_maker;
  status.device.model = begin.device_model;
  status.device.serial = begin.device_serial;
  status.device.firmware = begin.device_firmware;
  status.calibration_id = begin.calibration.id;
  status.counts.frames = status.counts.tracked = place.earlier->log.frames();
  return status;
}

}  // namespace

Scan::Scan(DeviceProfile profile, std::size_t frame_queue, const Clock& clock, ScanPlace place,
           Open open, OnHold on_hold, OnButton on_button, std::shared_ptr<ScanRecording> recording)
    : profile_(std::move(profile)),
      clock_(clock),
      place_(std::move(place)),
      mesh_id_(random_number()),
      open_(std::move(open)),
      on_hold_(std::move(on_hold)),
      on_button_(std::move(on_button)),
      recording_(std::move(recording)),
      queue_(frame_queue, WhenFull::kDropOldest),
      wish_(place_.earlier ? Wish::kHold : Wish::kRun),
      status_(status_of(place_)),
      capture_thread_([this] { capture_loop(); }),
      reconstruct_thread_([this] { reconstruct_loop(); }) {}

Scan::~Scan() { end(); }

void Scan::wish(Wish wish) {
  const std::lock_guard lock(mutex_);
  if (wish_ == Wish::kEnd) return;
  wish_ = wish;
  may_stand_by_ = wish == Wish::kHold;
  stand_by_again_ = false;
  if (wish != Wish::kHold) standby_.request_stop();
  if (wish != Wish::kRun) running_.request_stop();
  wished_.notify_all();
}

void Scan::pause() { wish(Wish::kHold); }
void Scan::resume() { wish(Wish::kRun); }
void Scan::request_end() { wish(Wish::kEnd); }

void Scan::leave_standby() {
  const std::lock_guard lock(mutex_);
  may_stand_by_ = stand_by_again_ = false;
  standby_.request_stop();
  if (wish_ == Wish::kHold) running_.request_stop();
}

void Scan::stand_by() {
  const std::lock_guard lock(mutex_);
  if (wish_ != Wish::kHold || !may_stand_by_) return;
  stand_by_again_ = true;
  wished_.notify_all();
}

void Scan::end() {
  request_end();
  const std::lock_guard lock(end_mutex_);
  if (capture_thread_.joinable()) capture_thread_.join();
  queue_.close();
  if (reconstruct_thread_.joinable()) reconstruct_thread_.join();
  // On disk, all of it, before anybody goes on from it.
  std::unique_ptr<JournalFile> journal;
  {
    const std::lock_guard state(mutex_);
    if (journal_ != nullptr) no_journal_ = journal_->problem();
    journal = std::move(journal_);
  }
}

void Scan::hold(const Error& problem) {
  {
    const std::lock_guard lock(mutex_);
    if (wish_ != Wish::kRun) return;  // it was stopped on purpose meanwhile
    wish_ = Wish::kHold;
    running_.request_stop();
  }
  on_hold_(problem);
}

void Scan::capture_loop() {
  for (;;) {
    std::stop_token stop;
    {
      std::unique_lock lock(mutex_);
      if (wish_ == Wish::kHold) status_.phase = ScanStatus::Phase::kHeld;
      wished_.wait(lock, [&] { return wish_ != Wish::kHold || stand_by_again_; });
      if (wish_ == Wish::kEnd) {
        status_.phase = ScanStatus::Phase::kEnded;
        return;
      }
      if (wish_ == Wish::kRun) status_.phase = ScanStatus::Phase::kOpening;
      stand_by_again_ = false;
      running_ = std::stop_source();
      stop = running_.get_token();
    }
    const auto result = capture_once(stop);
    if (result.ok()) continue;
    {
      const std::lock_guard lock(mutex_);
      const bool stands_by = wish_ == Wish::kHold && may_stand_by_ && status_.device.has_button;
      if (wish_ != Wish::kRun && !stands_by) continue;
      if (result.error().code == ErrorCode::kCancelled) {  // paused while it was being opened
        stand_by_again_ = stands_by;
        continue;
      }
      wish_ = Wish::kHold;
    }
    on_hold_(result.error());
  }
}

Result<void> Scan::capture_once(std::stop_token stop) {
  CUSP_ASSIGN(DeviceLease lease, open_(std::move(stop)));
  lease.count_drops(
      [this, before = queue_.counts().dropped] { return queue_.counts().dropped - before; });
  Device& device = lease.device();
  device.on_button(on_button_);
  Result<void> result = begin(device);
  if (result.ok()) result = capture(device);
  if (!result.ok()) lease.note_failure(result.error());
  const std::lock_guard lock(mutex_);
  const CaptureCounts counts = device.counts();
  earlier_broken_ += counts.broken();
  earlier_missing_ += counts.lost;
  earlier_restarts_ += counts.restarts;
  device_ = nullptr;
  return result;
}

Result<void> Scan::begin(Device& device) {
  const auto modes = device.modes();
  CUSP_TRY(device.configure(profile_.mode.width_px == 0 && !modes.empty() ? modes.front()
                                                                          : profile_.mode));
  CUSP_ASSIGN(const Calibration calibration, device.read_calibration());
  if (!reconstruction_ && place_.earlier) calibration_ = place_.earlier->begin.calibration;
  if (!calibration_) {
    calibration_ = calibration;
  } else if (!measure_alike(calibration, *calibration_)) {
    const std::string what =
        calibration.id == calibration_->id
            ? fmt::format("its count of depth or its optics are not those of {},", calibration.id)
            : fmt::format("its calibration {} is not {},", calibration.id, calibration_->id);
    return error(ErrorCode::kConflict,
                 "device {}: {} with which this stage was begun: redo the stage",
                 device.info().serial, what);
  }
  if (!reconstruction_) CUSP_TRY(make_reconstruction(device, calibration));
  const std::lock_guard lock(mutex_);
  status_.device = device.info();
  status_.calibration_id = calibration.id;
  device_ = &device;
  return {};
}

Result<void> Scan::make_reconstruction(const Device& device, const Calibration& calibration) {
  if (place_.earlier) {
    const Journal& earlier = *place_.earlier;
    CUSP_ASSIGN(Reconstruction gone_on,
                Reconstruction::go_on(earlier.begin.options, calibration, earlier.log));
    reconstruction_.emplace(std::move(gone_on));
  } else {
    reconstruction_.emplace(profile_.reconstruction, calibration);
  }
  if (place_.journal.empty()) {
    const std::lock_guard lock(mutex_);
    no_journal_ = place_.problem;
    return {};
  }
  const DeviceInfo& info = device.info();
  auto opened = place_.earlier
                    ? open_journal(*place_.earlier)
                    : JournalFile::create(place_.journal, {.device_driver = info.driver,
                                                           .device_maker = info.maker,
                                                           .device_model = info.model,
                                                           .device_serial = info.serial,
                                                           .device_firmware = info.firmware,
                                                           .started_at = place_.started_at,
                                                           .calibration = calibration,
                                                           .options = profile_.reconstruction});
  place_.earlier.reset();
  const std::lock_guard lock(mutex_);
  if (opened.ok())
    journal_ = std::move(*opened);
  else
    no_journal_ = opened.error().message;
  return {};
}

Result<std::unique_ptr<JournalFile>> Scan::open_journal(const Journal& earlier) const {
  if (!place_.is_copy) return JournalFile::go_on(place_.journal, earlier.whole_bytes);
  CUSP_ASSIGN(auto journal, JournalFile::create(place_.journal, earlier.begin));
  for (const ScanEntry& entry : earlier.log.entries()) journal->append(entry);
  return journal;
}

// Captures or stands by, as is wished, until the device is not wanted any more.
Result<void> Scan::capture(Device& device) {
  for (;;) {
    std::stop_token stop;
    bool runs = false;
    {
      const std::lock_guard lock(mutex_);
      runs = wish_ == Wish::kRun;
      if (!runs && (wish_ == Wish::kEnd || !may_stand_by_ || !device.info().has_button)) return {};
      status_.phase = runs ? ScanStatus::Phase::kRunning : ScanStatus::Phase::kHeld;
      std::stop_source& source = runs ? running_ : standby_;
      source = std::stop_source();
      stop = source.get_token();
    }
    CUSP_TRY(runs ? device.capture(queue_, stop) : device.standby(stop));
    if (!stop.stop_requested())
      return error(ErrorCode::kDisconnected, "device {}: its stream ended by itself",
                   device.info().serial);
  }
}

void Scan::between_frames(Task task) {
  {
    const std::lock_guard lock(mutex_);
    if (!tasks_end_) {
      tasks_.push_back(std::move(task));
      return;
    }
  }
  task(error(ErrorCode::kConflict, "this scan has ended: its model is not live any more"));
}

void Scan::edit(Edit edit, Edited edited) {
  between_frames([this, edit = std::move(edit),
                  edited = std::move(edited)](const Result<Reconstruction*>& model) {
    if (!model.ok()) return edited(model.error());
    auto record = edit(**model);
    if (record.ok() && journal_ != nullptr) journal_->append(std::move(*record));
    edited(record.ok() ? Result<void>() : record.error());
  });
}

void Scan::run_tasks() {
  for (;;) {
    Task next;
    {
      const std::lock_guard lock(mutex_);
      if (tasks_.empty()) return;
      next = std::move(tasks_.front());
      tasks_.pop_front();
    }
    if (frames_came_)
      next(&*reconstruction_);
    else
      next(error(ErrorCode::kConflict, "nothing is scanned yet: there is no model"));
  }
}

void Scan::reconstruct_loop() {
  for (;;) {
    auto frame = queue_.pop_for(kTasksMayWait);
    if (frame) reconstruct(std::move(*frame));
    run_tasks();
    if (!frame && queue_.closed()) break;
  }
  {
    const std::lock_guard lock(mutex_);
    tasks_end_ = true;
  }
  run_tasks();
}

void Scan::reconstruct(RawFrame frame) {
  {
    const std::lock_guard lock(mutex_);
    busy_since_ = clock_.mono();
  }
  frames_came_ = true;
  if (recording_ != nullptr) recording_->took(frame);
  auto outcome = reconstruction_->add(std::move(frame));
  if (outcome.ok() && journal_ != nullptr)
    for (ScanRecord& record : outcome->records) journal_->append(std::move(record));
  const ReconstructionCounts counts = reconstruction_->counts();
  {
    const std::lock_guard lock(mutex_);
    busy_since_.reset();
    status_.counts.incomplete = counts.incomplete;
    if (outcome.ok() && outcome->gathered) return;
    status_.counts.frames = counts.frames;
    status_.counts.tracked = counts.tracked;
    status_.counts.relocalised = counts.relocalised;
    status_.counts.lost = counts.lost;
    status_.counts.obscured = counts.obscured;
    status_.counts.closures = counts.closures;
    status_.counts.largest_closure_mm = counts.largest_closure_mm;
    status_.counts.triangles = reconstruction_->triangle_estimate();
    status_.counts.volume_bytes = reconstruction_->volume_bytes();
    done_at_.push_back(clock_.mono());
    while (done_at_.back() - done_at_.front() > std::chrono::seconds(1)) done_at_.pop_front();
    if (outcome.ok()) {
      status_.counts.verdict = outcome->pose.verdict;
      if (outcome->pose.usable()) {
        status_.counts.residual_mm = outcome->pose.residual_mm;
        residual_sum_mm_ += outcome->pose.residual_mm;
        ++residuals_;
      }
    }
  }
  if (!outcome.ok()) hold(outcome.error());
}

Result<RefinedScan> Scan::refine(const RefineRun& run) const {
  CUSP_CHECK(!capture_thread_.joinable() && !reconstruct_thread_.joinable(),
             "refine() before end()");
  if (reconstruction_)
    return cusp::refine(reconstruction_->log(), reconstruction_->options(), *calibration_, run);
  if (place_.earlier)
    return cusp::refine(place_.earlier->log, place_.earlier->begin.options,
                        place_.earlier->begin.calibration, run);
  return error(ErrorCode::kInvalidArgument, "nothing was scanned: no frame came");
}

void Scan::note_result(const std::string& mesh_sha256) {
  if (recording_ != nullptr) recording_->finish(mesh_sha256);
}

void Scan::discard() {
  if (recording_ != nullptr) recording_->discard();
  discard_journal();
}

void Scan::discard_journal() {
  {
    const std::lock_guard lock(mutex_);
    journal_.reset();
  }
  std::error_code gone;  // what can't be deleted is replaced by the stage's next scan
  if (!place_.journal.empty()) std::filesystem::remove(place_.journal, gone);
}

std::string Scan::recording_id() const { return recording_ == nullptr ? "" : recording_->id(); }

std::string Scan::recording_problem() const {
  return recording_ == nullptr ? "" : recording_->problem();
}

ScanStatus Scan::status() const {
  const std::lock_guard lock(mutex_);
  ScanStatus status = status_;
  status.journal_problem = journal_ != nullptr ? journal_->problem() : no_journal_;
  const CaptureCounts now = device_ != nullptr ? device_->counts() : CaptureCounts{};
  status.counts.broken = earlier_broken_ + now.broken();
  status.counts.missing = earlier_missing_ + now.lost;
  status.counts.restarts = earlier_restarts_ + now.restarts;
  status.counts.dropped = queue_.counts().dropped;
  const MonoTime second_ago = clock_.mono() - std::chrono::seconds(1);
  for (const MonoTime done : done_at_) status.counts.fps += done > second_ago ? 1 : 0;
  if (residuals_ > 0)
    status.counts.mean_residual_mm = residual_sum_mm_ / static_cast<double>(residuals_);
  return status;
}

bool Scan::stuck_for(std::chrono::seconds span) const {
  const std::lock_guard lock(mutex_);
  return busy_since_ && clock_.mono() - *busy_since_ > span;
}

}  // namespace cusp::daemon
