// Private to delivery: who a CURVE key belongs to, read again when the file changes.
//
// A file that can't be read keeps the last good list (a half-written edit must not lock the clinic
// out) and says so in problem(). Threads: all verbs from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "delivery/keys.h"

namespace cusp::delivery {

class PeerRegistry {
 public:
  static Result<std::unique_ptr<PeerRegistry>> load(const std::filesystem::path& file);

  [[nodiscard]] std::optional<Peer> peer_of(const std::string& public_z85);
  // Looks whether the file changed.
  void refresh();
  [[nodiscard]] std::string problem();

  void count_refusal() { ++refusals_; }
  [[nodiscard]] std::uint64_t refusals() const { return refusals_; }

 private:
  struct Stamp {
    std::uint64_t inode = 0, size = 0;
    std::int64_t seconds = 0, nanoseconds = 0;
    bool operator==(const Stamp&) const = default;
  };
  explicit PeerRegistry(std::filesystem::path file) : file_(std::move(file)) {}
  static Stamp stamp_of(const std::filesystem::path& file);
  Result<void> read();

  const std::filesystem::path file_;
  std::mutex mutex_;
  std::map<std::string, Peer> peer_by_key_;
  Stamp stamp_;
  std::string problem_;
  std::atomic<std::uint64_t> refusals_{0};
};

}  // namespace cusp::delivery
