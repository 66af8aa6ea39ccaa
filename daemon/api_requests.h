// What requests to the control API hold (API.md is its description).
//
// A key that is not known is refused. Errors: kInvalidArgument names the key. Threads: pure
// functions.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/scan_ticket.h"
#include "pipeline/scan_log.h"

namespace cusp::daemon {

Result<ScanTicket> ticket_from_json(std::string_view body);
struct ScanRequest {
  std::string ticket_id;  // empty: the ticket that is worked on
  std::optional<ScanStage> stage;
  std::string device;             // serial; empty: the only one
  std::optional<ScanStage> from;  // the stage whose scan is gone on from
};
Result<ScanRequest> scan_request_from_json(std::string_view body);
// {"insist"}: whether the ticket is claimed although another station works on it.
Result<bool> insists(std::string_view body);
struct UndoRequest {
  std::string ticket_id;
  std::chrono::nanoseconds span{};
};
Result<UndoRequest> undo_request_from_json(std::string_view body);
struct EditRequest {
  std::string ticket_id;
  ScanEntry edit;
};
Result<EditRequest> edit_request_from_json(std::string_view body);

}  // namespace cusp::daemon
