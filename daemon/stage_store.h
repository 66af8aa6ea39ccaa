// StageStore: finished stages on the station's disk until their ticket's parcel is in the outbox,
// so that a crash never costs a stage that was done.
//
// Layout: <folder>/<ticket id>/<stage>/ holds the stage's files, named by their hash, and
// stage.json, which is written last and makes them count; a redo replaces it in one rename. What
// does not match its hash is not loaded. <folder>/<ticket id>/journals/ holds the journals of scans
// (pipeline/scan_journal.h), of finished ones too, as long as their ticket is here. Threads: verbs
// from any thread, but what writes one at a time for one ticket. A load() beside a save() or
// forget() of the same stage sees the old model, the new one, or none.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/file_system.h"
#include "core/scan_ticket.h"
#include "delivery/outbox.h"
#include "delivery/parcel.h"
#include "drivers/driver.h"

namespace cusp::daemon {

struct FinishedStage {
  delivery::StageStatement statement;
  DeviceInfo device;
  std::string calibration_id;
  std::string started_at, finished_at;  // RFC 3339
  std::string recording_id;             // on this station; empty: it was not recorded
  // Why its poses are those of the scan, not adjusted at its end; empty: they are. Said once, not
  // stored.
  std::string not_adjusted{};
  std::string no_base{};  // why it has none although one was asked for; said once, too
};

class StageStore {
 public:
  StageStore(std::filesystem::path folder, FileSystem& files)
      : folder_(std::move(folder)), files_(files) {}

  // Durable when it answers ok; an earlier model of the stage counts until then.
  Result<void> save(const std::string& ticket_id, const FinishedStage& stage,
                    const std::vector<delivery::OutboxFile>& files);
  // What is whole, in the order of ScanStage; `problems` says what is not.
  struct Loaded {
    std::vector<FinishedStage> stages;
    std::vector<std::string> problems;
  };
  enum class Check { kSizes, kBytes };  // kBytes reads every file
  [[nodiscard]] Loaded load(const std::string& ticket_id, Check check);
  // It has a model, whole or damaged.
  [[nodiscard]] bool has(const std::string& ticket_id, ScanStage stage) const;
  Result<std::vector<delivery::OutboxFile>> read_files(const std::string& ticket_id,
                                                       const FinishedStage& stage);
  [[nodiscard]] std::filesystem::path file_path(const std::string& ticket_id, ScanStage stage,
                                                const delivery::BlobRef& blob) const;
  void forget(const std::string& ticket_id);

  // A name for the journal of a scan that begins; its folder is there.
  Result<std::filesystem::path> new_journal(const std::string& ticket_id, ScanStage stage);
  struct JournalEntry {
    ScanStage stage = ScanStage::kUpper;
    std::filesystem::path path;
  };
  // The last written one of each stage, the last written of all at the end.
  [[nodiscard]] std::vector<JournalEntry> journals(const std::string& ticket_id) const;
  // Tickets with a folder here.
  [[nodiscard]] std::vector<std::string> tickets() const;

 private:
  [[nodiscard]] std::filesystem::path stage_folder(const std::string& ticket_id,
                                                   ScanStage stage) const;
  Result<FinishedStage> load_stage(const std::string& ticket_id, ScanStage stage, Check check);

  std::filesystem::path folder_;
  FileSystem& files_;
};

}  // namespace cusp::daemon
