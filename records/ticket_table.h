// The rows of tickets, and the worklist that stations follow: each change of a ticket takes the
// next place in it. Inside records/ only. Threads: the store's lock is held.
#pragma once

#include "delivery/sqlite.h"
#include "delivery/worklist.h"
#include "records/values.h"

namespace cusp::records {

// "11,12" and "upper,lower" as they stand in rows.
std::string join_teeth(const std::vector<int>& teeth_fdi);
Result<std::vector<int>> split_teeth(std::string_view text);

Result<void> insert_ticket(delivery::Database& database, const Ticket& ticket);
Result<std::optional<Ticket>> ticket_by_id(delivery::Database& database, const std::string& id);
Result<Page<Ticket>> ticket_page(delivery::Database& database, std::optional<TicketStatus> status,
                                 const PageRequest& request);
// Takes it to the worklist's end.
Result<void> set_ticket_status(delivery::Database& database, const std::string& id,
                               TicketStatus status, unsigned revision);
// Gives the ticket to a station, or to nobody, and moves it to the worklist's end.
Result<void> set_hold(delivery::Database& database, const std::string& id,
                      const std::optional<delivery::Hold>& hold, const std::string& until);
// Tickets whose holder has not said anything for too long.
Result<std::vector<std::string>> held_before(delivery::Database& database, const std::string& now);
// The same station goes on.
Result<void> extend_hold(delivery::Database& database, const std::string& id,
                         const std::string& until);
Result<void> set_station_state(delivery::Database& database, const std::string& id,
                               const std::string& station_id, TicketState state);
Result<std::vector<delivery::WorklistChange>> worklist_changes(delivery::Database& database,
                                                               std::uint64_t after_seq,
                                                               std::size_t limit);

}  // namespace cusp::records
