// The running store: HTTP on the calling thread, ingest on one of its own, until SIGTERM or SIGINT.
// Logs events and ids, never names of patients.
#pragma once

#include "core/result.h"
#include "records/options.h"

namespace cusp::records {

// Returns after a clean stop, or says why it could not start or go on (kIo: the database broke).
Result<void> serve(const Options& options);

}  // namespace cusp::records
