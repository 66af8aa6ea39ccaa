// The audit trail: who did what to which object, when; append-only, each row hashed with the one
// before it, so that a row that was changed, or taken out from before the last one, is noticed.
// Rows cut off at the end are not, nor a trail that was written anew from the first changed row on:
// the hashes have no key. It names objects by id; names of patients are not in it. Threads: the
// store's lock is held.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "delivery/sqlite.h"

namespace cusp::records {

struct AuditEntry {
  std::string at;      // RFC 3339
  std::string actor;   // "page" or a station
  std::string action;  // "patient-added", "record-committed", ...
  std::string object;  // id
  std::string detail;
};

// Part of the caller's transaction: the deed and its trace become durable together.
Result<void> append(delivery::Database& database, const AuditEntry& entry);

// Walks the whole chain; answers its length, or kCorrupt with the first row that does not fit.
Result<std::uint64_t> check_audit(delivery::Database& database);

}  // namespace cusp::records
