#include "delivery/worklist.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <string_view>

#include "delivery/codec.h"
#include "delivery/sqlite.h"

namespace cusp::delivery {
namespace {

constexpr std::array<std::string_view, 2> kSchema{R"sql(
CREATE TABLE link(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  cursor INTEGER NOT NULL,
  store_epoch TEXT NOT NULL) STRICT;
INSERT INTO link VALUES (1, 0, '');
CREATE TABLE item(
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  ticket_id TEXT NOT NULL UNIQUE,
  ticket BLOB NOT NULL,               -- cusp.sxp.Ticket
  revision INTEGER NOT NULL,
  state TEXT NOT NULL,
  made_here INTEGER NOT NULL,
  withdrawn INTEGER NOT NULL) STRICT;
)sql",
                                                  R"sql(
ALTER TABLE item ADD COLUMN held_by TEXT;     -- null: nobody
ALTER TABLE item ADD COLUMN held_since TEXT;
ALTER TABLE item ADD COLUMN take_over INTEGER NOT NULL DEFAULT 0;
)sql"};

constexpr std::string_view kSelect =
    "SELECT ticket, revision, state, made_here, withdrawn, held_by, held_since, take_over "
    "FROM item ";

std::vector<std::uint8_t> encode_ticket(const ScanTicket& ticket) {
  const std::string bytes = to_message(ticket).SerializeAsString();
  return {bytes.begin(), bytes.end()};
}

Result<WorklistItem> read_item(const Statement& row) {
  sxp::Ticket message;
  const auto bytes = row.blob(0);
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return error(ErrorCode::kCorrupt, "worklist: a ticket's bytes are damaged");
  auto ticket = from_message(message);
  const auto state = ticket_state_from(row.text(2));
  if (!ticket.ok() || !state)
    return error(ErrorCode::kCorrupt, "worklist: a stored ticket breaks its rules");
  WorklistItem item{std::move(*ticket),  *state, row.integer(3) != 0,
                    row.integer(4) != 0, {},     row.integer(7) != 0};
  if (!row.is_null(5)) item.hold = Hold{row.text(5), row.text(6)};
  item.ticket.revision = static_cast<unsigned>(row.integer(1));
  return item;
}

Error no_ticket(const std::string& id) {
  return error(ErrorCode::kNotFound, "the worklist has no ticket {}", id.substr(0, 64));
}

// Nothing was done here that closing the ticket could lose.
bool untouched(TicketState state) {
  return state == TicketState::kCreated || state == TicketState::kCancelled;
}

class SqliteWorklist final : public Worklist {
 public:
  explicit SqliteWorklist(Database database) : database_(std::move(database)) {}

  // Answers the first damage, so that open() can refuse and list() can rely on every row.
  Result<void> load() {
    CUSP_TRY(read_all());
    CUSP_ASSIGN(Statement link, database_.query("SELECT cursor, store_epoch FROM link"));
    CUSP_ASSIGN(const bool row, link.step());
    if (!row) return error(ErrorCode::kCorrupt, "worklist: the link's place is gone");
    cursor_ = static_cast<std::uint64_t>(link.integer(0));
    store_epoch_ = link.text(1);
    return {};
  }

  std::vector<WorklistItem> list() override {
    const std::lock_guard lock(mutex_);
    auto items = read_all();
    CUSP_CHECK(items.ok(), items.error().message);
    return std::move(*items);
  }

  Result<WorklistItem> find(const std::string& ticket_id) override {
    const std::lock_guard lock(mutex_);
    return find_locked(ticket_id);
  }

  Result<void> add(const ScanTicket& ticket) override {
    CUSP_TRY(validate(ticket));
    const std::lock_guard lock(mutex_);
    if (find_locked(ticket.id).ok())
      return error(ErrorCode::kConflict, "ticket {} is in the worklist already", ticket.id);
    return insert(ticket, true);
  }

  Result<void> set_state(const std::string& ticket_id, TicketState state,
                         unsigned revision) override {
    const std::lock_guard lock(mutex_);
    return set_state_locked(ticket_id, state, revision);
  }

  Result<TicketState> advance(const std::string& ticket_id, unsigned revision,
                              TicketEvent event) override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(const WorklistItem item, find_locked(ticket_id));
    if (item.ticket.revision != revision)
      return error(ErrorCode::kConflict, "ticket {} is at revision {}, not {}", ticket_id,
                   item.ticket.revision, revision);
    CUSP_ASSIGN(const TicketState state, next_state(item.state, event));
    CUSP_TRY(set_state_locked(ticket_id, state, revision));
    return state;
  }

  Result<void> set_take_over(const std::string& ticket_id, bool take_over) override {
    const std::lock_guard lock(mutex_);
    return database_.run("UPDATE item SET take_over = ?1 WHERE ticket_id = ?2 AND take_over <> ?1",
                         take_over, ticket_id);
  }

  Result<void> set_hold(const std::string& ticket_id, const std::optional<Hold>& hold) override {
    const std::lock_guard lock(mutex_);
    return set_hold_locked(ticket_id, hold);
  }

  std::uint64_t cursor() override {
    const std::lock_guard lock(mutex_);
    return cursor_;
  }

