// Finishing: from a scan to a durable model, and from durable models to a parcel in the outbox.
// Runs on the finish thread; each function can simply be called again after it failed. Errors:
// those of finish(), StageStore and Outbox. Threads: no shared state; the caller's.
#pragma once

#include <string>
#include <vector>

#include "core/clock.h"
#include "daemon/options.h"
#include "daemon/scan.h"
#include "daemon/stage_store.h"
#include "delivery/outbox.h"
#include "pipeline/finish.h"

namespace cusp::daemon {

// Ends the scan, refines it, cleans its mesh, grades it and finds its jaw's frame; saves PLY, STL
// and thumbnail with the scan's counts, the surface as it was measured where the model is another,
// and a jaw on a base where that is asked for. kCancelled: nothing of it was saved.
Result<FinishedStage> finish_stage(Scan& scan, const ScanTicket& ticket, ScanStage stage,
                                   const std::string& started_at, const ModelOptions& options,
                                   const FinishRun& run, StageStore& stages, const Clock& clock);

struct Origin {
  std::string config_sha256;
  std::string software_version;
};

struct Committed {
  delivery::OutboxEntry entry;
  std::vector<std::string> not_placed;  // sentences: models that should lie in another and do not
};

// Commits the ticket's finished stages, which must be exactly `expected`, placed into one another.
Result<Committed> commit_parcel(const ScanTicket& ticket, const std::vector<ScanStage>& expected,
                                const Origin& origin, StageStore& stages, delivery::Outbox& outbox);

// Brings the stages of a ticket that is in the outbox back, so that one of them can be redone.
// Those that the store has already stay as they are.
Result<void> restore_stages(const delivery::Parcel& parcel, delivery::Outbox& outbox,
                            FileSystem& files, StageStore& stages);

}  // namespace cusp::daemon
