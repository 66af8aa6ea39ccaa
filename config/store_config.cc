#include "config/store_config.h"

#include "config/fits.h"
#include "config/schema.h"

namespace cusp::config {
namespace {

Schema schema_of(records::Options& o) {
  Schema schema;
  schema.title =
      "Configuration of cusp-records, the records store. Every key may be left out: its value here "
      "is the default.\n"
      "# Relative paths are relative to the folder of this file.";
  schema.keys = {
      {"clinic.name", Text{&o.clinic_name, is_label, kLabelAllowed},
       "Shown at the top of every page."},
      {"storage.data_folder", Path{&o.data_folder},
       "Holds the database and the models; back this folder up."},
      {"storage.min_free_mib",
       Whole{&o.min_free_bytes, 0, std::uint64_t{1} << 30, std::uint64_t{1} << 20},
       "No parcel is taken with less free disk space than this, MiB."},
      {"storage.scrub_days", Whole{&o.scrub_days, 0, 3650},
       "Days in which every stored file is read again and compared with its hash; 0: never. What "
       "is "
       "damaged is asked back from the station that brought it."},
      {"storage.backup_folder", Path{&o.backup_folder, true},
       "Where a backup is made each night: on another disk. Empty: none."},
      {"storage.backup_hour", Whole{&o.backup_hour, 0, 23}, "Hour of that night, local time."},
      {"web.folder", Path{&o.web_folder}, "The built pages."},
      {"web.http_port", Whole{&o.http_port, 0, 65535},
       "Port of pages and API on loopback; 0 takes a free one."},
      {"web.token_file", Path{&o.token_file, true},
       "Its first line is the secret that browsers and scripts must show; made when it is "
       "missing."},
      {"ingest.endpoint", Text{&o.ingest_endpoint, is_endpoint, kEndpointAllowed},
       "Where stations deliver; a host of * listens on every network, a port of * takes a free "
       "one."},
      {"ingest.key_stem", Path{&o.key_stem},
       "The store's key pair: the file names without .public and .secret."},
      {"ingest.stations_file", Path{&o.stations_file},
       "Who may connect: one \"id public-key role\" a line; the role is station or subscriber."},
      {"feed.endpoint", Text{&o.feed_endpoint, is_endpoint, kEndpointAllowed},
       "Where subscribers read what was delivered."},
  };
  return schema;
}

}  // namespace

Result<records::Options> load_store_config(const std::filesystem::path& file) {
  records::Options options;
  CUSP_TRY(read_into(schema_of(options), file));
  return options;
}

std::string annotated(const records::Options& options) {
  records::Options copy = options;
  return annotate(schema_of(copy));
}

}  // namespace cusp::config
