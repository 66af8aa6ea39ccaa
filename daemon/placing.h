// Placing: how the finished models of a ticket lie in one another, and where its jaws meet.
//
// Each statement gets its model's place (pipeline/place.h); a jaw of two whose bite was scanned
// also gets a file of the role "bite": of each vertex of its PLY the distance to the other jaw
// (pipeline/bite.h). What an earlier revision said of both is taken away first. Models that have no
// place are saved as they are. Threads: no shared state; the caller's.
#pragma once

#include <string>
#include <vector>

#include "core/pose.h"
#include "daemon/stage_store.h"
#include "delivery/outbox.h"

namespace cusp::daemon {

struct Placing {
  std::vector<std::string> problems;  // sentences: models that should lie in another, and do not
  std::vector<delivery::OutboxFile> files;  // that are new in the statements
};

delivery::RigidRows to_rows(const RigidTransform& motion);

// `statements` are those of models in `stages`.
Placing place_in_one_another(const std::string& ticket_id, const StageStore& stages,
                             std::vector<delivery::StageStatement>& statements);

}  // namespace cusp::daemon
