// What cusp-records needs to know; config/ fills it from YAML. Threads: value.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace cusp::records {

struct Options {
  std::string clinic_name = "My clinic";
  std::filesystem::path data_folder = "/var/lib/cusp-records";  // records.db, part/, cas/
  int scrub_days = 30;                  // to read every file again once; 0: never
  std::filesystem::path backup_folder;  // empty: no backups
  int backup_hour = 2;                  // of the local day
  std::filesystem::path web_folder = "/usr/share/cusp/web";  // the built pages

  std::uint16_t http_port = 8480;  // on loopback; 0 takes a free one
  // First line: what browsers and scripts must show; made when it is missing.
  std::filesystem::path token_file;

  std::string ingest_endpoint = "tcp://127.0.0.1:5671";
  std::string feed_endpoint = "tcp://127.0.0.1:5672";
  std::filesystem::path key_stem = "/etc/cusp/store";          // .public and .secret
  std::filesystem::path stations_file = "/etc/cusp/stations";  // who may connect
  std::uint64_t min_free_bytes = std::uint64_t{1} << 30;       // keep this much of the disk free
};

}  // namespace cusp::records
