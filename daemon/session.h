// Session: a station's work on one ticket, as a pure state machine: which stages are scanned, being
// finished, done, and what the operator may do next. It does no input or output; station.h does
// what its answers ask for.
//
// The ticket's own state moves only through core's next_state(). At most one stage is being scanned
// (scanning, paused or interrupted); any number may be processed behind it. Errors: kConflict with
// a sentence that says what is possible, kNotFound for a stage that the ticket lacks; a refused
// command changes nothing. Threads: a value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/scan_ticket.h"

namespace cusp::daemon {

enum class StageState {
  kPending,  // not scanned yet
  kScanning,
  kPaused,
  kInterrupted,  // device lost: the volume is in memory, resume goes on with it
  kProcessing,   // its model is being made
  kDone,         // its model is durable on this station
  kFailed,       // no model could be made: retry, or redo
};
inline constexpr int kStageStateCount = 7;
std::string_view to_string(StageState state);

// In the outbox: ready, sending or delivered.
bool is_saved(TicketState state);

struct StageProgress {
  ScanStage stage = ScanStage::kUpper;
  StageState state = StageState::kPending;
  std::string problem;  // a sentence, when interrupted or failed
};

class Session {
 public:
  // In the state that the worklist has for it; `done` are the stages whose models are on disk.
  Session(ScanTicket ticket, TicketState state, const std::vector<ScanStage>& done);

  [[nodiscard]] const ScanTicket& ticket() const { return ticket_; }
  [[nodiscard]] TicketState state() const { return state_; }
  [[nodiscard]] const std::vector<StageProgress>& stages() const { return stages_; }
  [[nodiscard]] StageState stage_state(ScanStage stage) const;
  // The stage that is scanned now, paused and interrupted included.
  [[nodiscard]] std::optional<ScanStage> current() const;
  // The operator said finish and every scanned stage has its model: make the parcel.
  [[nodiscard]] bool wants_save() const;

  // What the operator says.
  Result<void> claim();
  Result<void> release();               // only while nothing is scanned
  Result<void> start(ScanStage stage);  // a pending or failed stage
  Result<void> redo(
      ScanStage stage);  // a scanned stage, from nothing; after saving: the next revision
  Result<void> pause();
  Result<void> resume();                // from paused or interrupted
  Result<void> finish_stage();          // the current stage goes to processing
  Result<void> retry(ScanStage stage);  // process a failed stage again
  // Gives up what failed: the stage is done again when an earlier model of it is on disk, and
  // otherwise as if it was never begun.
  Result<void> discard(ScanStage stage, bool has_model);
  Result<void> finish();  // nothing more will be scanned
  Result<void> cancel();

  // What happens.
  Result<void> interrupted(std::string problem);  // of the current stage
  Result<void> stage_done(ScanStage stage);
  Result<void> stage_failed(ScanStage stage, std::string problem);
  Result<void> save_failed();
  Result<void> saved();
  // The station stops or has been stopped: what restart begins with. Of the stages that are not
  // done those whose scan is on disk are gone on with: `interrupted` is resumed, `unmade` get their
  // models by retry. The others begin anew.
  void stopped(std::optional<ScanStage> interrupted = {},
               const std::vector<ScanStage>& unmade = {});

 private:
  StageProgress* find(ScanStage stage);
  StageProgress* current_progress();
  Result<void> move(TicketEvent event);
  Result<StageProgress*> known(ScanStage stage);
  Result<void> none_is_scanned() const;
  Result<void> begin(StageProgress& progress, TicketEvent event);

  ScanTicket ticket_;
  TicketState state_;
  std::vector<StageProgress> stages_;
};

}  // namespace cusp::daemon
