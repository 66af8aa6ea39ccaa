#include "delivery/keys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <set>
#include <sstream>
#include <system_error>

namespace cusp::delivery {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kKeyCharacters = 40;  // 32 bytes in Z85 (ZeroMQ RFC 32)
constexpr std::size_t kMaxFileBytes = 1 << 20;

bool is_key(std::string_view text) {
  if (text.size() != kKeyCharacters) return false;
  std::array<std::uint8_t, 32> bytes{};
  return zmq_z85_decode(bytes.data(), std::string(text).c_str()) != nullptr;
}

Error file_error(std::string_view verb, const fs::path& path) {
  const int number = errno;
  const ErrorCode code = number == ENOENT   ? ErrorCode::kNotFound
                         : number == EACCES ? ErrorCode::kPermission
                                            : ErrorCode::kIo;
  return error(code, "can't {} key file {}: {}", verb, path.string(),
               std::generic_category().message(number));
}

Result<std::string> read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return file_error("open", path);
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return file_error("read", path);
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMaxFileBytes)
    return error(ErrorCode::kInvalidArgument, "key file {} is larger than 1 MiB", path.string());
  return text;
}

// The only word in the file; what it says is never shown, it may be a secret.
Result<std::string> read_key(const fs::path& path) {
  CUSP_ASSIGN(const std::string text, read_text(path));
  std::istringstream words(text);
  std::string key, more;
  words >> key;
  if (!is_key(key) || (words >> more))
    return error(ErrorCode::kInvalidArgument,
                 "key file {} does not hold one key of 40 characters (Z85)", path.string());
  return key;
}

// Written and flushed with the mode that it shall have; `flags` says what happens when it is there.
Result<void> write_key(const fs::path& path, const std::string& key, mode_t mode, int flags) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, mode);
  if (file < 0 && errno == EEXIST)
    return error(ErrorCode::kConflict,
                 "key file {} is there already: a secret is never replaced, move it away first",
                 path.string());
  if (file < 0) return file_error("create", path);
  const std::string line = key + "\n";
  const bool written =
      ::fchmod(file, mode) == 0 &&
      ::write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
      ::fsync(file) == 0;
  const Error failed = file_error("write", path);
  ::close(file);
  if (!written) return failed;
  return {};
}

fs::path with_suffix(fs::path stem, const char* suffix) { return stem += suffix; }

bool is_peer_id(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text.front() != '.' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

}  // namespace

KeyPair make_key_pair() {
  std::array<char, kKeyCharacters + 1> public_key{}, secret_key{};
  CUSP_CHECK(zmq_curve_keypair(public_key.data(), secret_key.data()) == 0,
             "libzmq was built without CURVE");
  return {public_key.data(), secret_key.data()};
}

Result<void> save_key_pair(const fs::path& stem, const KeyPair& pair) {
  CUSP_TRY(write_key(with_suffix(stem, ".secret"), pair.secret_z85, 0600, O_EXCL));
  return write_key(with_suffix(stem, ".public"), pair.public_z85, 0644, O_TRUNC);
}

Result<KeyPair> load_key_pair(const fs::path& stem) {
  const fs::path secret_file = with_suffix(stem, ".secret");
  struct stat info {};
  if (::stat(secret_file.c_str(), &info) != 0) return file_error("open", secret_file);
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return error(ErrorCode::kPermission,
                 "secret key file {} can be read by others (mode {:o}): chmod 600 it",
                 secret_file.string(), info.st_mode & 07777);
  KeyPair pair;
  CUSP_ASSIGN(pair.secret_z85, read_key(secret_file));
  CUSP_ASSIGN(pair.public_z85, read_key(with_suffix(stem, ".public")));
  std::array<char, kKeyCharacters + 1> derived{};
  if (zmq_curve_public(derived.data(), pair.secret_z85.c_str()) != 0 ||
      pair.public_z85 != derived.data())
    return error(ErrorCode::kInvalidArgument, "key files {}.public and {}.secret are not a pair",
                 stem.string(), stem.string());
  return pair;
}

Result<std::string> load_public_key(const fs::path& file) { return read_key(file); }

std::string_view to_string(Role role) {
  switch (role) {
    case Role::kStation:
      return "station";
    case Role::kSubscriber:
      return "subscriber";
  }
  CUSP_CHECK(false, "a role without a name");
}

Result<std::vector<Peer>> load_peers(const fs::path& file) {
  CUSP_ASSIGN(const std::string text, read_text(file));
  std::vector<Peer> peers;
  std::set<std::string> ids, keys;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    // '#' is a Z85 character, so a comment is a line of its own.
    std::istringstream words(line);
    Peer peer;
    std::string role, more;
    if (!(words >> peer.id) || peer.id.front() == '#') continue;
    words >> peer.public_z85 >> role;
    const auto wrong = [&](std::string_view what) {
      return error(ErrorCode::kInvalidArgument, "stations file {}, line {}: {}", file.string(),
                   number, what);
    };
    if (!is_peer_id(peer.id)) return wrong("an id is 1 to 64 of the characters A-Z a-z 0-9 - _ .");
    if (!is_key(peer.public_z85) || (words >> more))
      return wrong("expected an id, its public key of 40 characters (Z85), and its role");
    if (role == to_string(Role::kSubscriber))
      peer.role = Role::kSubscriber;
    else if (!role.empty() && role != to_string(Role::kStation))
      return wrong("a role is station or subscriber");
    // A new key for a peer replaces the old one; two at once would be two peers.
    if (!ids.insert(peer.id).second) return wrong("this id is there twice");
    if (!keys.insert(peer.public_z85).second) return wrong("this key is there twice");
    peers.push_back(std::move(peer));
  }
  return peers;
}

}  // namespace cusp::delivery
