// Upkeep: what a store does for itself while it serves: reads every file again within some weeks
// (scrub), and makes a backup each night.
//
// A file that is damaged or gone is set aside and marked; stations that still hold it bring it
// again (delivery/cas.h). The scrub goes on where it was when the program ends. Threads: one of its
// own, from start to end; the other verbs from any. It logs nothing: events go to the listener, on
// its thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/clock.h"
#include "core/file_system.h"
#include "records/backup.h"
#include "records/records_store.h"

namespace cusp::records {

struct UpkeepOptions {
  std::filesystem::path data_folder;
  int scrub_days = 30;                  // for all files once; 0: never
  std::filesystem::path backup_folder;  // empty: no backups
  int backup_hour = 2;                  // of the local day
};

struct UpkeepStatus {
  std::uint64_t files_read = 0;  // since the program started
  std::uint64_t files_damaged = 0;
  std::optional<BackupReport> last_backup;
  std::string last_backup_at;  // RFC 3339; of a snapshot of before, too
  std::string problem;         // of the last backup or scrub; empty: none
};

class Upkeep {
 public:
  enum class Event { kFileDamaged, kBackedUp, kProblem };
  using Listener = std::function<void(Event, const std::string& detail)>;

  Upkeep(UpkeepOptions options, RecordsStore& store, FileSystem& files, const Clock& clock,
         Listener listener);
  // Until then nothing happens by itself.
  void start();
  // A backup as soon as possible. kUnsupported: there is no backup folder.
  Result<void> back_up_now();
  [[nodiscard]] UpkeepStatus status() const;

  // What the thread does again and again.
  Result<void> scrub_next();
  Result<void> back_up();
  // When the next backup is due, after one at `last`.
  static WallTime next_backup(WallTime last, int hour);

 private:
  void run(const std::stop_token& stop);
  [[nodiscard]] std::chrono::milliseconds pause_after_file() const;
  void tell(Event event, const std::string& detail);

  const UpkeepOptions options_;
  RecordsStore& store_;
  FileSystem& files_;
  const Clock& clock_;
  const Listener listener_;
  std::stop_token stop_;
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  UpkeepStatus status_;
  bool backup_wanted_ = false;
  std::uint64_t last_file_bytes_ = 0;
  std::jthread thread_;
};

}  // namespace cusp::records
