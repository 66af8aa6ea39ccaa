#include "config/station_config.h"

#include "config/fits.h"
#include "config/schema.h"

namespace cusp::config {
namespace {

bool is_log_level(std::string_view text) {
  return text == "debug" || text == "info" || text == "warn" || text == "error";
}

Keys keys_of(daemon::DeviceProfile& profile) {
  StreamMode& mode = profile.mode;
  ReconstructionOptions& r = profile.reconstruction;
  return {
      {"stream.width_px", Whole{&mode.width_px, 0, 4096},
       "Width of the picture; 0: the first mode that the device offers."},
      {"stream.height_px", Whole{&mode.height_px, 0, 4096},
       "Height of the picture; 0 with a width of 0."},
      {"stream.rate_hz", Number{&mode.rate_hz, 0, 300}, "Frames a second; 0 with a width of 0."},
      {"reconstruction.voxel_mm", Number{&r.voxel_mm, 0.02, 50},
       "Edge of a volume cell; finer shows more and costs memory with its square."},
      {"reconstruction.truncation_voxels", Number{&r.truncation_voxels, 2, 16},
       "How far around the surface cells are kept, in cells."},
      {"reconstruction.min_depth_mm", Number{&r.min_depth_mm, 1, 20000},
       "Nearer than this is not measured by the device."},
      {"reconstruction.max_depth_mm", Number{&r.max_depth_mm, 2, 20000},
       "Farther than this is background."},
      {"reconstruction.max_volume_mib",
       Whole{&r.max_volume_bytes, 16, 65536, std::uint64_t{1} << 20},
       "Memory that one scan's volume may take, MiB."},
      {"reconstruction.threads", Whole{&r.threads, 1, 64}, "Threads that work on one frame."},
      {"reconstruction.hair_at", Number{&r.hair_at, 0, kMostHairAt},
       "Of a face: what is measured so many times as roughly as skin is hair and goes from the "
       "model; 0: hair stays."},
  };
}

Schema schema_of(daemon::Options& o) {
  Schema schema;
  schema.title =
      "Configuration of cuspd, the capture station. Every key may be left out: its value here is "
      "the default.\n"
      "# Relative paths are relative to the folder of this file. Check a file with: cuspd --check "
      "--config FILE";
  schema.keys = {
      {"station.id", Text{&o.station_id, is_identifier, kIdentifierAllowed},
       "This station's name, as the store's list of stations has it."},
      {"station.data_folder", Path{&o.data_folder},
       "Holds the worklist, finished stages and the outbox; back it up with the disk."},
      {"station.reserve_mib",
       Whole{&o.reserve_bytes, 0, std::uint64_t{1} << 30, std::uint64_t{1} << 20},
       "Disk space that is held back in the data folder, MiB: a scan that started can be saved "
       "though "
       "the disk filled up meanwhile. When it can't be held back no scan starts."},
      {"station.log_level", Text{&o.log_level, is_log_level, "debug, info, warn or error"},
       "How much is logged."},
      {"control.socket", Path{&o.control_socket},
       "Unix socket of the control API; whoever may open it may scan."},
      {"control.http_port", Whole{&o.http_port, 0, 65535},
       "Port of the control API on loopback for the operator console; 0: none."},
      {"control.token_file", Path{&o.token_file, true},
       "Secret that the console must show; made when it is missing. Empty: control.token in the "
       "data folder."},
      {"store.endpoint", Text{&o.store_endpoint, is_endpoint, kEndpointAllowed},
       "Where the records store takes parcels."},
      {"store.key_stem", Path{&o.key_stem},
       "This station's key pair: the file names without .public and .secret."},
      {"store.public_key", Path{&o.store_public_key}, "The store's public key."},
      {"outbox.keep_days", Whole{&o.keep_days, 0, 3650},
       "Days for which files of delivered parcels stay here; then they go once the store has read "
       "its own again. A store that comes back from a backup gets them from here."},
      {"outbox.keep_newest", Whole{&o.keep_newest, 0, 100'000},
       "Of so many deliveries the files stay however old they are."},
      {"scan.frame_queue", Whole{&o.frame_queue, 1, 64},
       "Frames that may wait for reconstruction; beyond that the oldest is dropped and counted."},
      {"recordings.max_mib",
       Whole{&o.max_recordings_bytes, 0, std::uint64_t{1} << 30, std::uint64_t{1} << 20},
       "Disk space for recordings of scans, MiB; the oldest go first, and one scan may take half. "
       "0: scans are not recorded."},
      {"finish.min_component_share", Number{&o.model.finish.min_component_share, 0, 1},
       "Islands with less area than this share of the largest one are removed."},
      {"finish.target_triangles", Whole{&o.model.finish.target_triangles, 0, 100000000},
       "Decimate models to about this many triangles; 0: keep all."},
      {"finish.max_error_mm", Number{&o.model.finish.max_error_mm, 0, 10},
       "Decimate no further than to this distance from the model as it was, mm; 0: no limit, and "
       "without a number of triangles no decimation."},
      {"finish.smooth_sigma_mm", Number{&o.model.finish.smooth_sigma_mm, 0, 10},
       "Noise that smoothing may take off, mm: no point moves further than three times this. 0: "
       "models are not smoothed."},
      {"finish.max_hole_mm", Number{&o.model.finish.max_hole_mm, 0, 100},
       "Fill holes up to this wide, mm, and mark them as filled; 0: none."},
      {"finish.base_mm", Number{&o.model.base_mm, 0, 50},
       "Save each jaw on a base as well, a closed solid to be printed, with walls of this height, "
       "mm; 0: no base."},
  };
  Family family;
  family.group = "profiles";
  family.template_name = "default";
  family.doc =
      "How a device is run, by its model as \"cuspctl devices\" shows it, else by its driver; "
      "\"default\" is\n"
      "# for all others. Stages of a face take \"NAME face\" of the device, or \"face\", first. A "
      "name that is\n"
      "# added here begins with the values of \"default\".";
  family.keys_of = [&o](const std::string& name) {
    return keys_of(o.profiles.try_emplace(name, o.profiles["default"]).first->second);
  };
  for (const auto& [name, profile] : o.profiles) family.names.push_back(name);
  family.problem_of = [&o](const std::string& name) -> std::optional<std::string> {
    const ReconstructionOptions& r = o.profiles.at(name).reconstruction;
    if (!is_label(name)) return fmt::format("a model's name is {}", kLabelAllowed);
    const StreamMode& mode = o.profiles.at(name).mode;
    const bool first_mode = mode.width_px == 0 && mode.height_px == 0 && mode.rate_hz == 0;
    if (!first_mode && (mode.width_px < 16 || mode.height_px < 16 || mode.rate_hz < 1))
      return fmt::format("no stream has {}x{} px at {} Hz; 0, 0 and 0 take the first that there is",
                         mode.width_px, mode.height_px, mode.rate_hz);
    if (r.min_depth_mm < r.max_depth_mm) return std::nullopt;
    return fmt::format("min_depth_mm {} must be below max_depth_mm {}", r.min_depth_mm,
                       r.max_depth_mm);
  };
  schema.family = std::move(family);
  return schema;
}

}  // namespace

Result<daemon::Options> load_station_config(const std::filesystem::path& file) {
  daemon::Options options;
  CUSP_TRY(read_into(schema_of(options), file));
  return options;
}

std::string annotated(const daemon::Options& options) {
  daemon::Options copy = options;
  return annotate(schema_of(copy));
}

}  // namespace cusp::config
