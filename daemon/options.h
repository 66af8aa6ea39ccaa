// What cuspd needs to know. The values here are the defaults; config/ fills in what the YAML says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "drivers/driver.h"
#include "pipeline/finish.h"
#include "pipeline/reconstruction.h"

namespace cusp::daemon {

// How a device family is run.
struct DeviceProfile {
  StreamMode mode{848, 480, 30};  // width 0: the first mode that the device offers
  ReconstructionOptions reconstruction;
};

// Another D400 camera sees heads and rooms rather than teeth.
inline DeviceProfile room_scale_profile() {
  DeviceProfile profile;
  profile.mode = {640, 480, 30};
  profile.reconstruction.voxel_mm = 8.0;
  profile.reconstruction.min_depth_mm = 300.0;
  profile.reconstruction.max_depth_mm = 6000.0;
  return profile;
}

// A wand sees a tooth or two; its own working range bounds the depth further.
inline DeviceProfile wand_profile() {
  DeviceProfile profile;
  profile.mode = {0, 0, 0};
  profile.reconstruction.voxel_mm = 0.1;
  profile.reconstruction.min_depth_mm = 5.0;
  profile.reconstruction.max_depth_mm = 30.0;
  return profile;
}

// A face is 25 to 60 cm away; what lies behind it is not wanted.
inline DeviceProfile face_profile() {
  DeviceProfile profile;
  profile.mode = {640, 480, 30};
  profile.reconstruction.voxel_mm = 0.5;
  profile.reconstruction.min_depth_mm = 250.0;
  profile.reconstruction.max_depth_mm = 600.0;
  profile.reconstruction.hair_at = 2.0;
  return profile;
}

// By DeviceInfo::model, else by the driver's name; "default" is for every other model. For the
// stages of a face "face" and a name with " face" behind it come first.
inline std::map<std::string, DeviceProfile> built_in_profiles() {
  return {{"RealSense D405", DeviceProfile{}},
          {"RealSense D435", room_scale_profile()},
          {"wand", wand_profile()},
          {"face", face_profile()},
          {"default", room_scale_profile()}};
}

// How a stage's model is made.
struct ModelOptions {
  FinishOptions finish;
  double base_mm = 0;  // height of the base that a jaw is also saved on; 0: it is not
};

struct Options {
  std::string station_id = "station-1";
  std::filesystem::path data_folder = "/var/lib/cuspd";  // worklist.db, outbox/, ...
  std::filesystem::path control_socket = "/run/cuspd/control.sock";
  std::uint16_t http_port = 0;       // loopback control API; 0: none
  std::filesystem::path token_file;  // for the loopback API; made when it is missing
  std::string log_level = "info";    // debug, info, warn, error

  std::string store_endpoint = "tcp://127.0.0.1:5671";
  std::filesystem::path key_stem = "/etc/cusp/station";  // .public and .secret
  std::filesystem::path store_public_key = "/etc/cusp/store.public";

  // Files of deliveries stay so long, and of so many, though the store has its own.
  int keep_days = 7;
  std::size_t keep_newest = 50;

  std::size_t frame_queue = 2;  // frames that may wait for reconstruction
  std::map<std::string, DeviceProfile> profiles = built_in_profiles();
  ModelOptions model;
  // Held back on the disk for the models of a scan; when it can't be, no scan starts.
  std::uint64_t reserve_bytes = std::uint64_t{2} << 30;
  // Of the recordings in data_folder/recordings; 0: scans are not recorded.
  std::uint64_t max_recordings_bytes = std::uint64_t{16} << 30;
};

}  // namespace cusp::daemon
