#include "drivers/recording/recordings.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <optional>
#include <system_error>

namespace cusp::recording {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kWholeEnding = ".pcapng", kPartEnding = ".part.pcapng";
constexpr std::size_t kTimeLetters = 16;  // "20261122T110508Z"
constexpr std::size_t kMaxWordLetters = 64;

// For a file's name.
std::string word_of(const std::string& text) {
  std::string word = text.substr(0, kMaxWordLetters);
  for (char& c : word)
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) c = '_';
  return word.empty() ? "_" : word;
}

// "20261122T110508Z" of an RFC 3339 time.
std::string compact(WallTime time) {
  std::string text = to_rfc3339(time).substr(0, 19) + "Z";
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text;
}
std::string spread(std::string_view compact_time) {
  const auto part = [&](std::size_t at, std::size_t size) { return compact_time.substr(at, size); };
  return fmt::format("{}-{}-{}T{}:{}:{}Z", part(0, 4), part(4, 2), part(6, 2), part(9, 2),
                     part(11, 2), part(13, 2));
}

std::optional<RecordingEntry> entry_of(const fs::path& path) {
  RecordingEntry entry;
  entry.path = path;
  entry.id = path.filename().string();
  entry.state = entry.id.ends_with(kPartEnding) ? RecordingEntry::State::kPart
                                                : RecordingEntry::State::kWhole;
  const std::string_view ending =
      entry.state == RecordingEntry::State::kPart ? kPartEnding : kWholeEnding;
  if (!entry.id.ends_with(ending)) return std::nullopt;
  entry.id.resize(entry.id.size() - ending.size());
  // Somebody else's file is not ours to list or to delete.
  const std::size_t dash = entry.id.find('-', kTimeLetters + 1);
  if (entry.id.size() <= kTimeLetters || entry.id[8] != 'T' || entry.id[15] != 'Z' ||
      entry.id[kTimeLetters] != '-' || dash == std::string::npos)
    return std::nullopt;
  entry.started_at = spread(entry.id);
  entry.serial = entry.id.substr(kTimeLetters + 1, dash - kTimeLetters - 1);
  entry.what = entry.id.substr(dash + 1);
  std::error_code failure;
  entry.size_bytes = fs::file_size(path, failure);
  if (failure) return std::nullopt;
  return entry;
}

}  // namespace

std::string_view to_string(RecordingEntry::State state) {
  switch (state) {
    case RecordingEntry::State::kRunning:
      return "running";
    case RecordingEntry::State::kWhole:
      return "whole";
    case RecordingEntry::State::kPart:
      return "part";
  }
  CUSP_CHECK(false, "a recording's state without a name");
}

std::string id_of(const Recording& recording) {
  std::string id = recording.path().filename().string();
  id.resize(id.size() - kPartEnding.size());
  return id;
}

Result<std::unique_ptr<Recordings>> Recordings::open(RecordingsOptions options) {
  std::error_code failure;
  fs::create_directories(options.folder, failure);
  if (failure)
    return error(ErrorCode::kIo, "{}: can't be made: {}", options.folder.string(),
                 failure.message());
  return std::unique_ptr<Recordings>(new Recordings(std::move(options)));
}

Result<std::shared_ptr<Recording>> Recordings::begin(const std::string& serial,
                                                     const std::string& what, WallTime now) {
  const std::lock_guard lock(mutex_);
  CUSP_ASSIGN(const std::uint64_t room, make_room());
  const std::string stem = fmt::format("{}-{}-{}", compact(now), word_of(serial), word_of(what));
  std::string id = stem;
  const auto taken = [&] {
    std::error_code failure;  // what can't be looked at can't be made either: start() says so
    return fs::exists(options_.folder / (id + std::string(kPartEnding)), failure) ||
           fs::exists(options_.folder / (id + std::string(kWholeEnding)), failure);
  };
  for (int again = 2; taken(); ++again) id = fmt::format("{}_{}", stem, again);  // within a second
  CUSP_ASSIGN(auto recording, Recording::start(options_.folder / (id + std::string(kPartEnding)),
                                               {.program = options_.program,
                                                .max_file_bytes = room,
                                                .min_free_bytes = options_.min_free_bytes}));
  running_.push_back({recording, room});
  return recording;
}

