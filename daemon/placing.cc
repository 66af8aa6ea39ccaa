#include "daemon/placing.h"

#include <algorithm>
#include <deque>

#include "pipeline/bite.h"
#include "pipeline/export.h"
#include "pipeline/finish.h"
#include "pipeline/place.h"

namespace cusp::daemon {
namespace {

constexpr std::string_view kBite = "bite";
constexpr double kBiteReachMm = 3;  // farther teeth do not meet

class Models {
 public:
  // Reads those that can be read.
  Models(const std::string& ticket_id, const StageStore& stages,
         std::vector<delivery::StageStatement>& statements, std::vector<std::string>& problems)
      : statements_(statements) {
    for (const delivery::StageStatement& statement : statements) {
      const auto ply = std::ranges::find_if(statement.blobs, [](const delivery::BlobRef& blob) {
        return blob.role == "model" && blob.media_type == "application/x-ply";
      });
      if (ply == statement.blobs.end()) continue;
      auto mesh = read_ply(stages.file_path(ticket_id, statement.stage, *ply));
      if (mesh.ok())
        models_.push_back({statement.stage, &meshes_.emplace_back(std::move(*mesh))});
      else
        problems.push_back(mesh.error().message);
    }
  }

  void place(std::vector<std::string>& problems, WorkerPool& pool) {
    placed_ = place_stages(models_, pool);
    for (std::size_t i = 0; i < placed_.size(); ++i) {
      if (placed_[i].place)
        statement_for(models_[i].stage).placement = {placed_[i].place->into,
                                                     to_rows(placed_[i].place->into_from_stage),
                                                     placed_[i].place->residual_mm};
      if (!placed_[i].problem.empty()) problems.push_back(placed_[i].problem);
    }
  }

  // Of both jaws, when one lies in the other.
  void map_bites(std::vector<delivery::OutboxFile>& files, WorkerPool& pool) {
    const auto upper = std::ranges::find(models_, ScanStage::kUpper, &StageModel::stage);
    const auto lower = std::ranges::find(models_, ScanStage::kLower, &StageModel::stage);
    if (upper == models_.end() || lower == models_.end()) return;
    const auto& place = placed_[static_cast<std::size_t>(lower - models_.begin())].place;
    if (!place || place->into != ScanStage::kUpper) return;
    const RigidTransform& upper_from_lower = place->into_from_stage;
    add(*upper,
        map_bite(*upper->mesh, *lower->mesh, upper_from_lower.inverse(), kBiteReachMm, pool),
        files);
    add(*lower, map_bite(*lower->mesh, *upper->mesh, upper_from_lower, kBiteReachMm, pool), files);
  }

 private:
  delivery::StageStatement& statement_for(ScanStage stage) {
    return *std::ranges::find(statements_, stage, &delivery::StageStatement::stage);
  }
  void add(const StageModel& jaw, const BiteMap& map, std::vector<delivery::OutboxFile>& files) {
    files.push_back(delivery::named_by_hash(to_bytes(map), "application/octet-stream",
                                            std::string(kBite),
                                            std::string(to_string(jaw.stage)) + ".bite"));
    statement_for(jaw.stage).blobs.push_back(files.back().blob);
  }

  std::vector<delivery::StageStatement>& statements_;
  std::deque<Mesh> meshes_;
  std::vector<StageModel> models_;
  std::vector<PlacedStage> placed_;
};

}  // namespace

delivery::RigidRows to_rows(const RigidTransform& motion) {
  delivery::RigidRows rows{};
  for (int row = 0; row < 3; ++row)
    for (int column = 0; column < 4; ++column)
      rows[static_cast<std::size_t>(4 * row + column)] = motion(row, column);
  return rows;
}

Placing place_in_one_another(const std::string& ticket_id, const StageStore& stages,
                             std::vector<delivery::StageStatement>& statements) {
  Placing placing;
  for (delivery::StageStatement& statement : statements) {
    statement.placement.reset();
    std::erase_if(statement.blobs, [](const auto& blob) { return blob.role == kBite; });
  }
  if (statements.size() < 2) return placing;
  WorkerPool pool(FinishRun{}.threads);
  Models models(ticket_id, stages, statements, placing.problems);
  models.place(placing.problems, pool);
  models.map_bites(placing.files, pool);
  return placing;
}

}  // namespace cusp::daemon
