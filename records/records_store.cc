#include "records/records_store.h"

#include <mutex>
#include <utility>

#include "core/uuid.h"
#include "delivery/sqlite.h"
#include "records/audit.h"
#include "records/patient_table.h"
#include "records/record_table.h"
#include "records/schema.h"
#include "records/ticket_table.h"

namespace cusp::records {
namespace {

using delivery::Database;
using delivery::Parcel;
using delivery::Receipt;
using delivery::Transaction;

constexpr std::string_view kPage = "page";  // whoever holds the token

// What a person wrote into an address may be anything; ids are short.
std::string shown(const std::string& id) { return is_uuid(id) ? id : "?"; }
Error no_patient(const std::string& id) {
  return error(ErrorCode::kNotFound, "there is no patient {}", shown(id));
}
Error no_ticket(const std::string& id) {
  return error(ErrorCode::kNotFound, "there is no ticket {}", shown(id));
}

bool holds(const Parcel& parcel, const Ticket& ticket) {
  return parcel.patient_ref == ticket.order.patient_ref;
}

// A station's clock text is shown as a time only if it is one.
bool is_utc_time(std::string_view text) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
  if (text.size() < kShape.size() + 1 || text.back() != 'Z') return false;
  for (std::size_t i = 0; i < kShape.size(); ++i)
    if (kShape[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != kShape[i]) return false;
  return true;
}

std::string title_of(const Parcel& parcel) {
  std::string title = parcel.kind == TicketKind::kFace ? "Face scan" : "Intraoral scan";
  if (parcel.revision > 1) title += fmt::format(", revision {}", parcel.revision);
  return title;
}

class SqliteRecordsStore final : public RecordsStore {
 public:
  SqliteRecordsStore(Database database, const Clock& clock)
      : database_(std::move(database)), clock_(clock) {}

  Result<void> load() {
    CUSP_TRY(database_.run(
        "INSERT INTO meta(id, store_epoch, worklist_seq) VALUES (1, ?, 0) ON CONFLICT DO NOTHING",
        new_uuid()));
    CUSP_ASSIGN(auto row, database_.query("SELECT store_epoch FROM meta"));
    CUSP_ASSIGN(const bool found, row.step());
    CUSP_CHECK(found, "the row was just made");
    store_epoch_ = row.text(0);
    CUSP_ASSIGN(file_bytes_, stored_file_bytes(database_));
    return {};
  }

  // --- patients ---

  Result<Patient> add_patient(Patient patient) override {
    patient.created_at = to_rfc3339(clock_.wall());
    CUSP_TRY(validate(patient, patient.created_at.substr(0, 10)));
    patient.id = new_uuid();
    patient.patient_ref = new_uuid();
    {
      const std::lock_guard lock(mutex_);
      CUSP_ASSIGN(auto transaction, Transaction::begin(database_));
      CUSP_TRY(insert_patient(database_, patient));
      CUSP_TRY(note(kPage, "patient-added", patient.id));
      CUSP_TRY(transaction.commit());
    }
    tell(StoreChange::Kind::kPatientAdded, patient.id);
    return patient;
  }

  Result<Patient> find_patient(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(auto patient, patient_by_id(database_, id));
    if (!patient) return no_patient(id);
    return *std::move(patient);
  }

  Result<Page<Patient>> list_patients(PageRequest request) override {
    const std::lock_guard lock(mutex_);
    return patient_page(database_, request);
  }

  // --- tickets ---

  Result<Ticket> add_ticket(const std::string& patient_id, ScanTicket order) override {
    Ticket ticket{std::move(order),         patient_id, TicketStatus::kOpen, {}, {},
                  to_rfc3339(clock_.wall())};
    ticket.order.id = new_uuid();
    ticket.order.revision = 1;
    if (ticket.order.stages.empty()) ticket.order.stages = default_stages(ticket.order.kind);
    CUSP_TRY(validate_order(ticket.order));
    {
      const std::lock_guard lock(mutex_);
      CUSP_ASSIGN(auto patient, patient_by_id(database_, patient_id));
      if (!patient)
        return error(ErrorCode::kInvalidArgument, "patient_id: there is no patient {}",
                     shown(patient_id));
      ticket.order.patient_ref = patient->patient_ref;
      ticket.order.patient = {patient->name, patient->date_of_birth};
      CUSP_ASSIGN(auto transaction, Transaction::begin(database_));
      CUSP_TRY(insert_ticket(database_, ticket));
      CUSP_TRY(note(kPage, "ticket-added", ticket.order.id));
      CUSP_TRY(transaction.commit());
    }
    tell(StoreChange::Kind::kTicketChanged, ticket.order.id);
    return ticket;
  }