  Result<void> apply(const WorklistChange& change) override {
    CUSP_TRY(validate(change.ticket));
    const std::lock_guard lock(mutex_);
    if (change.seq <= cursor_) return {};
    CUSP_ASSIGN(Transaction transaction, Transaction::begin(database_));
    CUSP_TRY(merge(change));
    CUSP_TRY(set_hold_locked(change.ticket.id, change.hold));
    CUSP_TRY(database_.run("UPDATE link SET cursor = ?", change.seq));
    CUSP_TRY(transaction.commit());
    cursor_ = change.seq;
    return {};
  }

  Result<void> restart(const std::string& store_epoch) override {
    const std::lock_guard lock(mutex_);
    CUSP_TRY(database_.run("UPDATE link SET cursor = 0, store_epoch = ?", store_epoch));
    cursor_ = 0;
    store_epoch_ = store_epoch;
    return {};
  }

  std::string store_epoch() override {
    const std::lock_guard lock(mutex_);
    return store_epoch_;
  }

 private:
  Result<std::vector<WorklistItem>> read_all() {
    CUSP_ASSIGN(Statement rows, database_.query(std::string(kSelect) + "ORDER BY position"));
    std::vector<WorklistItem> items;
    while (true) {
      CUSP_ASSIGN(const bool row, rows.step());
      if (!row) return items;
      CUSP_ASSIGN(WorklistItem item, read_item(rows));
      items.push_back(std::move(item));
    }
  }

  Result<WorklistItem> find_locked(const std::string& ticket_id) {
    CUSP_ASSIGN(Statement rows,
                database_.query(std::string(kSelect) + "WHERE ticket_id = ?", ticket_id));
    CUSP_ASSIGN(const bool row, rows.step());
    if (!row) return no_ticket(ticket_id);
    return read_item(rows);
  }

  Result<void> insert(const ScanTicket& ticket, bool made_here) {
    return database_.run(
        "INSERT INTO item(ticket_id, ticket, revision, state, made_here, withdrawn) "
        "VALUES (?, ?, ?, ?, ?, 0)",
        ticket.id, encode_ticket(ticket), ticket.revision, to_string(TicketState::kCreated),
        made_here);
  }

  Result<void> set_hold_locked(const std::string& ticket_id, const std::optional<Hold>& hold) {
    std::optional<std::string> station_id, since;
    if (hold) station_id = hold->station_id, since = hold->since;
    return database_.run(
        "UPDATE item SET held_by = ?1, held_since = ?2 WHERE ticket_id = ?3 AND "
        "(held_by IS NOT ?1 OR held_since IS NOT ?2)",
        station_id, since, ticket_id);
  }

  Result<void> set_state_locked(const std::string& ticket_id, TicketState state,
                                unsigned revision) {
    CUSP_ASSIGN(Transaction transaction, Transaction::begin(database_));
    CUSP_TRY(database_.run("UPDATE item SET state = ?, revision = ? WHERE ticket_id = ?",
                           to_string(state), revision, ticket_id));
    if (database_.changes() == 0) return no_ticket(ticket_id);
    if (untouched(state))
      CUSP_TRY(database_.run("DELETE FROM item WHERE ticket_id = ? AND withdrawn", ticket_id));
    if (state == TicketState::kDelivered) CUSP_TRY(forget_old());
    return transaction.commit();
  }

  Result<void> merge(const WorklistChange& change) {
    const ScanTicket& ticket = change.ticket;
    const auto known = find_locked(ticket.id);
    if (!known.ok() && known.error().code != ErrorCode::kNotFound) return known.error();
    if (!known.ok()) return change.open ? insert(ticket, false) : Result<void>();
    if (!change.open) {
      if (untouched(known->state))
        return database_.run("DELETE FROM item WHERE ticket_id = ?", ticket.id);
      CUSP_TRY(database_.run("UPDATE item SET withdrawn = 1, made_here = 0 WHERE ticket_id = ?",
                             ticket.id));
      return forget_old();
    }
    // The store writes the text; once work has begun, the revision that is being made is ours.
    const unsigned revision = untouched(known->state) ? ticket.revision : known->ticket.revision;
    return database_.run(
        "UPDATE item SET ticket = ?, revision = ?, made_here = 0, withdrawn = 0 "
        "WHERE ticket_id = ?",
        encode_ticket(ticket), revision, ticket.id);
  }

  // Delivered tickets that the store no longer lists stay for a redo, but not for ever.
  Result<void> forget_old() {
    return database_.run(
        "DELETE FROM item WHERE position IN (SELECT position FROM item "
        "WHERE state = ? AND (withdrawn OR made_here) ORDER BY position DESC LIMIT -1 OFFSET ?)",
        to_string(TicketState::kDelivered), kDeliveredKept);
  }

  std::mutex mutex_;
  Database database_;
  std::uint64_t cursor_ = 0;
  std::string store_epoch_;
};

}  // namespace

Result<std::unique_ptr<Worklist>> Worklist::open(const std::filesystem::path& database) {
  CUSP_ASSIGN(Database opened, Database::open(database, kSchema));
  auto worklist = std::make_unique<SqliteWorklist>(std::move(opened));
  CUSP_TRY(worklist->load());
  return std::unique_ptr<Worklist>(std::move(worklist));
}

}  // namespace cusp::delivery
