// cuspd's configuration: YAML to daemon::Options. A key that is not in the file keeps its default.
// Errors: kNotFound, kPermission, kIo for the file; kInvalidArgument as "cuspd.yaml:12: key is
// value: what is allowed". Threads: pure functions.
#pragma once

#include <filesystem>
#include <string>

#include "core/result.h"
#include "daemon/options.h"

namespace cusp::config {

Result<daemon::Options> load_station_config(const std::filesystem::path& file);

// The whole annotated file that means these options; of the defaults it is config/cuspd.yaml.
std::string annotated(const daemon::Options& options);

}  // namespace cusp::config
