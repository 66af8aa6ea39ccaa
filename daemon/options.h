// What cuspd needs to know; config/ fills it from YAML.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "drivers/driver.h"
#include "pipeline/finish.h"
#include "pipeline/reconstruction.h"

namespace cusp::daemon {

// How a device family is run, by its USB model.
struct DeviceProfile {
  StreamMode mode{848, 480, 30};
  ReconstructionOptions reconstruction;
};

struct Options {
  std::string station_id = "station-1";
  std::filesystem::path data_folder = "/var/lib/cuspd";   // worklist.db, outbox/, sessions/
  std::filesystem::path control_socket = "/run/cuspd/control.sock";
  std::uint16_t http_port = 0;          // loopback control API; 0: none
  std::filesystem::path token_file;     // for the loopback API; made when it is missing
  std::string log_level = "info";       // debug, info, warn, error

  std::string store_endpoint = "tcp://127.0.0.1:5671";
  std::filesystem::path key_stem = "/etc/cusp/station";          // .public and .secret
  std::filesystem::path store_public_key = "/etc/cusp/store.public";

  std::size_t frame_queue = 2;          // frames that may wait for reconstruction
  std::map<std::string, DeviceProfile> profiles;  // by DeviceInfo::model; "default" for the others
  FinishOptions finish;
  std::uint64_t min_free_bytes = std::uint64_t{2} << 30;  // below this no scan starts
};

}  // namespace cusp::daemon
