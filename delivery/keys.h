// CURVE key pairs (Z85 text) and the files that hold them.
//
// A secret file is mode 0600; opening one that others can read is refused. Threads: pure functions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/result.h"

namespace cusp::delivery {

struct KeyPair {
  std::string public_z85;  // 40 characters
  std::string secret_z85;
};

KeyPair make_key_pair();
// <stem>.public and <stem>.secret; refuses to replace an existing secret.
Result<void> save_key_pair(const std::filesystem::path& stem, const KeyPair& pair);
Result<KeyPair> load_key_pair(const std::filesystem::path& stem);
Result<std::string> load_public_key(const std::filesystem::path& file);

// A station that the store lets in.
struct StationKey {
  std::string station_id;
  std::string public_z85;
};
// One "station_id public_key" a line, '#' comments.
Result<std::vector<StationKey>> load_station_keys(const std::filesystem::path& file);

}  // namespace cusp::delivery
