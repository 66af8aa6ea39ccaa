// What the control API says, as JSON text (API.md is its description).
// Threads: pure, but Station's on its own thread.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "core/result.h"
#include "daemon/station.h"

namespace cusp::daemon {

std::string status_json(const Station& station);
std::string devices_json(const Station& station);
std::string tickets_json(Station& station);
std::string ticket_json(const delivery::WorklistItem& item);
std::string outbox_json(const Station& station);
std::string recordings_json(const Station& station);
Result<std::string> models_json(Station& station, const std::string& ticket_id);

// What a request may hold; a key that is not known is refused. kInvalidArgument names the key.
Result<ScanTicket> ticket_from_json(std::string_view body);
struct ScanRequest {
  std::string ticket_id;  // empty: the ticket that is worked on
  std::optional<ScanStage> stage;
  std::string device;  // serial; empty: the only one
};
Result<ScanRequest> scan_request_from_json(std::string_view body);
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
