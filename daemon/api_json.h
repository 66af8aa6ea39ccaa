// What the control API says, as JSON text (API.md is its description).
// Threads: pure, but Station's on its own thread.
#pragma once

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

}  // namespace cusp::daemon
