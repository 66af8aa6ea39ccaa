#include "delivery/peer_registry.h"

#include <sys/stat.h>

namespace cusp::delivery {

Result<std::unique_ptr<PeerRegistry>> PeerRegistry::load(const std::filesystem::path& file) {
  std::unique_ptr<PeerRegistry> registry(new PeerRegistry(file));
  registry->stamp_ = stamp_of(file);
  CUSP_TRY(registry->read());
  return registry;
}

PeerRegistry::Stamp PeerRegistry::stamp_of(const std::filesystem::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return {};
  return {info.st_ino, static_cast<std::uint64_t>(info.st_size), info.st_mtim.tv_sec,
          info.st_mtim.tv_nsec};
}

Result<void> PeerRegistry::read() {
  CUSP_ASSIGN(const auto peers, load_peers(file_));
  peer_by_key_.clear();
  for (const Peer& peer : peers) peer_by_key_.emplace(peer.public_z85, peer);
  return {};
}

std::optional<Peer> PeerRegistry::peer_of(const std::string& public_z85) {
  const std::lock_guard lock(mutex_);
  const auto found = peer_by_key_.find(public_z85);
  if (found == peer_by_key_.end()) return std::nullopt;
  return found->second;
}

void PeerRegistry::refresh() {
  const std::lock_guard lock(mutex_);
  const Stamp now = stamp_of(file_);
  if (now == stamp_) return;
  stamp_ = now;
  const auto done = read();
  problem_ = done.ok() ? "" : done.error().message;
}

std::string PeerRegistry::problem() {
  const std::lock_guard lock(mutex_);
  return problem_;
}

}  // namespace cusp::delivery
