// CURVE key pairs (Z85 text) and the files that hold them.
//
// A secret file is mode 0600; opening one that others can read is refused. Threads: pure functions.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
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

// What a key may do at the store.
enum class Role {
  kStation,     // deliver scans, read the worklist
  kSubscriber,  // read the feed and its files
};
std::string_view to_string(Role role);

// Somebody whom the store lets in.
struct Peer {
  std::string id;  // "chair-1"
  std::string public_z85;
  Role role = Role::kStation;
};
// One "id public_key [role]" a line, '#' comments; without a role it is a station.
Result<std::vector<Peer>> load_peers(const std::filesystem::path& file);

}  // namespace cusp::delivery
