// What a stage's statement says of its model, as JSON: alike in the APIs of both programs and on
// the station's disk. Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "delivery/parcel.h"

namespace cusp::delivery {

// {"quality", "placement", "anatomical_from_stage"}; null: not known.
nlohmann::ordered_json model_json(const StageStatement& statement);
// Reads the same back; what is missing is not known. Throws json::exception on another shape.
void read_model_json(const nlohmann::ordered_json& json, StageStatement& statement);

}  // namespace cusp::delivery