  Result<Ticket> find_ticket(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    return find_ticket_locked(id);
  }

  Result<Page<Ticket>> list_tickets(std::optional<TicketStatus> status,
                                    PageRequest request) override {
    const std::lock_guard lock(mutex_);
    return ticket_page(database_, status, request);
  }

  Result<Ticket> cancel_ticket(const std::string& id) override {
    Result<Ticket> cancelled = no_ticket(id);
    {
      const std::lock_guard lock(mutex_);
      CUSP_ASSIGN(const auto ticket, find_ticket_locked(id));
      if (ticket.status != TicketStatus::kOpen)
        return error(ErrorCode::kConflict, "ticket {} is {} already", id, to_string(ticket.status));
      CUSP_ASSIGN(auto transaction, Transaction::begin(database_));
      CUSP_TRY(set_ticket_status(database_, id, TicketStatus::kCancelled, ticket.order.revision));
      CUSP_TRY(note(kPage, "ticket-cancelled", id));
      CUSP_TRY(transaction.commit());
      cancelled = find_ticket_locked(id);
    }
    tell(StoreChange::Kind::kTicketChanged, id);
    return cancelled;
  }

  // --- records ---

  Result<Page<Record>> list_records(PageRequest request) override {
    const std::lock_guard lock(mutex_);
    return record_page(database_, request);
  }

  Result<Record> find_record(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(auto record, record_by_id(database_, id));
    if (!record) return error(ErrorCode::kNotFound, "there is no record {}", shown(id));
    return *std::move(record);
  }

  Result<void> copy_database(const std::filesystem::path& target, std::stop_token stop) override {
    std::optional<delivery::DatabaseCopy> copy;
    while (true) {
      if (stop.stop_requested()) return error(ErrorCode::kCancelled, "the copy was stopped");
      const std::lock_guard lock(mutex_);
      if (!copy) {
        CUSP_ASSIGN(auto begun, delivery::DatabaseCopy::begin(database_, target));
        copy.emplace(std::move(begun));
      }
      CUSP_ASSIGN(const bool more, copy->step());
      if (!more) return {};
    }
  }

  Result<std::optional<delivery::BlobRef>> next_file(const std::string& after_sha256) override {
    const std::lock_guard lock(mutex_);
    return file_after(database_, after_sha256);
  }

  Result<std::string> scrub_place() override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(auto row, database_.query("SELECT scrub_place FROM meta"));
    CUSP_TRY(row.step());
    return row.text(0);
  }

  Result<void> set_scrub_place(const std::string& sha256) override {
    const std::lock_guard lock(mutex_);
    return database_.run("UPDATE meta SET scrub_place = ?", sha256);
  }

  Result<StoreCounts> counts() override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(auto row,
                database_.query("SELECT (SELECT count(*) FROM patient), "
                                "(SELECT count(*) FROM ticket WHERE status = 'open'), "
                                "(SELECT count(*) FROM record), "
                                "(SELECT count(*) FROM record WHERE patient_id IS NULL)"));
    CUSP_ASSIGN(const bool found, row.step());
    CUSP_CHECK(found, "counting gives a row");
    const auto count = [&](int column) { return static_cast<std::uint64_t>(row.integer(column)); };
    return StoreCounts{count(0), count(1), count(2), count(3), file_bytes_};
  }

  Result<std::uint64_t> check_audit() override {
    const std::lock_guard lock(mutex_);
    return records::check_audit(database_);
  }

  bool broken() override {
    const std::lock_guard lock(mutex_);
    return database_.broken();
  }

  void set_page_address(std::string address) override { page_address_ = std::move(address); }
  void set_listener(std::function<void(const StoreChange&)> listener) override {
    listener_ = std::move(listener);
  }

  // --- ingest ---

  std::string store_epoch() override {
    const std::lock_guard lock(mutex_);
    return store_epoch_;
  }

