#include "records/ticket_table.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "core/text.h"

namespace cusp::records {
namespace {

constexpr std::array<std::pair<TicketStatus, std::string_view>, 3> kStatuses{
    {{TicketStatus::kOpen, "open"},
     {TicketStatus::kDelivered, "delivered"},
     {TicketStatus::kCancelled, "cancelled"}}};

constexpr std::string_view kSelect =
    "SELECT t.id, t.patient_id, t.kind, t.case_type, t.visit_type, t.doctor, t.case_ref, t.note, "
    "t.teeth_fdi, t.stages, t.status, t.revision, t.station_id, t.station_state, t.worklist_seq, "
    "t.created_at, t.seq, p.patient_ref, p.name, p.date_of_birth, t.held_by, t.held_since, "
    "t.held_until "
    "FROM ticket t LEFT JOIN patient p ON p.id = t.patient_id ";
constexpr int kWorklistSeqColumn = 14;
constexpr int kSeqColumn = 16;

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    parts.push_back(text.substr(0, text.find(',')));
    text.remove_prefix(std::min(text.size(), parts.back().size() + 1));
  }
  return parts;
}

std::string join_stages(const std::vector<ScanStage>& stages) {
  std::string text;
  for (const ScanStage stage : stages)
    text += (text.empty() ? "" : ",") + std::string(to_string(stage));
  return text;
}

Result<Ticket> read_ticket(const delivery::Statement& row) {
  Ticket ticket;
  ScanTicket& order = ticket.order;
  order.id = row.text(0);
  if (!row.is_null(1)) ticket.patient_id = row.text(1);
  const auto kind = ticket_kind_from(row.text(2));
  const auto status = ticket_status_from(row.text(10));
  if (!kind || !status)
    return error(ErrorCode::kCorrupt, "ticket {}: its row breaks the rules", order.id);
  order.kind = *kind;
  ticket.status = *status;
  order.case_type = row.text(3);
  order.visit_type = row.text(4);
  order.doctor = row.text(5);
  order.case_ref = row.text(6);
  order.note = row.text(7);
  CUSP_ASSIGN(order.teeth_fdi, split_teeth(row.text(8)));
  const std::string stages = row.text(9);  // split() gives views into it
  for (const auto name : split(stages)) {
    const auto stage = scan_stage_from(name);
    if (!stage) return error(ErrorCode::kCorrupt, "ticket {}: unknown stage", order.id);
    order.stages.push_back(*stage);
  }
  order.revision = static_cast<unsigned>(row.integer(11));
  ticket.station_id = row.text(12);
  ticket.station_state = ticket_state_from(row.text(13));
  ticket.created_at = row.text(15);
  order.patient_ref = row.text(17);
  order.patient = {row.text(18), row.text(19)};
  if (!row.text(20).empty()) ticket.hold = delivery::Hold{row.text(20), row.text(21)};
  ticket.held_until = row.text(22);
  return ticket;
}

Result<std::uint64_t> next_worklist_seq(delivery::Database& database) {
  CUSP_TRY(database.run("UPDATE meta SET worklist_seq = worklist_seq + 1"));
  CUSP_ASSIGN(auto row, database.query("SELECT worklist_seq FROM meta"));
  CUSP_ASSIGN(const bool found, row.step());
  if (!found) return error(ErrorCode::kCorrupt, "the store's own row is gone");
  return static_cast<std::uint64_t>(row.integer(0));
}

}  // namespace

std::string_view to_string(TicketStatus status) {
  for (const auto& [value, name] : kStatuses)
    if (value == status) return name;
  CUSP_CHECK(false, "a ticket status without a name");
}

std::optional<TicketStatus> ticket_status_from(std::string_view name) {
  for (const auto& [value, known] : kStatuses)
    if (known == name) return value;
  return std::nullopt;
}

std::string join_teeth(const std::vector<int>& teeth_fdi) {
  return fmt::format("{}", fmt::join(teeth_fdi, ","));
}

Result<std::vector<int>> split_teeth(std::string_view text) {
  std::vector<int> teeth;
  for (const auto part : split(text)) {
    int tooth = 0;
    const auto [end, failure] = std::from_chars(part.data(), part.data() + part.size(), tooth);
    if (failure != std::errc{} || end != part.data() + part.size())
      return error(ErrorCode::kCorrupt, "a stored list of teeth is damaged");
    teeth.push_back(tooth);
  }
  return teeth;
}

Result<void> validate_order(const ScanTicket& order) {
  const std::pair<std::string_view, const std::string*> lines[] = {
      {"case_type", &order.case_type},
      {"visit_type", &order.visit_type},
      {"doctor", &order.doctor},
      {"case_ref", &order.case_ref}};
  for (const auto& [field, text] : lines) {
    CUSP_TRY(check_text(field, *text, kMaxLineBytes));
    if (text->find_first_of("\n\t") != std::string::npos)
      return error(ErrorCode::kInvalidArgument, "{} must be a single line", field);
  }
  CUSP_TRY(check_text("note", order.note, kMaxTextBytes));
  if (order.doctor.find_first_not_of(' ') == std::string::npos)
    return error(ErrorCode::kInvalidArgument, "doctor is missing");
  if (order.teeth_fdi.size() > kMaxTeeth)
    return error(ErrorCode::kInvalidArgument, "teeth_fdi has more than {} teeth", kMaxTeeth);
  return cusp::validate(order);  // its sentences name FDI numbers and stages
}

