#include "daemon/session.h"

#include <algorithm>
#include <utility>

namespace cusp::daemon {
namespace {

bool is_current(StageState state) {
  return state == StageState::kScanning || state == StageState::kPaused ||
         state == StageState::kInterrupted;
}

}  // namespace

bool is_saved(TicketState state) {
  return state == TicketState::kReady || state == TicketState::kSending ||
         state == TicketState::kDelivered;
}

std::string_view to_string(StageState state) {
  switch (state) {
    case StageState::kPending:
      return "pending";
    case StageState::kScanning:
      return "scanning";
    case StageState::kPaused:
      return "paused";
    case StageState::kInterrupted:
      return "interrupted";
    case StageState::kProcessing:
      return "processing";
    case StageState::kDone:
      return "done";
    case StageState::kFailed:
      return "failed";
  }
  CUSP_CHECK(false, "a stage state without a name");
}

Session::Session(ScanTicket ticket, TicketState state, const std::vector<ScanStage>& done)
    : ticket_(std::move(ticket)), state_(state) {
  for (const ScanStage stage : ticket_.stages) {
    const bool is_done = std::find(done.begin(), done.end(), stage) != done.end();
    stages_.push_back({stage, is_done ? StageState::kDone : StageState::kPending, {}});
  }
}

StageProgress* Session::find(ScanStage stage) {
  const auto found = std::find_if(stages_.begin(), stages_.end(),
                                  [&](const StageProgress& one) { return one.stage == stage; });
  return found == stages_.end() ? nullptr : &*found;
}

StageProgress* Session::current_progress() {
  const auto found = std::find_if(stages_.begin(), stages_.end(),
                                  [](const StageProgress& one) { return is_current(one.state); });
  return found == stages_.end() ? nullptr : &*found;
}

StageState Session::stage_state(ScanStage stage) const {
  const StageProgress* progress = const_cast<Session*>(this)->find(stage);
  CUSP_CHECK(progress != nullptr, "a stage that the ticket does not have");
  return progress->state;
}

std::optional<ScanStage> Session::current() const {
  const StageProgress* progress = const_cast<Session*>(this)->current_progress();
  return progress != nullptr ? std::optional(progress->stage) : std::nullopt;
}

bool Session::wants_save() const {
  const bool any_done = std::any_of(stages_.begin(), stages_.end(), [](const StageProgress& one) {
    return one.state == StageState::kDone;
  });
  return state_ == TicketState::kProcessing && any_done &&
         std::all_of(stages_.begin(), stages_.end(), [](const StageProgress& one) {
           return one.state == StageState::kDone || one.state == StageState::kPending;
         });
}

Result<void> Session::move(TicketEvent event) {
  const auto next = next_state(state_, event);
  if (!next.ok())
    return error(next.error().code, "ticket {}: {}", ticket_.id, next.error().message);
  state_ = *next;
  return {};
}

Result<StageProgress*> Session::known(ScanStage stage) {
  if (StageProgress* progress = find(stage)) return progress;
  std::string known;
  for (const ScanStage one : ticket_.stages)
    known += (known.empty() ? "" : ", ") + std::string(to_string(one));
  return error(ErrorCode::kNotFound, "ticket {}: it has no stage {}: its stages are {}", ticket_.id,
               to_string(stage), known);
}

Result<void> Session::none_is_scanned() const {
  const auto stage = current();
  if (!stage) return {};
  return error(ErrorCode::kConflict, "ticket {}: stage {} is {}: finish that stage first",
               ticket_.id, to_string(*stage), to_string(stage_state(*stage)));
}

Result<void> Session::begin(StageProgress& progress, TicketEvent event) {
  CUSP_TRY(none_is_scanned());
  CUSP_TRY(move(event));
  progress.state = StageState::kScanning;
  progress.problem.clear();
  return {};
}

Result<void> Session::claim() { return move(TicketEvent::kClaim); }

Result<void> Session::release() { return move(TicketEvent::kRelease); }

Result<void> Session::start(ScanStage stage) {
  CUSP_ASSIGN(StageProgress * progress, known(stage));
  if (progress->state != StageState::kPending && progress->state != StageState::kFailed)
    return error(ErrorCode::kConflict, "ticket {}: stage {} is {}: {}", ticket_.id,
                 to_string(stage), to_string(progress->state),
                 is_current(progress->state) ? "resume or finish it" : "redo scans it again");
  return begin(*progress, TicketEvent::kStart);
}

Result<void> Session::redo(ScanStage stage) {
  CUSP_ASSIGN(StageProgress * progress, known(stage));
  if (progress->state == StageState::kPending)
    return error(ErrorCode::kConflict, "ticket {}: stage {} is not scanned yet: start it",
                 ticket_.id, to_string(stage));
  if (progress->state == StageState::kProcessing)
    return error(ErrorCode::kConflict,
                 "ticket {}: stage {} is being processed: redo it when that is done", ticket_.id,
                 to_string(stage));
  const bool next_revision = is_saved(state_);
  if (is_current(progress->state)) {  // throw away what there is of it and begin anew
    CUSP_TRY(move(TicketEvent::kRedo));
    progress->state = StageState::kScanning;
    progress->problem.clear();
    return {};
  }
  CUSP_TRY(begin(*progress, TicketEvent::kRedo));
  if (next_revision) ++ticket_.revision;
  return {};
}

Result<void> Session::pause() {
  StageProgress* progress = current_progress();
  if (progress == nullptr || progress->state != StageState::kScanning)
    return error(ErrorCode::kConflict, "ticket {}: nothing is being scanned", ticket_.id);
  CUSP_TRY(move(TicketEvent::kPause));
  progress->state = StageState::kPaused;
  return {};
}

Result<void> Session::resume() {
  StageProgress* progress = current_progress();
  if (progress == nullptr)
    return error(ErrorCode::kConflict, "ticket {}: no stage is paused or interrupted: start one",
                 ticket_.id);
  CUSP_TRY(move(TicketEvent::kResume));
  progress->state = StageState::kScanning;
  progress->problem.clear();
  return {};
}

Result<void> Session::finish_stage() {
  StageProgress* progress = current_progress();
  if (progress == nullptr)
    return error(ErrorCode::kConflict, "ticket {}: no stage is being scanned", ticket_.id);
  // Between two stages the ticket is "paused": it waits for the operator.
  if (state_ == TicketState::kInterrupted) CUSP_TRY(move(TicketEvent::kResume));
  if (state_ == TicketState::kScanning) CUSP_TRY(move(TicketEvent::kPause));
  progress->state = StageState::kProcessing;
  progress->problem.clear();
  return {};
}

Result<void> Session::retry(ScanStage stage) {
  CUSP_ASSIGN(StageProgress * progress, known(stage));
  if (progress->state != StageState::kFailed)
    return error(ErrorCode::kConflict, "ticket {}: stage {} is {}: only a failed one is retried",
                 ticket_.id, to_string(stage), to_string(progress->state));
  if (state_ == TicketState::kProcessingFailed) CUSP_TRY(move(TicketEvent::kRetry));
  progress->state = StageState::kProcessing;
  progress->problem.clear();
  return {};
}

Result<void> Session::discard(ScanStage stage, bool has_model) {
  CUSP_ASSIGN(StageProgress * progress, known(stage));
  if (progress->state != StageState::kFailed)
    return error(ErrorCode::kConflict, "ticket {}: stage {} is {}: only a failed one is discarded",
                 ticket_.id, to_string(stage), to_string(progress->state));
  progress->state = has_model ? StageState::kDone : StageState::kPending;
  progress->problem.clear();
  return {};
}

Result<void> Session::finish() {
  CUSP_TRY(none_is_scanned());
  if (is_saved(state_)) return move(TicketEvent::kFinish);  // says what is possible instead
  for (const StageProgress& one : stages_)
    if (one.state == StageState::kFailed)
      return error(ErrorCode::kConflict,
                   "ticket {}: stage {} failed: retry, redo or discard it first", ticket_.id,
                   to_string(one.stage));
  const bool any = std::any_of(stages_.begin(), stages_.end(), [](const StageProgress& one) {
    return one.state != StageState::kPending;
  });
  if (!any && state_ != TicketState::kCancelled)
    return error(ErrorCode::kConflict, "ticket {}: nothing is scanned yet: start a stage",
                 ticket_.id);
  if (state_ == TicketState::kProcessingFailed) return move(TicketEvent::kRetry);
  return move(TicketEvent::kFinish);
}

Result<void> Session::cancel() {
  CUSP_TRY(move(TicketEvent::kCancel));
  for (StageProgress& one : stages_) one = {one.stage, StageState::kPending, {}};
  return {};
}

Result<void> Session::interrupted(std::string problem) {
  StageProgress* progress = current_progress();
  if (progress == nullptr)
    return error(ErrorCode::kConflict, "ticket {}: no stage is being scanned", ticket_.id);
  CUSP_TRY(move(TicketEvent::kInterrupt));
  progress->state = StageState::kInterrupted;
  progress->problem = std::move(problem);
  return {};
}

Result<void> Session::stage_done(ScanStage stage) {
  CUSP_ASSIGN(StageProgress * progress, known(stage));
  if (progress->state != StageState::kProcessing)
    return error(ErrorCode::kConflict, "ticket {}: stage {} is {}, not being processed", ticket_.id,
                 to_string(stage), to_string(progress->state));
  const bool one_failed = std::any_of(stages_.begin(), stages_.end(), [](const StageProgress& one) {
    return one.state == StageState::kFailed;
  });
  if (state_ == TicketState::kProcessing && one_failed) CUSP_TRY(move(TicketEvent::kProcessFailed));
  progress->state = StageState::kDone;
  return {};
}

Result<void> Session::stage_failed(ScanStage stage, std::string problem) {
  CUSP_ASSIGN(StageProgress * progress, known(stage));
  if (progress->state != StageState::kProcessing)
    return error(ErrorCode::kConflict, "ticket {}: stage {} is {}, not being processed", ticket_.id,
                 to_string(stage), to_string(progress->state));
  if (state_ == TicketState::kProcessing) CUSP_TRY(move(TicketEvent::kProcessFailed));
  progress->state = StageState::kFailed;
  progress->problem = std::move(problem);
  return {};
}

Result<void> Session::save_failed() { return move(TicketEvent::kProcessFailed); }

Result<void> Session::saved() {
  if (state_ == TicketState::kProcessing && !wants_save())
    return error(ErrorCode::kConflict, "ticket {}: a stage has no model yet", ticket_.id);
  return move(TicketEvent::kSaved);
}

void Session::stopped(std::optional<ScanStage> interrupted, const std::vector<ScanStage>& unmade) {
  for (StageProgress& one : stages_) {
    if (one.state == StageState::kDone) continue;
    if (one.stage == interrupted)
      one = {one.stage, StageState::kInterrupted, "the station was stopped while it was scanned"};
    else if (std::ranges::find(unmade, one.stage) != unmade.end())
      one = {one.stage, StageState::kFailed, "the station was stopped before its model was made"};
    else
      one = {one.stage, StageState::kPending, {}};
  }
  if (const auto state = next_state(state_, TicketEvent::kInterrupt); state.ok()) state_ = *state;
}

}  // namespace cusp::daemon
