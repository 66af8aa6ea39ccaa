// Backup and restore of a store on SQLite: a folder with the database as it was at one moment
// (records-<time>.db, each with a .sha256 that is written last), and beside it cas/ with every file
// that any of them names. Files never change, so the next backup copies only new ones.
//
// A backup goes on beside a running store: the database is copied in small steps, then the files;
// whatever is committed meanwhile is in the next one. A restored store has another epoch: stations
// offer again what they still hold, and files that the backup has not whole are asked back from
// them (cas.h). Threads: one backup at a time; from any thread. Errors: kNoSpace, kIo, kCorrupt,
// kConflict (the target holds a store already), kNotFound, kCancelled.
#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/file_system.h"
#include "records/records_store.h"

namespace cusp::records {

inline constexpr std::size_t kSnapshotsKept = 14;

struct BackupReport {
  std::string snapshot;  // "records-20261124-023000.db"
  std::uint64_t files = 0;
  std::uint64_t copied_files = 0;  // that were not there before
  std::uint64_t copied_bytes = 0;
  std::uint64_t damaged_files = 0;  // the store itself lost them
};
Result<BackupReport> back_up(RecordsStore& store, FileSystem& files, const Clock& clock,
                             const std::filesystem::path& data_folder,
                             const std::filesystem::path& backup_folder, std::stop_token stop);

// Whole snapshots, oldest first.
Result<std::vector<std::string>> snapshots(FileSystem& files,
                                           const std::filesystem::path& backup_folder);

// When it was made; nothing: it is no snapshot's name.
std::optional<WallTime> snapshot_time(const std::string& snapshot);

struct RestoreReport {
  std::string snapshot;
  std::uint64_t records = 0;
  std::uint64_t files = 0;
  std::uint64_t lost_files = 0;  // missing or damaged in the backup
};
// Into a folder without a store; empty `snapshot`: the newest.
Result<RestoreReport> restore(FileSystem& files, const Clock& clock,
                              const std::filesystem::path& backup_folder, std::string snapshot,
                              const std::filesystem::path& data_folder);

}  // namespace cusp::records