  Result<std::optional<Receipt>> find_receipt(const std::string& station_id,
                                              const std::string& outbox_epoch,
                                              std::uint64_t outbox_seq) override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(const auto known,
                committed_by_outbox(database_, station_id, outbox_epoch, outbox_seq));
    if (!known) return std::optional<Receipt>();
    return std::optional<Receipt>(receipt_of(*known));
  }

  Result<void> renew_epoch(const std::string& evidence) override {
    const std::lock_guard lock(mutex_);
    const std::string fresh = new_uuid();
    CUSP_ASSIGN(auto transaction, Transaction::begin(database_));
    CUSP_TRY(database_.run("UPDATE meta SET store_epoch = ?", fresh));
    CUSP_TRY(note("store", "epoch-renewed", fresh, evidence));
    CUSP_TRY(transaction.commit());
    store_epoch_ = fresh;
    return {};
  }

  Result<std::optional<Receipt>> find_delivery(const std::string& station_id,
                                               const std::string& outbox_epoch,
                                               const std::string& ticket_id,
                                               unsigned revision) override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(const auto known,
                committed_by_ticket(database_, station_id, outbox_epoch, ticket_id, revision));
    if (!known) return std::optional<Receipt>();
    return std::optional<Receipt>(receipt_of(*known));
  }

  Result<Receipt> commit(const Parcel& parcel, const std::vector<std::uint8_t>& envelope,
                         const std::string& envelope_sha256) override {
    Record record;
    {
      const std::lock_guard lock(mutex_);
      CUSP_ASSIGN(auto known, committed_by_outbox(database_, parcel.station_id, parcel.outbox_epoch,
                                                  parcel.outbox_seq));
      if (!known) {
        CUSP_ASSIGN(known, committed_by_ticket(database_, parcel.station_id, parcel.outbox_epoch,
                                               parcel.ticket_id, parcel.revision));
      }
      if (known && known->receipt.envelope_sha256 == envelope_sha256) return receipt_of(*known);
      if (known) return refuse(parcel, *known, envelope, envelope_sha256);
      CUSP_ASSIGN(record, commit_new(parcel, envelope, envelope_sha256));
    }
    tell(StoreChange::Kind::kTicketChanged, parcel.ticket_id);
    tell(StoreChange::Kind::kRecordAdded, record.id);
    return receipt_of({record.id,
                       {parcel.ticket_id,
                        parcel.revision,
                        record.store_seq,
                        envelope_sha256,
                        record.committed_at,
                        {}}});
  }

  Result<void> mark_damaged(const std::string& sha256, bool damaged) override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(auto transaction, Transaction::begin(database_));
    if (damaged)
      CUSP_TRY(database_.run("INSERT INTO damaged_file VALUES (?, ?) ON CONFLICT DO NOTHING",
                             sha256, to_rfc3339(clock_.wall())));
    else
      CUSP_TRY(database_.run("DELETE FROM damaged_file WHERE sha256 = ?", sha256));
    CUSP_TRY(note("store", damaged ? "file-damaged" : "file-mended", sha256));
    return transaction.commit();
  }

  Result<std::vector<std::uint64_t>> damaged_deliveries(const std::string& station_id,
                                                        const std::string& outbox_epoch) override {
    const std::lock_guard lock(mutex_);
    return deliveries_with_damage(database_, station_id, outbox_epoch);
  }

  Result<std::optional<std::vector<delivery::BlobRef>>> files_of(
      const std::string& station_id, const std::string& outbox_epoch,
      std::uint64_t outbox_seq) override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(const auto known,
                committed_by_outbox(database_, station_id, outbox_epoch, outbox_seq));
    if (!known) return std::optional<std::vector<delivery::BlobRef>>();
    CUSP_ASSIGN(auto files, files_of_record(database_, known->receipt.store_seq));
    return std::optional(std::move(files));
  }

  Result<std::vector<delivery::WorklistChange>> worklist_since(std::uint64_t seq,
                                                               std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    return worklist_changes(database_, seq, limit);
  }

  Result<std::optional<delivery::Hold>> report_state(const std::string& station_id,
                                                     const std::string& ticket_id,
                                                     TicketState state, bool take_over) override {
    bool told = false;
    std::optional<delivery::Hold> other;
    {
      const std::lock_guard lock(mutex_);
      CUSP_ASSIGN(const auto ticket, ticket_by_id(database_, ticket_id));
      if (!ticket) return no_ticket(ticket_id);
      CUSP_ASSIGN(auto transaction, Transaction::begin(database_));
      CUSP_ASSIGN(told, note_state(*ticket, station_id, state));
      CUSP_ASSIGN(const bool moved, note_hold(*ticket, station_id, state, take_over, other));
      told |= moved;
      CUSP_TRY(transaction.commit());
    }
    if (told) tell(StoreChange::Kind::kTicketChanged, ticket_id);
    return other;
  }

  Result<void> expire_holds() override {
    std::vector<std::string> freed;
    {
      const std::lock_guard lock(mutex_);
      CUSP_ASSIGN(freed, held_before(database_, to_rfc3339(clock_.wall())));
      if (freed.empty()) return {};
      CUSP_ASSIGN(auto transaction, Transaction::begin(database_));
      for (const std::string& id : freed) CUSP_TRY(set_hold(database_, id, std::nullopt, ""));
      CUSP_TRY(transaction.commit());
    }
    for (const std::string& id : freed) tell(StoreChange::Kind::kTicketChanged, id);
    return {};
  }

  Result<std::vector<delivery::FeedEntry>> feed_since(std::uint64_t seq,
                                                      std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    return feed_entries(database_, seq, limit);
  }

  Result<std::uint64_t> last_seq() override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(auto row, database_.query("SELECT coalesce(max(store_seq), 0) FROM record"));
    CUSP_TRY(row.step());
    return static_cast<std::uint64_t>(row.integer(0));
  }

  Result<std::optional<std::uint64_t>> file_size(const std::string& sha256) override {
    const std::lock_guard lock(mutex_);
    return stored_file_size(database_, sha256);
  }

 private:
  Result<Ticket> find_ticket_locked(const std::string& id) {
    CUSP_ASSIGN(auto ticket, ticket_by_id(database_, id));
    if (!ticket) return no_ticket(id);
    return *std::move(ticket);
  }

  // One transaction: record, ticket, audit.
  Result<Record> commit_new(const Parcel& parcel, const std::vector<std::uint8_t>& envelope,
                            const std::string& envelope_sha256) {
    CUSP_ASSIGN(auto transaction, Transaction::begin(database_));
    Parcel filed = parcel;
    CUSP_ASSIGN(filed.revision, free_revision(database_, parcel.ticket_id, parcel.revision));
    const bool twice = filed.revision != parcel.revision;
    Record record{new_uuid(),
                  0,
                  title_of(filed),
                  parcel.finished_at,
                  to_rfc3339(clock_.wall()),
                  envelope_sha256,
                  {},
                  filed};
    if (!is_utc_time(record.visiting_time)) record.visiting_time = record.committed_at;
    CUSP_ASSIGN(const auto ticket, ticket_by_id(database_, parcel.ticket_id));
    // Whose it is: parcel and ticket must agree. A wrong patient is worse than none.
    if (!parcel.patient_ref.empty() && (!ticket || holds(parcel, *ticket))) {
      CUSP_ASSIGN(record.patient, patient_by_ref(database_, parcel.patient_ref));
    }
    if (ticket) {
      CUSP_TRY(
          set_ticket_status(database_, parcel.ticket_id, TicketStatus::kDelivered, filed.revision));
    } else {
      CUSP_TRY(insert_ticket(database_, ticket_of(record)));
    }
    CUSP_TRY(
        set_station_state(database_, parcel.ticket_id, parcel.station_id, TicketState::kDelivered));
    if (ticket && ticket->hold && ticket->hold->station_id == parcel.station_id)
      CUSP_TRY(set_hold(database_, parcel.ticket_id, std::nullopt, ""));
    CUSP_ASSIGN(const auto fresh_bytes, bytes_of_new_files(database_, parcel));
    CUSP_ASSIGN(record.store_seq, insert_record(database_, record, parcel.revision, envelope));
    CUSP_TRY(note("station " + parcel.station_id, "record-committed", record.id, envelope_sha256));
    if (twice)
      CUSP_TRY(note("station " + parcel.station_id, "ticket-scanned-twice", parcel.ticket_id,
                    record.id));
    CUSP_TRY(transaction.commit());
    file_bytes_ += fresh_bytes;
    return record;
  }

  // True: something changed that people see.
  Result<bool> note_state(const Ticket& ticket, const std::string& station_id, TicketState state) {
    const bool own = ticket.station_id == station_id;
    if (own && ticket.station_state == state) return false;
    // Every station lists every open ticket; who works on it is shown.
    if (!own && ticket.station_state && !is_work(state)) return false;
    CUSP_TRY(set_station_state(database_, ticket.order.id, station_id, state));
    return true;
  }

  // True: another station holds it now, or none does; `other` holds it in spite of this report.
  Result<bool> note_hold(const Ticket& ticket, const std::string& station_id, TicketState state,
                         bool take_over, std::optional<delivery::Hold>& other) {
    const std::string& id = ticket.order.id;
    const WallTime now = clock_.wall();
    const bool held = ticket.hold && ticket.held_until > to_rfc3339(now);
    const bool own = ticket.hold && ticket.hold->station_id == station_id;
    if (!is_work(state)) {
      if (!own) return false;
      CUSP_TRY(set_hold(database_, id, std::nullopt, ""));
      return true;
    }
    const std::string until = to_rfc3339(now + delivery::kHoldLasts);
    if (own) {
      CUSP_TRY(extend_hold(database_, id, until));
      return false;
    }
    if (held && !take_over) {
      other = ticket.hold;
      return false;
    }
    CUSP_TRY(set_hold(database_, id, delivery::Hold{station_id, to_rfc3339(now)}, until));
    if (held) CUSP_TRY(note("station " + station_id, "ticket-taken-over", id));
    return true;
  }

  // A ticket that a station made; the store sees it first with its parcel.
  static Ticket ticket_of(const Record& record) {
    const Parcel& parcel = record.parcel;
    Ticket ticket;
    ticket.order = {parcel.ticket_id,  parcel.revision, parcel.kind, parcel.case_type,
                    parcel.visit_type, parcel.doctor,   {},          parcel.case_ref,
                    parcel.teeth_fdi,  parcel.note,     {},          {}};
    for (const auto& statement : parcel.stages) ticket.order.stages.push_back(statement.stage);
    if (record.patient) ticket.patient_id = record.patient->id;
    ticket.status = TicketStatus::kDelivered;
    ticket.created_at = record.committed_at;
    return ticket;
  }

  // The attempt itself is kept; the record that stands is not touched.
  Error refuse(const Parcel& parcel, const CommittedParcel& known,
               const std::vector<std::uint8_t>& envelope, const std::string& sha256) {
    if (const auto kept = keep_refused(parcel, known, envelope, sha256); !kept) return kept.error();
    return error(ErrorCode::kConflict,
                 "ticket {} revision {}: record {} holds other content for the same delivery",
                 parcel.ticket_id, parcel.revision, known.record_id);
  }

  Result<void> keep_refused(const Parcel& parcel, const CommittedParcel& known,
                            const std::vector<std::uint8_t>& envelope, const std::string& sha256) {
    CUSP_ASSIGN(auto transaction, Transaction::begin(database_));
    CUSP_TRY(insert_refused(database_, parcel, envelope, sha256, known.record_id,
                            to_rfc3339(clock_.wall())));
    CUSP_TRY(note("station " + parcel.station_id, "parcel-refused", known.record_id, sha256));
    return transaction.commit();
  }

  Receipt receipt_of(const CommittedParcel& committed) const {
    Receipt receipt = committed.receipt;
    if (!page_address_.empty())
      receipt.record_url = page_address_ + "/#/records/" + committed.record_id;
    return receipt;
  }

  Result<void> note(std::string_view actor, std::string_view action, const std::string& object,
                    const std::string& detail = {}) {
    return append(database_, {to_rfc3339(clock_.wall()), std::string(actor), std::string(action),
                              object, detail});
  }

  void tell(StoreChange::Kind kind, const std::string& id) const {
    if (listener_) listener_({kind, id});
  }

  std::mutex mutex_;
  Database database_;
  const Clock& clock_;
  std::string store_epoch_;
  std::uint64_t file_bytes_ = 0;  // kept, because adding them up reads every file's row
  std::string page_address_;
  std::function<void(const StoreChange&)> listener_;
};

}  // namespace

Result<std::unique_ptr<RecordsStore>> RecordsStore::open(const std::filesystem::path& database,
                                                         const Clock& clock) {
  CUSP_ASSIGN(Database opened, Database::open(database, schema_steps()));
  auto store = std::make_unique<SqliteRecordsStore>(std::move(opened), clock);
  CUSP_TRY(store->load());
  return std::unique_ptr<RecordsStore>(std::move(store));
}

}  // namespace cusp::records
