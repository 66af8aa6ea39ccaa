#include "daemon/station.h"

#include <algorithm>
#include <utility>

#include "core/uuid.h"
#include "daemon/log_text.h"
#include "delivery/keys.h"

namespace cusp::daemon {
namespace {

using delivery::OutboxEntry;
using delivery::OutboxState;
using delivery::WorklistItem;

TicketState ticket_state_of(OutboxState state) {
  switch (state) {
    case OutboxState::kReady:
    case OutboxState::kParked:
      return TicketState::kReady;
    case OutboxState::kSending:
      return TicketState::kSending;
    case OutboxState::kDelivered:
      return TicketState::kDelivered;
  }
  CUSP_CHECK(false, "an outbox state that the station does not know");
}

// There is something of it in memory.
bool is_under_way(TicketState state) {
  return state == TicketState::kScanning || state == TicketState::kPaused ||
         state == TicketState::kInterrupted || state == TicketState::kProcessing ||
         state == TicketState::kProcessingFailed;
}

}  // namespace

Station::Station(Options options, Origin origin, Seams seams)
    : options_(std::move(options)),
      origin_(std::move(origin)),
      seams_(std::move(seams)),
      files_(seams_.files, options_.data_folder / "reserve"),
      stages_(options_.data_folder / "sessions", files_) {}

Result<std::unique_ptr<Station>> Station::start(Options options, Origin origin, Seams seams) {
  std::unique_ptr<Station> station(
      new Station(std::move(options), std::move(origin), std::move(seams)));
  CUSP_TRY(station->open());
  return station;
}

Result<void> Station::open() {
  CUSP_ASSIGN(delivery::KeyPair keys, delivery::load_key_pair(options_.key_stem));
  CUSP_ASSIGN(std::string store_key, delivery::load_public_key(options_.store_public_key));
  CUSP_TRY(files_.make_folder(options_.data_folder / "sessions"));
  CUSP_ASSIGN(worklist_, delivery::Worklist::open(options_.data_folder / "worklist.db"));
  CUSP_ASSIGN(outbox_, delivery::Outbox::open(options_.data_folder / "outbox", options_.station_id,
                                              files_, seams_.clock));
  if (options_.max_recordings_bytes > 0) {
    // Recordings leave the room that the next scan wants to hold back.
    CUSP_ASSIGN(recordings_,
                recording::Recordings::open({.folder = options_.data_folder / "recordings",
                                             .max_bytes = options_.max_recordings_bytes,
                                             .min_free_bytes = options_.reserve_bytes,
                                             .program = "cuspd " + origin_.software_version}));
  }
  CUSP_TRY(recover());
  outbox_view_ = outbox_->list();
  for (const OutboxEntry& entry : outbox_view_) settled_[entry.seq] = entry.state;

  delivery::StationLinkOptions link;
  link.endpoint = options_.store_endpoint;
  link.station_id = options_.station_id;
  link.software_version = origin_.software_version;
  link.keys = std::move(keys);
  link.retention = {std::chrono::days(options_.keep_days), options_.keep_newest};
  link.store_public_z85 = std::move(store_key);
  link_ =
      std::make_unique<delivery::StationLink>(std::move(link), *outbox_, *worklist_, seams_.clock);
  link_->on_change([this] {
    if (reconcile_queued_.exchange(true)) return;
    post([this] {
      reconcile_queued_ = false;
      reconcile();
    });
  });
  link_thread_ = std::jthread([this](std::stop_token stop) { link_->run(std::move(stop)); });
  finisher_ = std::make_unique<Worker>();
  CUSP_ASSIGN(devices_, DeviceList::start(seams_.bus,
                                          [this] { post([this] { go_on_if_device_is_back(); }); }));
  return {};
}

Station::~Station() {
  alive_.reset();
  for (auto& [id, work] : works_) {
    if (work.scan) work.scan->request_end();
    if (is_saved(work.session.state())) continue;
    for (const StageProgress& one : work.session.stages())
      if (one.state == StageState::kProcessing)
        log(fmt::format("event=finishing_stage ticket={} stage={}", id, to_string(one.stage)));
    Session stopped = work.session;
    stopped.stopped();
    if (stopped.state() != work.session.state())
      // If it can't be written now, the next start draws the same conclusion.
      (void)worklist_->set_state(id, stopped.state(), stopped.ticket().revision);
  }
  for (auto& [id, work] : works_)
    if (work.scan) work.scan->end();
  finisher_.reset();
  photographer_ = {};
  works_.clear();
  devices_.reset();
  if (link_thread_.joinable()) {
    link_thread_.request_stop();
    link_->wake();
    link_thread_.join();
  }
}

void Station::post(std::function<void()> call) {
  seams_.post([weak = watch_, call = std::move(call)] {
    if (!weak.expired()) call();
  });
}

// --- after a restart ---

Result<void> Station::recover() {
  for (const WorklistItem& item : worklist_->list()) CUSP_TRY(recover(item));
  return {};
}

Result<void> Station::recover(const WorklistItem& item) {
  const std::string& id = item.ticket.id;
  const auto saved = outbox_->find(id, item.ticket.revision);
  if (saved.ok()) {
    // The parcel is the truth: a crash may have come between its commit and the note of it.
    const TicketState state = ticket_state_of(saved->state);
    if (state != item.state) CUSP_TRY(worklist_->set_state(id, state, item.ticket.revision));
    stages_.forget(id);
    return {};
  }
  if (item.state == TicketState::kCancelled) {
    stages_.forget(id);
    return {};
  }
  if (is_saved(item.state)) {
    warn(fmt::format("event=parcel_missing ticket={} state={}", id, to_string(item.state)));
    return {};
  }
  restore_earlier_stages(item.ticket);
  CUSP_ASSIGN(Session session, session_of(item));
  session.stopped();
  if (session.state() != item.state) {
    CUSP_TRY(worklist_->set_state(id, session.state(), item.ticket.revision));
    log(fmt::format("event=ticket_interrupted ticket={} was={}", id, to_string(item.state)));
  }
  if (session.state() == TicketState::kInterrupted ||
      session.state() == TicketState::kProcessingFailed) {
    take_up_scans(works_.emplace(id, Work(std::move(session))).first->second);
    current_ticket_ = id;
  }
  return {};
}

// A crash may have come between the redo of a saved ticket and the return of its other stages: the
// next revision would lack them.
void Station::restore_earlier_stages(const ScanTicket& ticket) {
  if (ticket.revision == 1) return;
  const auto restore = [&]() -> Result<void> {
    CUSP_ASSIGN(const OutboxEntry earlier, outbox_->find(ticket.id, ticket.revision - 1));
    CUSP_ASSIGN(const auto envelope, outbox_->envelope(earlier.seq));
    CUSP_ASSIGN(const delivery::Parcel parcel, delivery::decode_parcel(envelope));
    return restore_stages(parcel, *outbox_, files_, stages_);
  };
  if (const auto restored = restore(); !restored.ok())
    warn(fmt::format("event=restore_failed ticket={} why={}", ticket.id,
                     in_quotes(restored.error().message)));
}

// What the outbox and the link did since we looked. A parcel in the outbox is the truth about its
// ticket, as after a restart; what could not be written is tried again with the next change.
void Station::reconcile() {
  outbox_view_ = outbox_->list();
  for (const OutboxEntry& entry : outbox_view_) {
    const auto known = settled_.find(entry.seq);
    if (known != settled_.end() && known->second == entry.state) continue;
    const auto work = works_.find(entry.ticket_id);
    if (work != works_.end() && work->second.saving) continue;  // on_saved() is on its way
    const auto item = worklist_->find(entry.ticket_id);
    const TicketState state = ticket_state_of(entry.state);
    if (item.ok() && item->ticket.revision == entry.revision && item->state != state &&
        (is_saved(item->state) || item->state == TicketState::kProcessing)) {
      const auto stored = worklist_->set_state(entry.ticket_id, state, entry.revision);
      if (!stored.ok()) {
        warn(fmt::format("event=worklist_failed ticket={} why={}", entry.ticket_id,
                         in_quotes(stored.error().message)));
        continue;
      }
    }
    settled_[entry.seq] = entry.state;
    log(fmt::format("event=parcel_{} ticket={} revision={} seq={}", to_string(entry.state),
                    entry.ticket_id, entry.revision, entry.seq));
  }
}

// --- finding ---

Result<WorklistItem> Station::ticket(const std::string& ticket_id) {
  if (!is_uuid(ticket_id))
    return error(ErrorCode::kInvalidArgument, "a ticket's id is a UUID of 36 characters");
  return worklist_->find(ticket_id);
}

Result<Session> Station::session_of(const WorklistItem& item) {
  std::vector<ScanStage> done;
  if (is_saved(item.state)) {
    const auto entry = outbox_->find(item.ticket.id, item.ticket.revision);
    if (entry.ok()) {
      CUSP_ASSIGN(const auto envelope, outbox_->envelope(entry->seq));
      CUSP_ASSIGN(const delivery::Parcel parcel, delivery::decode_parcel(envelope));
      for (const auto& statement : parcel.stages) done.push_back(statement.stage);
    }
  } else {
    const StageStore::Loaded loaded = stages_.load(item.ticket.id, StageStore::Check::kBytes);
    for (const FinishedStage& stage : loaded.stages) done.push_back(stage.statement.stage);
    for (const std::string& problem : loaded.problems)
      warn(fmt::format("event=stage_not_whole ticket={} why={}", item.ticket.id,
                       in_quotes(problem)));
  }
  return Session(item.ticket, item.state, done);
}

Result<Station::Work*> Station::work(const std::string& ticket_id) {
  const std::string& id = ticket_id.empty() ? current_ticket_ : ticket_id;
  if (id.empty())
    return error(ErrorCode::kConflict, "no ticket is worked on: start a stage of one");
  if (const auto known = works_.find(id); known != works_.end()) {
    if (is_under_way(known->second.session.state())) return &known->second;
    works_.erase(known);  // the worklist and the outbox know it better
  }
  CUSP_ASSIGN(const WorklistItem item, ticket(id));
  CUSP_ASSIGN(Session session, session_of(item));
  return &works_.emplace(id, Work(std::move(session))).first->second;
}

// The command on a copy, the worklist, then the session: what was refused or could not be stored
// never happened.
Result<void> Station::apply(Work& work, const Command& command) {
  Session next = work.session;
  CUSP_TRY(command(next));
  if (next.state() != work.session.state() ||
      next.ticket().revision != work.session.ticket().revision) {
    CUSP_TRY(worklist_->set_state(next.ticket().id, next.state(), next.ticket().revision));
    log(fmt::format("event=ticket_{} ticket={} revision={}", to_string(next.state()),
                    next.ticket().id, next.ticket().revision));
    link_->wake();
  }
  work.session = std::move(next);
  notice_.clear();
  return {};
}

// What has happened can't be refused: the session takes it even when the worklist can't be written.
// A restart draws the same conclusion from what is on disk.
void Station::note(Work& work, const Command& event) {
  const Session before = work.session;
  const std::string& id = before.ticket().id;
  if (const auto taken = event(work.session); !taken.ok()) {
    work.session = before;
    warn(fmt::format("event=out_of_order ticket={} why={}", id, in_quotes(taken.error().message)));
    return;
  }
  const TicketState state = work.session.state();
  if (state == before.state()) return;
  const auto stored = worklist_->set_state(id, state, before.ticket().revision);
  if (!stored.ok())
    warn(fmt::format("event=worklist_failed ticket={} why={}", id,
                     in_quotes(stored.error().message)));
  log(fmt::format("event=ticket_{} ticket={} revision={}", to_string(state), id,
                  before.ticket().revision));
  link_->wake();
}

// --- tickets ---

Result<ScanTicket> Station::make_ticket(ScanTicket ticket) {
  ticket.id = new_uuid();
  ticket.revision = 1;
  if (ticket.stages.empty()) ticket.stages = default_stages(ticket.kind);
  CUSP_TRY(validate(ticket));
  CUSP_TRY(worklist_->add(ticket));
  log("event=ticket_made ticket=" + ticket.id);
  return ticket;
}

// While the store is away this is what it said last: a station never waits for it.
Result<void> Station::check_hold(const WorklistItem& item) const {
  if (!item.hold || item.hold->station_id == options_.station_id || item.take_over) return {};
  return error(
      ErrorCode::kConflict,
      "ticket {}: station {} works on it since {}: claim it with \"insist\" to scan it here "
      "all the same",
      item.ticket.id, item.hold->station_id, item.hold->since);
}

Result<void> Station::claim(const std::string& ticket_id, bool insist) {
  CUSP_ASSIGN(const WorklistItem item, ticket(ticket_id));
  if (item.withdrawn)
    return error(ErrorCode::kConflict, "ticket {}: the clinic has closed it", ticket_id);
  if (insist)
    CUSP_TRY(worklist_->set_take_over(ticket_id, true));
  else
    CUSP_TRY(check_hold(item));
  CUSP_ASSIGN(Work * work, this->work(ticket_id));
  return apply(*work, [](Session& session) { return session.claim(); });
}

Result<void> Station::release(const std::string& ticket_id) {
  CUSP_TRY(ticket(ticket_id));
  CUSP_ASSIGN(Work * work, this->work(ticket_id));
  return apply(*work, [](Session& session) { return session.release(); });
}

Result<void> Station::cancel(const std::string& ticket_id) {
  CUSP_ASSIGN(Work * work, this->work(ticket_id));
  const ScanTicket ticket = work->session.ticket();
  if (work->saving)
    return error(ErrorCode::kConflict, "ticket {}: it is just being saved: too late to cancel",
                 ticket.id);
  if (ticket.revision > 1 && !is_saved(work->session.state()))
    CUSP_TRY(return_to_earlier_revision(ticket));
  else
    CUSP_TRY(apply(*work, [](Session& session) { return session.cancel(); }));
  drop_scan(*work);
  for (auto& [stage, processed] : work->processed) processed.stop.request_stop();
  // After whatever is being made of this ticket.
  finisher_->post([this, id = ticket.id, all = std::move(work->processed)] {
    for (const auto& [stage, processed] : all)
      if (processed.scan != nullptr) processed.scan->discard();
    for (const FinishedStage& stage : stages_.load(id, StageStore::Check::kSizes).stages)
      remove_recording(stage);
    stages_.forget(id);
  });
  if (current_ticket_ == ticket.id) current_ticket_.clear();
  works_.erase(ticket.id);
  reconcile();
  return {};
}

// The store has, or will have, the revision before: such a ticket is never "cancelled".
Result<void> Station::return_to_earlier_revision(const ScanTicket& ticket) {
  const unsigned revision = ticket.revision - 1;
  CUSP_ASSIGN(const OutboxEntry earlier, outbox_->find(ticket.id, revision));
  const TicketState state = ticket_state_of(earlier.state);
  CUSP_TRY(worklist_->set_state(ticket.id, state, revision));
  settled_.erase(earlier.seq);  // the link may have moved it meanwhile
  log(fmt::format("event=redo_cancelled ticket={} revision={} state={}", ticket.id, revision,
                  to_string(state)));
  link_->wake();
  return {};
}

Result<void> Station::release_parcel(std::uint64_t seq) {
  CUSP_TRY(outbox_->release(seq));
  log(fmt::format("event=parcel_released seq={}", seq));
  link_->wake();
  reconcile();
  return {};
}

// --- looking ---

Result<std::vector<ModelEntry>> Station::models(const std::string& ticket_id) {
  if (!ticket_id.empty()) CUSP_TRY(ticket(ticket_id));
  std::vector<ModelEntry> models;
  for (const std::string& id : stages_.tickets()) {
    if (!ticket_id.empty() && id != ticket_id) continue;
    const auto item = worklist_->find(id);
    if (!item.ok() || is_saved(item->state)) continue;
    for (const FinishedStage& stage : stages_.load(id, StageStore::Check::kSizes).stages) {
      ModelEntry model{id, item->ticket.revision, stage.statement, {}, false};
      for (const auto& blob : stage.statement.blobs)
        model.paths.push_back(stages_.file_path(id, stage.statement.stage, blob));
      models.push_back(std::move(model));
    }
  }
  for (const OutboxEntry& entry : outbox_view_) {
    if (!ticket_id.empty() && entry.ticket_id != ticket_id) continue;
    if (entry.files_removed) continue;
    CUSP_ASSIGN(const auto envelope, outbox_->envelope(entry.seq));
    CUSP_ASSIGN(const delivery::Parcel parcel, delivery::decode_parcel(envelope));
    for (const auto& statement : parcel.stages) {
      ModelEntry model{entry.ticket_id, entry.revision, statement, {}, true};
      for (const auto& blob : statement.blobs)
        model.paths.push_back(outbox_->blob_path(blob.sha256));
      models.push_back(std::move(model));
    }
  }
  return models;
}

std::vector<recording::RecordingEntry> Station::recordings() const {
  return recordings_ == nullptr ? std::vector<recording::RecordingEntry>{} : recordings_->list();
}

const Session* Station::session() const {
  const auto found = works_.find(current_ticket_);
  return found == works_.end() ? nullptr : &found->second.session;
}

std::optional<ScanStatus> Station::scan() const {
  const auto found = works_.find(current_ticket_);
  if (found == works_.end() || found->second.scan == nullptr) return std::nullopt;
  return found->second.scan->status();
}

}  // namespace cusp::daemon
