#include <algorithm>
#include <utility>

#include "core/heap.h"
#include "daemon/log_text.h"
#include "daemon/station.h"
#include "pipeline/mesh_update.h"

// Station's second half: scanning, and what happens behind the operator's back.

namespace cusp::daemon {
namespace {

using delivery::OutboxEntry;

constexpr std::chrono::seconds kFrameMayTake{30};
// The reconstruct thread packs this much in about a millisecond.
constexpr std::size_t kUpdateBytes = std::size_t{1} << 20;

// A volume takes time to go.
void let_go(std::shared_ptr<Scan>&& scan) {
  scan.reset();
  give_freed_memory_back();
}

}  // namespace

Result<void> Station::start_scan(const std::string& ticket_id, ScanStage stage,
                                 const std::string& serial, From from) {
  CUSP_ASSIGN(Work * work, this->work(ticket_id));
  return begin_scan(*work, stage, serial, from, [&](Session& session) -> Result<void> {
    // A ticket that is only in the worklist is claimed by the first scan.
    if (session.state() == TicketState::kCreated) {
      CUSP_ASSIGN(const delivery::WorklistItem item, worklist_->find(session.ticket().id));
      CUSP_TRY(check_hold(item));
      CUSP_TRY(session.claim());
    }
    return session.start(stage);
  });
}

Result<void> Station::redo(const std::string& ticket_id, ScanStage stage, const std::string& serial,
                           From from) {
  CUSP_ASSIGN(Work * work, this->work(ticket_id));
  const bool was_saved = is_saved(work->session.state());
  std::optional<delivery::Parcel> parcel;
  if (was_saved) {
    const ScanTicket& ticket = work->session.ticket();
    CUSP_ASSIGN(const OutboxEntry entry, outbox_->find(ticket.id, ticket.revision));
    if (entry.files_removed)
      return error(ErrorCode::kConflict,
                   "ticket {}: its other stages are at the store alone, delivered on {}: scan it "
                   "under a new ticket",
                   ticket.id, entry.receipt->committed_at.substr(0, 10));
    CUSP_ASSIGN(const auto envelope, outbox_->envelope(entry.seq));
    CUSP_ASSIGN(parcel, delivery::decode_parcel(envelope));
  }
  CUSP_TRY(begin_scan(*work, stage, serial, from,
                      [&](Session& session) { return session.redo(stage); }));
  if (parcel)  // the new revision holds the other stages too
    finisher_->post([this, parcel = std::move(*parcel)] {
      const auto restored = restore_stages(parcel, *outbox_, files_, stages_);
      if (!restored.ok())
        post([this, id = parcel.ticket_id, why = restored.error().message] {
          warn(fmt::format("event=restore_failed ticket={} why={}", id, in_quotes(why)));
        });
    });
  return {};
}

Result<void> Station::pause(const std::string& ticket_id) {
  CUSP_ASSIGN(Work * work, this->work(ticket_id));
  CUSP_TRY(apply(*work, [](Session& session) { return session.pause(); }));
  work->scan->pause();
  return {};
}

Result<void> Station::resume(const std::string& ticket_id) {
  CUSP_ASSIGN(Work * work, this->work(ticket_id));
  if (work->session.current()) CUSP_TRY(ready_to_scan(*work));
  CUSP_TRY(apply(*work, [](Session& session) { return session.resume(); }));
  for (const DeviceEntry& entry : devices_->list())
    if (entry.info.serial == work->serial) work->arrival = entry.arrival;
  work->awaits_device = false;
  free_devices(work->session.ticket().id);
  work->scan->resume();
  make_current(work->session.ticket().id);
  return {};
}

Result<void> Station::finish_stage(const std::string& ticket_id) {
  CUSP_ASSIGN(Work * work, this->work(ticket_id));
  const auto stage = work->session.current();
  CUSP_TRY(apply(*work, [](Session& session) { return session.finish_stage(); }));
  work->scan->request_end();
  work->processed[*stage] = {.scan = std::move(work->scan), .started_at = work->started_at};
  process(*work, *stage);
  return {};
}

void Station::undo(const std::string& ticket_id, std::chrono::nanoseconds span,
                   std::function<void(Result<void>)> done) {
  if (span <= std::chrono::nanoseconds(0))
    return done(error(ErrorCode::kInvalidArgument, "undo takes back more than no time"));
  edit_scan(
      ticket_id, [span](Reconstruction& model) { return model.undo(span); }, "undo",
      std::move(done));
}

void Station::edit(const std::string& ticket_id, ScanEntry edit,
                   std::function<void(Result<void>)> done) {
  edit_scan(
      ticket_id, [edit = std::move(edit)](Reconstruction& model) { return model.edit(edit); },
      "edit", std::move(done));
}

void Station::edit_scan(const std::string& ticket_id, Scan::Edit edit, std::string_view what,
                        std::function<void(Result<void>)> done) {
  const auto work = this->work(ticket_id);
  if (!work.ok()) return done(work.error());
  if ((*work)->scan == nullptr)
    return done(error(ErrorCode::kConflict, "ticket {}: no stage is being scanned",
                      (*work)->session.ticket().id));
  const std::string id = (*work)->session.ticket().id;
  (*work)->scan->edit(
      std::move(edit), [this, id, what, done = std::move(done)](const Result<void>& result) {
        post([this, id, what, done, result] {
          log(fmt::format("event=model_{} ticket={} done={}", what, id, result.ok()));
          done(result);
        });
      });
}

void Station::mesh_update(std::uint64_t mesh_id, std::uint32_t since, MeshUpdated done) {
  const auto found = works_.find(current_ticket_);
  if (found == works_.end() || found->second.scan == nullptr)
    return done(error(ErrorCode::kConflict, "no stage is being scanned: there is no live mesh"));
  Scan& scan = *found->second.scan;
  const std::uint64_t id = scan.mesh_id();
  if (mesh_id != id) since = 0;  // of another scan
  scan.between_frames(
      [this, id, since, done = std::move(done)](const Result<Reconstruction*>& model) {
        Result<std::vector<std::uint8_t>> update =
            model.ok() ? Result(encode_mesh_update((*model)->live_mesh(), id, since, kUpdateBytes))
                       : Result<std::vector<std::uint8_t>>(model.error());
        post([done, update = std::move(update)] { done(update); });
      });
}

Result<void> Station::abort(const std::string& ticket_id, ScanStage stage) {
  CUSP_ASSIGN(Work * work, this->work(ticket_id));
  const auto processed = work->processed.find(stage);
  const auto& stages = work->session.stages();
  const auto progress = std::ranges::find(stages, stage, &StageProgress::stage);
  if (processed == work->processed.end() || progress == stages.end() ||
      progress->state != StageState::kProcessing)
    return error(ErrorCode::kConflict, "ticket {}: no model of stage {} is being made",
                 work->session.ticket().id, to_string(stage));
  processed->second.stop.request_stop();
  return {};
}

double Station::processed_share(ScanStage stage) const {
  const auto found = works_.find(current_ticket_);
  if (found == works_.end()) return 0;
  const auto processed = found->second.processed.find(stage);
  return processed == found->second.processed.end() ? 0 : processed->second.share->load();
}

Result<void> Station::retry(const std::string& ticket_id, ScanStage stage) {
  CUSP_ASSIGN(Work * work, this->work(ticket_id));
  CUSP_TRY(apply(*work, [&](Session& session) { return session.retry(stage); }));
  process(*work, stage);
  return {};
}

Result<void> Station::discard(const std::string& ticket_id, ScanStage stage) {
  CUSP_ASSIGN(Work * work, this->work(ticket_id));
  const auto whole = stages_.load(work->session.ticket().id, StageStore::Check::kSizes).stages;
  const bool has_model = std::any_of(whole.begin(), whole.end(), [&](const FinishedStage& one) {
    return one.statement.stage == stage;
  });
  CUSP_TRY(apply(*work, [&](Session& session) { return session.discard(stage, has_model); }));
  drop_processed(*work, stage);
  return {};
}

Result<void> Station::finish(const std::string& ticket_id) {
  CUSP_ASSIGN(Work * work, this->work(ticket_id));
  CUSP_TRY(apply(*work, [](Session& session) { return session.finish(); }));
  save_when_complete(*work);
  return {};
}

// --- behind the operator's back ---

// The scan ends on the finish thread: closing a device may take as long as its watchdog.
void Station::drop_scan(Work& work) {
  if (work.scan == nullptr) return;
  work.scan->request_end();
  finisher_->post([scan = std::move(work.scan)]() mutable {
    scan->end();
    scan->discard();
    let_go(std::move(scan));
  });
  work.scan.reset();
}

// Of what failed, or is scanned anew.
void Station::drop_processed(Work& work, ScanStage stage) {
  const auto processed = work.processed.find(stage);
  if (processed == work.processed.end()) return;
  processed->second.stop.request_stop();
  finisher_->post([scan = std::move(processed->second.scan)]() mutable {
    if (scan == nullptr) return;
    scan->discard();
    let_go(std::move(scan));
  });
  work.processed.erase(processed);
}

void Station::remove_recording(const FinishedStage& stage) {
  if (recordings_ != nullptr && !stage.recording_id.empty())
    recordings_->remove(stage.recording_id);
}

void Station::process(Work& work, ScanStage stage) {
  Processed& processed = work.processed[stage];
  processed.stop = {};
  *processed.share = 0;
  finisher_->post([this, ticket = work.session.ticket(), stage, scan = processed.scan,
                   started_at = processed.started_at,
                   run = FinishRun{
                       .stop = processed.stop.get_token(),
                       .progress = [share = processed.share](double done) { *share = done; }}] {
    // The model that this one takes the place of.
    std::vector<FinishedStage> earlier = stages_.load(ticket.id, StageStore::Check::kSizes).stages;
    std::erase_if(earlier, [&](const FinishedStage& one) { return one.statement.stage != stage; });
    auto result = cusp::daemon::finish_stage(*scan, ticket, stage, started_at, options_.model, run,
                                             stages_, seams_.clock);
    if (result.ok())
      for (const FinishedStage& one : earlier)
        if (one.recording_id != result->recording_id) remove_recording(one);
    post([this, id = ticket.id, stage, scan = std::weak_ptr(scan), result = std::move(result),
          problem = scan->recording_problem()] {
      on_stage_finished(id, stage, scan, result, problem);
    });
  });
}

void Station::on_stage_finished(const std::string& ticket_id, ScanStage stage,
                                const std::weak_ptr<Scan>& scan,
                                const Result<FinishedStage>& result,
                                const std::string& recording_problem) {
  const auto found = works_.find(ticket_id);
  if (found == works_.end()) return;  // cancelled meanwhile
  Work& work = found->second;
  const auto processed = work.processed.find(stage);
  // Another scan of the stage has taken its place.
  if (processed == work.processed.end() || processed->second.scan != scan.lock()) return;
  if (result.ok()) {
    finisher_->post(
        [scan = std::move(processed->second.scan)]() mutable { let_go(std::move(scan)); });
    work.processed.erase(processed);
  }
  note(work, [&](Session& session) {
    return result.ok() ? session.stage_done(stage)
                       : session.stage_failed(stage, result.error().message);
  });
  if (result.ok())
    log(fmt::format(
        "event=stage_done ticket={} stage={} grade={} triangles={} frames={} lost={} dropped={}",
        ticket_id, to_string(stage),
        result->statement.quality.value_or(delivery::StageQuality{}).grade,
        result->statement.triangles, result->statement.frames, result->statement.frames_lost,
        result->statement.frames_dropped));
  else
    warn(fmt::format("event=stage_failed ticket={} stage={} why={}", ticket_id, to_string(stage),
                     in_quotes(result.error().message)));
  if (result.ok() && !result->not_adjusted.empty())
    warn(fmt::format("event=stage_not_adjusted ticket={} stage={} why={}", ticket_id,
                     to_string(stage), in_quotes(result->not_adjusted)));
  if (result.ok() && !result->no_base.empty())
    warn(fmt::format("event=stage_without_base ticket={} stage={} why={}", ticket_id,
                     to_string(stage), in_quotes(result->no_base)));
  if (!recording_problem.empty())
    warn(fmt::format("event=recording_ended_early ticket={} stage={} why={}", ticket_id,
                     to_string(stage), in_quotes(recording_problem)));
  save_when_complete(work);
}

void Station::save_when_complete(Work& work) {
  if (!work.session.wants_save() || work.saving) return;
  work.saving = true;
  std::vector<ScanStage> done;
  for (const StageProgress& one : work.session.stages())
    if (one.state == StageState::kDone) done.push_back(one.stage);
  finisher_->post([this, ticket = work.session.ticket(), done = std::move(done)] {
    auto result = commit_parcel(ticket, done, origin_, stages_, *outbox_);
    post([this, id = ticket.id, result = std::move(result)] { on_saved(id, result); });
  });
}

void Station::on_saved(const std::string& ticket_id, const Result<Committed>& result) {
  const auto found = works_.find(ticket_id);
  if (found == works_.end()) return;
  Work& work = found->second;
  work.saving = false;
  note(work,
       [&](Session& session) { return result.ok() ? session.saved() : session.save_failed(); });
  if (!result.ok()) {
    warn(fmt::format("event=save_failed ticket={} why={}", ticket_id,
                     in_quotes(result.error().message)));
    return;
  }
  log(fmt::format("event=ticket_saved ticket={} seq={} size_bytes={}", ticket_id, result->entry.seq,
                  result->entry.size_bytes));
  for (const std::string& problem : result->not_placed) {
    notice_ = "a model is saved, and does not lie in the others: " + problem;
    warn(fmt::format("event=model_not_placed ticket={} why={}", ticket_id, in_quotes(problem)));
  }
  stages_.forget(ticket_id);  // now: a redo may put its journal there the next moment
  if (current_ticket_ == ticket_id) current_ticket_.clear();
  works_.erase(found);
  link_->wake();
  reconcile();
}

void Station::on_hold(const std::string& ticket_id, const std::weak_ptr<Scan>& scan,
                      const Error& problem) {
  const auto found = works_.find(ticket_id);
  if (found == works_.end() || found->second.scan == nullptr || found->second.scan != scan.lock())
    return;
  Work& work = found->second;
  const TicketState state = work.session.state();
  if (state == TicketState::kScanning) {
    note(work, [&](Session& session) { return session.interrupted(problem.message); });
    warn(fmt::format("event=scan_interrupted ticket={} why={}", ticket_id,
                     in_quotes(problem.message)));
  } else if (state == TicketState::kPaused) {
    notice_ = "the scan is paused, and the scanner's button is not heard: " + problem.message;
    warn(
        fmt::format("event=standby_ended ticket={} why={}", ticket_id, in_quotes(problem.message)));
  } else {
    return;
  }
  // What the operator is told to mend by plugging the device in again.
  work.awaits_device = problem.code == ErrorCode::kDisconnected ||
                       problem.code == ErrorCode::kTimeout || problem.code == ErrorCode::kIo ||
                       problem.code == ErrorCode::kProtocol;
  go_on_if_device_is_back();  // its return may have been quicker than this word
}

// Paused scans of other tickets let their devices go.
void Station::free_devices(const std::string& ticket_id) {
  for (auto& [id, work] : works_)
    if (id != ticket_id && work.scan != nullptr) work.scan->leave_standby();
}

// A short press pauses and goes on; a long one finishes the stage and starts the next.
void Station::on_button(const std::string& ticket_id, const std::weak_ptr<Scan>& scan,
                        ButtonPress press) {
  const auto found = works_.find(ticket_id);
  if (found == works_.end() || found->second.scan == nullptr || found->second.scan != scan.lock())
    return;
  Result<void> done;
  if (press == ButtonPress::kLong)
    done = finish_and_start_next(ticket_id, found->second);
  else if (found->second.session.state() == TicketState::kScanning)
    done = pause(ticket_id);
  else
    done = resume(ticket_id);
  const std::string_view name = press == ButtonPress::kShort ? "short" : "long";
  if (done.ok()) {
    log(fmt::format("event=button_pressed ticket={} press={}", ticket_id, name));
    return;
  }
  notice_ = "the scanner's button was pressed in vain: " + done.error().message;
  warn(fmt::format("event=button_refused ticket={} press={} why={}", ticket_id, name,
                   in_quotes(done.error().message)));
}

// The next stage is the first pending one after it, none in a redo: what was left out before stays
// so.
Result<void> Station::finish_and_start_next(const std::string& ticket_id, const Work& work) {
  const auto current = work.session.current();
  const std::string serial = work.serial;
  CUSP_TRY(finish_stage(ticket_id));
  if (work.session.ticket().revision > 1) return {};
  const auto& stages = work.session.stages();
  auto next = std::ranges::find(stages, *current, &StageProgress::stage);
  while (next != stages.end() && next->state != StageState::kPending) ++next;
  return next == stages.end() ? Result<void>{} : start_scan(ticket_id, next->stage, serial);
}

// The ticket in front of the operator: no other one may go on by itself any more.
void Station::make_current(const std::string& ticket_id) {
  current_ticket_ = ticket_id;
  for (auto& [id, work] : works_)
    if (id != ticket_id) work.awaits_device = false;
}

// The scan of a device that failed goes on by itself, and a paused one hears its button again, when
// that device is plugged in again; one that never left waits for the operator.
void Station::go_on_if_device_is_back() {
  const auto found = works_.find(current_ticket_);
  if (found == works_.end() || !found->second.awaits_device) return;
  const std::string id = found->first;
  Work& work = found->second;
  const auto devices = devices_->list();
  const auto back = std::ranges::find_if(devices, [&](const DeviceEntry& entry) {
    return entry.info.serial == work.serial && entry.arrival != work.arrival &&
           entry.status == DeviceStatus::kAvailable;
  });
  if (back == devices.end()) return;
  if (work.session.state() == TicketState::kInterrupted) {
    if (const auto resumed = resume(id); !resumed.ok())
      warn(fmt::format("event=resume_failed ticket={} why={}", id,
                       in_quotes(resumed.error().message)));
  } else if (work.session.state() == TicketState::kPaused && work.scan != nullptr) {
    work.awaits_device = false;
    work.arrival = back->arrival;
    notice_.clear();
    work.scan->stand_by();
  }
}

bool Station::healthy() const {
  for (const auto& [id, work] : works_)
    if (work.scan != nullptr && work.scan->stuck_for(kFrameMayTake)) return false;
  return true;
}

}  // namespace cusp::daemon
