// cusp-records' configuration: YAML to records::Options. A key that is not in the file keeps its
// default. Errors and threads: as station_config.h.
#pragma once

#include <filesystem>
#include <string>

#include "core/result.h"
#include "records/options.h"

namespace cusp::config {

Result<records::Options> load_store_config(const std::filesystem::path& file);

// The whole annotated file that means these options; of the defaults it is
// config/cusp-records.yaml.
std::string annotated(const records::Options& options);

}  // namespace cusp::config
