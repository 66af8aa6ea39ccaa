#include "pipeline/place.h"

#include <algorithm>

#include "pipeline/align.h"
#include "pipeline/bite.h"

namespace cusp {
namespace {

class Placing {
 public:
  Placing(std::span<const StageModel> models, WorkerPool& pool)
      : models_(models), pool_(pool), placed_(models.size()) {
    for (const StageModel& model : models)
      CUSP_CHECK(
          model.mesh != nullptr && std::ranges::count(models, model.stage, &StageModel::stage) == 1,
          "a stage has one mesh");
  }

  std::vector<PlacedStage> run() {
    place_bites();
    place_into(ScanStage::kPreopUpper, ScanStage::kUpper);
    place_into(ScanStage::kScanBodyUpper, ScanStage::kUpper);
    place_into(ScanStage::kPreopLower, ScanStage::kLower);
    place_into(ScanStage::kScanBodyLower, ScanStage::kLower);
    place_faces();
    return std::move(placed_);
  }

 private:
  using Stages = std::vector<ScanStage>;

  [[nodiscard]] const Mesh* mesh(ScanStage stage) const {
    const auto found = std::ranges::find(models_, stage, &StageModel::stage);
    return found == models_.end() ? nullptr : found->mesh;
  }
  PlacedStage& placed(ScanStage stage) {
    const auto found = std::ranges::find(models_, stage, &StageModel::stage);
    return placed_[static_cast<std::size_t>(found - models_.begin())];
  }

  void place_into(ScanStage stage, ScanStage into) {
    const Mesh* const source = mesh(stage);
    const Mesh* const target = mesh(into);
    if (source == nullptr || target == nullptr) return;
    const auto found = align(*source, to_string(stage), *target, to_string(into), {}, pool_);
    if (found.ok())
      placed(stage).place = {into, found->target_from_source, found->residual_mm};
    else
      placed(stage).problem = found.error().message;
  }

  void place_bites() {
    Stages bites;
    for (const ScanStage stage : {ScanStage::kBiteLeft, ScanStage::kBiteRight})
      if (mesh(stage) != nullptr) bites.push_back(stage);
    const bool both = mesh(ScanStage::kUpper) != nullptr && mesh(ScanStage::kLower) != nullptr;
    if (!both) {
      const ScanStage jaw =
          mesh(ScanStage::kUpper) != nullptr ? ScanStage::kUpper : ScanStage::kLower;
      for (const ScanStage bite : bites) place_into(bite, jaw);
      return;
    }
    if (bites.empty()) return;
    const Result<void> together = place_jaws(bites);
    if (together.ok()) return;
    // One side may be no scan of this bite at all; two that contradict each other are not chosen
    // between.
    if (bites.size() == 2) {
      const Result<void> left = place_jaws({bites[0]});
      const auto by_left = placed_;
      const Result<void> right = place_jaws({bites[1]});
      if (left.ok() != right.ok()) {
        if (left.ok()) placed_ = by_left;
        const ScanStage bad = left.ok() ? bites[1] : bites[0];
        placed(bad) = {std::nullopt, left.ok() ? right.error().message : left.error().message};
        return;
      }
    }
    for (const ScanStage bite : bites) placed(bite) = {std::nullopt, together.error().message};
    placed(ScanStage::kLower) = {std::nullopt, together.error().message};
  }

  Result<void> place_jaws(const Stages& bites) {
    std::vector<std::string> names;
    for (const ScanStage bite : bites) names.emplace_back(to_string(bite));
    std::vector<BiteScan> scans;
    for (std::size_t i = 0; i < bites.size(); ++i)
      scans.push_back({mesh(bites[i]), names[i].c_str()});
    CUSP_ASSIGN(const Bite bite,
                align_bite(*mesh(ScanStage::kUpper), *mesh(ScanStage::kLower), scans, {}, pool_));
    placed(ScanStage::kLower).place = {ScanStage::kUpper, bite.upper_from_lower, bite.residual_mm};
    for (std::size_t i = 0; i < bites.size(); ++i)
      placed(bites[i]).place = {ScanStage::kUpper, bite.upper_from_bite[i], bite.residual_mm};
    return {};
  }

  void place_faces() {
    std::optional<ScanStage> first;
    for (const ScanStage face :
         {ScanStage::kFaceNeutral, ScanStage::kFaceSmile, ScanStage::kFaceRetracted}) {
      if (mesh(face) == nullptr) continue;
      if (first)
        place_into(face, *first);
      else
        first = face;
    }
  }

  std::span<const StageModel> models_;
  WorkerPool& pool_;
  std::vector<PlacedStage> placed_;
};

}  // namespace

std::vector<PlacedStage> place_stages(std::span<const StageModel> models, WorkerPool& pool) {
  return Placing(models, pool).run();
}

}  // namespace cusp