void Recordings::forget_running(const Recording& recording) {
  std::erase_if(running_, [&](const Running& one) {
    const auto running = one.recording.lock();
    return running == nullptr || running.get() == &recording;
  });
}

void Recordings::discard(Recording& recording) {
  recording.close();
  const std::lock_guard lock(mutex_);
  forget_running(recording);
  std::error_code failure;  // it then goes when the next ones need its room
  fs::remove(recording.path(), failure);
}

void Recordings::remove(const std::string& id) {
  const std::lock_guard lock(mutex_);
  for (const RecordingEntry& entry : list_locked()) {
    std::error_code failure;
    if (entry.id == id && entry.state != RecordingEntry::State::kRunning)
      fs::remove(entry.path, failure);
  }
}

void Recordings::finish(Recording& recording) {
  recording.close();
  const std::lock_guard lock(mutex_);
  forget_running(recording);
  if (!recording.status().problem.empty()) return;
  std::error_code failure;  // it then keeps the name that it has
  fs::rename(recording.path(), options_.folder / (id_of(recording) + std::string(kWholeEnding)),
             failure);
}

std::vector<RecordingEntry> Recordings::list() const {
  const std::lock_guard lock(mutex_);
  return list_locked();
}

std::vector<RecordingEntry> Recordings::list_locked() const {
  std::vector<RecordingEntry> entries;
  std::error_code failure;
  for (fs::directory_iterator at(options_.folder, failure), end; !failure && at != end;
       at.increment(failure))
    if (auto entry = entry_of(at->path())) entries.push_back(std::move(*entry));
  std::ranges::sort(entries, {}, &RecordingEntry::id);
  for (const Running& one : running_)
    if (const auto recording = one.recording.lock())
      for (RecordingEntry& entry : entries)
        if (entry.path == recording->path()) entry.state = RecordingEntry::State::kRunning;
  return entries;
}

Result<std::uint64_t> Recordings::make_room() {
  std::erase_if(running_, [](const Running& one) { return one.recording.expired(); });
  const auto entries = list_locked();
  std::uint64_t reserved = 0;  // what those that are still written may come to
  for (const Running& one : running_) reserved += one.max_bytes;
  std::uint64_t finished = 0, written = 0;
  const RecordingEntry* newest = nullptr;  // of the finished ones
  for (const RecordingEntry& entry : entries) {
    const bool runs = entry.state == RecordingEntry::State::kRunning;
    (runs ? written : finished) += entry.size_bytes;
    if (!runs) newest = &entry;
  }
  const auto room = [&] {
    const std::uint64_t taken = reserved + finished;
    return std::min(options_.max_bytes / 2,
                    options_.max_bytes - std::min(options_.max_bytes, taken));
  };
  const auto disk_is_full = [&] {
    struct statvfs disk {};
    if (::statvfs(options_.folder.c_str(), &disk) != 0) return false;
    return std::uint64_t{disk.f_bavail} * disk.f_frsize < options_.min_free_bytes;
  };
  for (const RecordingEntry& entry : entries) {
    const bool fits =
        written + finished <= options_.max_bytes / 2 && room() >= options_.max_bytes / 4;
    if (fits && !disk_is_full()) break;
    if (entry.state == RecordingEntry::State::kRunning) continue;
    // The newest goes only when it alone is too big, as after the limit was lowered.
    if (&entry == newest && entry.size_bytes <= options_.max_bytes / 2) continue;
    std::error_code failure;
    if (fs::remove(entry.path, failure)) finished -= std::min(finished, entry.size_bytes);
  }
  if (room() == 0)
    return error(ErrorCode::kNoSpace,
                 "{}: {} recordings are being written, and the limit of {} MiB leaves no room for "
                 "another one",
                 options_.folder.string(), running_.size(), options_.max_bytes >> 20);
  return room();
}

}  // namespace cusp::recording
