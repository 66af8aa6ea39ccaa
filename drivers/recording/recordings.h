// Recordings: a folder of recordings that never outgrows its limit, so that the last scan is always
// at hand for support.
//
// A recording may take half of the limit; before a new one begins, the oldest go until it has its
// half. The newest finished one is kept while the next is written. Where several are written at
// once, a later one gets what the earlier ones, at their full size, leave of the limit: the oldest
// go until that is a quarter of it. Neither
// they nor their files' names say anything about a patient, but what they show is one. While it is
// written, and for good when it ended early, a file is called ".part.pcapng". Threads: every verb
// from any thread. Errors: kIo, kNoSpace, kNotFound.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "drivers/recording/recording.h"

namespace cusp::recording {

struct RecordingsOptions {
  std::filesystem::path folder;
  std::uint64_t max_bytes = 0;
  std::uint64_t min_free_bytes = 0;  // that are left on the disk for other things
  std::string program;
};

struct RecordingEntry {
  enum class State {
    kRunning,
    kWhole,
    kPart,  // the disk was full or too slow, the limit was reached, or the power went
  } state = State::kWhole;
  std::string id;  // "20261122T110508Z-000000000001-upper"; sorts by time
  std::string started_at, serial, what;
  std::uint64_t size_bytes = 0;
  std::filesystem::path path;
};
std::string_view to_string(RecordingEntry::State state);
// Of a recording that begin() gave.
std::string id_of(const Recording& recording);

class Recordings {
 public:
  static Result<std::unique_ptr<Recordings>> open(RecordingsOptions options);

  // `what` is a word for the file's name: the scan stage.
  Result<std::shared_ptr<Recording>> begin(const std::string& serial, const std::string& what,
                                           WallTime now);
  // Closes it and gives it its name for good.
  void finish(Recording& recording);
  // Closes it and deletes it.
  void discard(Recording& recording);
  // Deletes a finished one; nothing when there is none of that id.
  void remove(const std::string& id);

  // Oldest first.
  [[nodiscard]] std::vector<RecordingEntry> list() const;

 private:
  explicit Recordings(RecordingsOptions options) : options_(std::move(options)) {}
  [[nodiscard]] std::vector<RecordingEntry> list_locked() const;
  // Answers how many bytes a new one may take.
  Result<std::uint64_t> make_room();
  void forget_running(const Recording& recording);

  const RecordingsOptions options_;
  mutable std::mutex mutex_;
  struct Running {
    std::weak_ptr<Recording> recording;
    std::uint64_t max_bytes = 0;
  };
  std::vector<Running> running_;
};

}  // namespace cusp::recording
