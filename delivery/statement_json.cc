#include "delivery/statement_json.h"

namespace cusp::delivery {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

template <typename T>
std::optional<T> known(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return std::nullopt;
  return found->get<T>();
}

Json to_json(const StageQuality& quality) {
  return {{"grade", quality.grade},
          {"reasons", quality.reasons},
          {"area_mm2", quality.area_mm2},
          {"holes", quality.holes},
          {"largest_hole_mm", quality.largest_hole_mm},
          {"drift_mm", or_null(quality.drift_mm)},
          {"expected_error_mm", or_null(quality.expected_error_mm)}};
}

StageQuality quality_from(const Json& json) {
  return {.grade = json.at("grade"),
          .reasons = json.at("reasons"),
          .area_mm2 = json.at("area_mm2"),
          .holes = json.at("holes"),
          .largest_hole_mm = json.at("largest_hole_mm"),
          .drift_mm = known<double>(json, "drift_mm"),
          .expected_error_mm = known<double>(json, "expected_error_mm")};
}

Json to_json(const StagePlacement& placement) {
  return {{"into", to_string(placement.into)},
          {"into_from_stage", placement.into_from_stage},
          {"residual_mm", placement.residual_mm}};
}

// Nothing for a stage that is not known (any more).
std::optional<StagePlacement> placement_from(const Json& json) {
  const auto into = scan_stage_from(json.at("into").get<std::string>());
  if (!into) return std::nullopt;
  return StagePlacement{.into = *into,
                        .into_from_stage = json.at("into_from_stage"),
                        .residual_mm = json.at("residual_mm")};
}

}  // namespace

Json model_json(const StageStatement& statement) {
  return {{"quality", statement.quality ? to_json(*statement.quality) : Json(nullptr)},
          {"placement", statement.placement ? to_json(*statement.placement) : Json(nullptr)},
          {"anatomical_from_stage", or_null(statement.anatomical_from_stage)}};
}

void read_model_json(const Json& json, StageStatement& statement) {
  if (const auto quality = known<Json>(json, "quality")) statement.quality = quality_from(*quality);
  if (const auto placement = known<Json>(json, "placement"))
    statement.placement = placement_from(*placement);
  statement.anatomical_from_stage = known<RigidRows>(json, "anatomical_from_stage");
}

}  // namespace cusp::delivery
