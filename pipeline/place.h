// place: how the models of a ticket's stages lie to one another.
//
// The lower jaw goes into the upper by its bite scans (bite.h), and they with it; a pre-operative
// scan or one with scan bodies goes into its jaw, a face into the first face. A stage that has
// nothing to go into, or can't, stays where it is; of the latter it is said why. mm. Threads: a
// pure function, uses the pool. Same meshes, same places, with any number of threads.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/mesh.h"
#include "core/pose.h"
#include "core/scan_ticket.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct StageModel {
  ScanStage stage = ScanStage::kUpper;
  const Mesh* mesh = nullptr;
};

struct StagePlace {
  ScanStage into = ScanStage::kUpper;
  RigidTransform into_from_stage = RigidTransform::Identity();
  double residual_mm = 0;  // root mean square, where the surfaces overlap
};

struct PlacedStage {
  std::optional<StagePlace> place;
  std::string problem;  // a sentence: it should have a place and has none
};

// One a model, in their order; no stage twice (CUSP_CHECK).
std::vector<PlacedStage> place_stages(std::span<const StageModel> models, WorkerPool& pool);

}  // namespace cusp
