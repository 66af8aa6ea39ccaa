// JournalFile: writes a scan's journal (pipeline/scan_journal.h) behind the back of the thread that
// reconstructs.
//
// Records are packed and appended by a thread of its own and flushed (fdatasync) within a second;
// a power cut costs what came after. When the disk fails or is full, the scan goes on without: what
// was written stays, problem() says why there is no more. Threads: append() from one thread at a
// time, it blocks only while the disk is a minute of scanning behind; problem() from any. Errors:
// kIo, kNoSpace name the file.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "core/bounded_queue.h"
#include "core/result.h"
#include "pipeline/scan_journal.h"

namespace cusp::daemon {

class JournalFile {
 public:
  // Replaces what is there; the folder exists.
  static Result<std::unique_ptr<JournalFile>> create(const std::filesystem::path& path,
                                                     const JournalBegin& begin);
  // Goes on behind the records that are whole.
  static Result<std::unique_ptr<JournalFile>> go_on(const std::filesystem::path& path,
                                                    std::uint64_t whole_bytes);
  ~JournalFile();  // writes what is queued
  JournalFile(const JournalFile&) = delete;
  JournalFile& operator=(const JournalFile&) = delete;

  void append(ScanRecord record);
  // Empty: all is well.
  [[nodiscard]] std::string problem() const;

 private:
  JournalFile(std::filesystem::path path, int file);
  void run();
  bool write_all(const std::vector<std::uint8_t>& bytes);
  void give_up(int cause);

  const std::filesystem::path path_;
  const int file_;
  BoundedQueue<ScanRecord> queue_;
  mutable std::mutex mutex_;
  std::string problem_;
  std::thread thread_;
};

// kNotFound, kIo; kCorrupt as read_journal() says, with the file's name.
Result<Journal> read_journal_file(const std::filesystem::path& path);

}  // namespace cusp::daemon
