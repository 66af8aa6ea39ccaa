// The store's HTTP API under /api/v1 (API.md) and its page, as a Router: testable without a socket.
//
// Only files that a record names are served, under content types that we choose: a station can't
// make the browser run what it delivers. Threads: the router's handlers run on the HTTP thread;
// store and files outlive the router.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "core/file_system.h"
#include "http/server.h"
#include "records/records_store.h"
#include "records/upkeep.h"

namespace cusp::records {

struct ApiOptions {
  std::string clinic_name;
  std::filesystem::path data_folder;                  // holds cas/
  std::filesystem::path web_folder;                   // the built page
  std::function<delivery::GateCounts()> gate_counts;  // none: the status says nothing of ingest
  Upkeep* upkeep = nullptr;                           // null: there is none
};

http::Router make_router(RecordsStore& store, FileSystem& files, ApiOptions options);

// What the WebSocket says of a change: {"type": "record-added", "id": ...}.
std::string event_json(const StoreChange& change);

}  // namespace cusp::records
