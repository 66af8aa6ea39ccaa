#include "delivery/station_registry.h"

#include <sys/stat.h>

#include "delivery/keys.h"

namespace cusp::delivery {

Result<std::unique_ptr<StationRegistry>> StationRegistry::load(const std::filesystem::path& file) {
  std::unique_ptr<StationRegistry> registry(new StationRegistry(file));
  registry->stamp_ = stamp_of(file);
  CUSP_TRY(registry->read());
  return registry;
}

StationRegistry::Stamp StationRegistry::stamp_of(const std::filesystem::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return {};
  return {info.st_ino, static_cast<std::uint64_t>(info.st_size), info.st_mtim.tv_sec,
          info.st_mtim.tv_nsec};
}

Result<void> StationRegistry::read() {
  CUSP_ASSIGN(const auto stations, load_station_keys(file_));
  station_by_key_.clear();
  for (const StationKey& station : stations)
    station_by_key_.emplace(station.public_z85, station.station_id);
  return {};
}

std::optional<std::string> StationRegistry::station_of(const std::string& public_z85) {
  const std::lock_guard lock(mutex_);
  const auto found = station_by_key_.find(public_z85);
  if (found == station_by_key_.end()) return std::nullopt;
  return found->second;
}

void StationRegistry::refresh() {
  const std::lock_guard lock(mutex_);
  const Stamp now = stamp_of(file_);
  if (now == stamp_) return;
  stamp_ = now;
  const auto done = read();
  problem_ = done.ok() ? "" : done.error().message;
}

std::string StationRegistry::problem() {
  const std::lock_guard lock(mutex_);
  return problem_;
}

}  // namespace cusp::delivery