Result<void> insert_ticket(delivery::Database& database, const Ticket& ticket) {
  CUSP_ASSIGN(const auto worklist_seq, next_worklist_seq(database));
  const ScanTicket& order = ticket.order;
  return database.run(
      "INSERT INTO ticket(id, patient_id, kind, case_type, visit_type, doctor, case_ref, note, "
      "teeth_fdi, stages, status, revision, station_id, station_state, worklist_seq, created_at) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      order.id, ticket.patient_id, to_string(order.kind), order.case_type, order.visit_type,
      order.doctor, order.case_ref, order.note, join_teeth(order.teeth_fdi),
      join_stages(order.stages), to_string(ticket.status), order.revision, ticket.station_id,
      ticket.station_state ? to_string(*ticket.station_state) : std::string_view(), worklist_seq,
      ticket.created_at);
}

Result<std::optional<Ticket>> ticket_by_id(delivery::Database& database, const std::string& id) {
  CUSP_ASSIGN(auto row, database.query(std::string(kSelect) + "WHERE t.id = ?", id));
  CUSP_ASSIGN(const bool found, row.step());
  if (!found) return std::optional<Ticket>();
  CUSP_ASSIGN(auto ticket, read_ticket(row));
  return std::optional<Ticket>(std::move(ticket));
}

Result<Page<Ticket>> ticket_page(delivery::Database& database, std::optional<TicketStatus> status,
                                 const PageRequest& request) {
  std::optional<std::string_view> wanted;
  if (status) wanted = to_string(*status);
  CUSP_ASSIGN(
      auto rows,
      database.query(std::string(kSelect) +
                         "WHERE (?1 IS NULL OR t.status = ?1) AND (?2 IS NULL OR t.seq < ?2) "
                         "ORDER BY t.seq DESC LIMIT ?3",
                     wanted, request.before, request.limit + 1));
  Page<Ticket> page;
  std::uint64_t last = 0;
  while (true) {
    CUSP_ASSIGN(const bool row, rows.step());
    if (!row) return page;
    if (page.items.size() == request.limit) {
      page.next = last;
      return page;
    }
    CUSP_ASSIGN(auto ticket, read_ticket(rows));
    page.items.push_back(std::move(ticket));
    last = static_cast<std::uint64_t>(rows.integer(kSeqColumn));
  }
}

Result<void> set_ticket_status(delivery::Database& database, const std::string& id,
                               TicketStatus status, unsigned revision) {
  CUSP_ASSIGN(const auto worklist_seq, next_worklist_seq(database));
  return database.run(
      "UPDATE ticket SET status = ?, revision = max(revision, ?), worklist_seq = ? WHERE id = ?",
      to_string(status), revision, worklist_seq, id);
}

Result<void> set_hold(delivery::Database& database, const std::string& id,
                      const std::optional<delivery::Hold>& hold, const std::string& until) {
  CUSP_ASSIGN(const auto worklist_seq, next_worklist_seq(database));
  const delivery::Hold holder = hold.value_or(delivery::Hold{});
  return database.run(
      "UPDATE ticket SET held_by = ?, held_since = ?, held_until = ?, worklist_seq = ? "
      "WHERE id = ?",
      holder.station_id, holder.since, hold ? until : "", worklist_seq, id);
}

Result<std::vector<std::string>> held_before(delivery::Database& database, const std::string& now) {
  CUSP_ASSIGN(auto rows, database.query("SELECT id FROM ticket WHERE held_by <> '' AND "
                                        "held_until < ?",
                                        now));
  std::vector<std::string> ids;
  while (true) {
    CUSP_ASSIGN(const bool row, rows.step());
    if (!row) return ids;
    ids.push_back(rows.text(0));
  }
}

Result<void> extend_hold(delivery::Database& database, const std::string& id,
                         const std::string& until) {
  return database.run("UPDATE ticket SET held_until = ? WHERE id = ?", until, id);
}

Result<void> set_station_state(delivery::Database& database, const std::string& id,
                               const std::string& station_id, TicketState state) {
  return database.run("UPDATE ticket SET station_id = ?, station_state = ? WHERE id = ?",
                      station_id, to_string(state), id);
}

Result<std::vector<delivery::WorklistChange>> worklist_changes(delivery::Database& database,
                                                               std::uint64_t after_seq,
                                                               std::size_t limit) {
  CUSP_ASSIGN(auto rows, database.query(std::string(kSelect) + "WHERE t.worklist_seq > ? "
                                                               "ORDER BY t.worklist_seq LIMIT ?",
                                        after_seq, limit));
  std::vector<delivery::WorklistChange> changes;
  while (true) {
    CUSP_ASSIGN(const bool row, rows.step());
    if (!row) return changes;
    CUSP_ASSIGN(auto ticket, read_ticket(rows));
    // A station needs the name for as long as it scans; nobody needs it to close a ticket.
    if (ticket.status != TicketStatus::kOpen) ticket.order.patient = {};
    changes.push_back({static_cast<std::uint64_t>(rows.integer(kWorklistSeqColumn)),
                       std::move(ticket.order), ticket.status == TicketStatus::kOpen,
                       std::move(ticket.hold)});
  }
}

}  // namespace cusp::records
