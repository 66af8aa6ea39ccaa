// The control API of cuspd (API.md): commands and questions of the operator's tools, as routes.
// Errors leave as problem+json. Threads: as Station, whose thread runs the handlers; none of them
// waits for a device, a mesh or the network: a photo is answered later.
#pragma once

#include "daemon/station.h"
#include "http/server.h"

namespace cusp::daemon {

// The station must outlive the router.
http::Router make_control_router(Station& station);

inline constexpr const char* kEventsPath = "/api/v1/events";

}  // namespace cusp::daemon
