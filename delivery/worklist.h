// Worklist: the station's durable copy of the open tickets, and of how far each got here.
//
// The store is the author of a ticket's text, the station of its local state. It works without the
// store: the last known tickets stay, and tickets may be made here. Holds names of patients (for
// the operator's eyes): the file is mode 0600 and its content never leaves the station except to
// the local console. Threads: all verbs from any thread (one lock inside). Errors: kIo, kCorrupt,
// kNotFound, kConflict.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/scan_ticket.h"

namespace cusp::delivery {

// So many delivered tickets that the store does not list any more stay for a redo.
inline constexpr int kDeliveredKept = 200;

// A station that works on a ticket, or did until not long ago.
struct Hold {
  std::string station_id;
  std::string since;  // RFC 3339, the store's clock
  bool operator==(const Hold&) const = default;
};

// How long a station holds a ticket after its last report of work; it reports three times as often.
inline constexpr std::chrono::minutes kHoldLasts{15};

struct WorklistItem {
  ScanTicket ticket;
  TicketState state = TicketState::kCreated;
  bool made_here = false;    // unassigned until the store files it
  bool withdrawn = false;    // the store closed or cancelled it (kept while local work exists)
  std::optional<Hold> hold;  // as the store last said; may be this station
  bool take_over = false;    // the operator works on it although another station holds it
};

// A change in the store's list of open tickets, in the store's order.
struct WorklistChange {
  std::uint64_t seq = 0;
  ScanTicket ticket;
  bool open = true;  // false: delivered, by whichever station, or cancelled
  std::optional<Hold> hold{};
};

class Worklist {
 public:
  static Result<std::unique_ptr<Worklist>> open(const std::filesystem::path& database);
  virtual ~Worklist() = default;

  [[nodiscard]] virtual std::vector<WorklistItem> list() = 0;  // oldest first
  virtual Result<WorklistItem> find(const std::string& ticket_id) = 0;
  // Adds a ticket that was made on this station.
  virtual Result<void> add(const ScanTicket& ticket) = 0;
  // Durable when it answers. Also stores the ticket's revision.
  virtual Result<void> set_state(const std::string& ticket_id, TicketState state,
                                 unsigned revision) = 0;
  // The state after the event (core/scan_ticket.h), read and written in one step, durable.
  // kConflict: not possible in this state, or the ticket is at another revision.
  virtual Result<TicketState> advance(const std::string& ticket_id, unsigned revision,
                                      TicketEvent event) = 0;

  // The operator knows who else works on it, and goes on; told to the store once.
  virtual Result<void> set_take_over(const std::string& ticket_id, bool take_over) = 0;
  // A ticket that is not listed any more is fine.
  virtual Result<void> set_hold(const std::string& ticket_id, const std::optional<Hold>& hold) = 0;

  // For the link: a change is applied once, the cursor moves with it. A ticket that the store
  // closed goes when nothing was done with it here, and otherwise stays with `withdrawn` set.
  [[nodiscard]] virtual std::uint64_t cursor() = 0;
  virtual Result<void> apply(const WorklistChange& change) = 0;
  // Another store, or one restored from a backup: forget the cursor, keep local work.
  virtual Result<void> restart(const std::string& store_epoch) = 0;
  [[nodiscard]] virtual std::string store_epoch() = 0;
};

}  // namespace cusp::delivery
