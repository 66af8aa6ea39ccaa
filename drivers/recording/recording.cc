#include "drivers/recording/recording.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "drivers/recording/pcapng.h"

namespace cusp::recording {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
constexpr std::chrono::seconds kFlushEvery{1};
// Kept for notes when the limit of memory is reached.
constexpr std::size_t kNoteReserveBytes = std::size_t{1} << 20;
// What a block takes besides its packet and comment, at most.
constexpr std::size_t kBlockBytes = 64;

}  // namespace

struct Recording::State {
  State(std::filesystem::path file, RecordingOptions chosen, int descriptor)
      : path(std::move(file)), options(std::move(chosen)), fd(descriptor) {}
  ~State() { ::close(fd); }

  // --- the caller's side; the lock is held ---

  [[nodiscard]] bool room_for(std::size_t more, std::size_t limit) const {
    return waiting_bytes + filling.size() + more <= limit;
  }

  void end(std::string why) {
    if (!status.problem.empty()) return;
    status.problem = std::move(why);
    add(
        [&](Bytes& out) {
          append_note(out, now(), fmt::format("{}{}", kEndedNote, status.problem));
        },
        0);
  }

  // False: there is no memory left.
  template <typename Append>
  bool add(Append append, std::size_t more) {
    if (failed || closing || !room_for(more, options.memory_bytes + kNoteReserveBytes))
      return false;
    const std::size_t before = filling.size();
    append(filling);
    status.bytes += filling.size() - before;
    if (filling.size() >= kBufferBytes) hand_over();
    return true;
  }

  void hand_over() {
    waiting_bytes += filling.size();
    waiting.push_back(std::exchange(filling, take_spare()));
    changed.notify_one();
  }
  Bytes take_spare() {
    Bytes buffer;
    if (!spare.empty()) {
      buffer = std::move(spare.back());
      spare.pop_back();
    }
    buffer.reserve(kBufferBytes + kBufferBytes / 2);
    return buffer;
  }

  [[nodiscard]] std::chrono::nanoseconds now() const {
    return wall_start + (std::chrono::steady_clock::now() - mono_start);
  }

  // --- the writing thread ---

  void run() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait_for(lock, kFlushEvery, [&] { return closing || !waiting.empty(); });
      if (waiting.empty() && !filling.empty()) hand_over();
      if (waiting.empty()) {
        if (!closing) continue;
        written = true;
        all_written.notify_one();
        return;
      }
      Bytes buffer = std::move(waiting.front());
      waiting.pop_front();
      const bool skip = failed;
      lock.unlock();
      std::string problem = skip ? "" : write_out(buffer);
      if (problem.empty() && !skip) problem = space_problem();
      lock.lock();
      waiting_bytes -= buffer.size();
      buffer.clear();
      spare.push_back(std::move(buffer));
      if (!problem.empty()) end(problem);
    }
  }

  // A sentence when the disk refused; the file then ends with the last whole buffer.
  std::string write_out(const Bytes& buffer) {
    std::size_t done = 0;
    while (done < buffer.size()) {
      const ssize_t n = ::write(fd, buffer.data() + done, buffer.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        const std::string why = std::strerror(errno);
        // Best effort: a broken end is read as far as it is whole.
        static_cast<void>(::ftruncate(fd, static_cast<off_t>(written_bytes)));
        const std::lock_guard lock(mutex);
        failed = true;
        return fmt::format("{}: can't be written: {}", path.string(), why);
      }
      done += static_cast<std::size_t>(n);
    }
    written_bytes += buffer.size();
    return {};
  }

  [[nodiscard]] std::string space_problem() const {
    struct statvfs disk {};
    if (options.min_free_bytes == 0 || ::fstatvfs(fd, &disk) != 0) return {};
    const std::uint64_t free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
    if (free >= options.min_free_bytes) return {};
    return fmt::format("{}: only {} MiB are free on the disk", path.string(), free >> 20);
  }

  // --- the thread that makes it durable, so that the writing one need not wait for the disk ---

  void run_sync() {
    std::unique_lock lock(mutex);
    for (bool last = false; !last;) {
      all_written.wait_for(lock, kFlushEvery, [&] { return written; });
      last = written;
      lock.unlock();
      const std::string problem = sync();
      lock.lock();
      if (!problem.empty()) end(problem);
    }
  }

  // What was written survives a power loss from here on.
  [[nodiscard]] std::string sync() const {
    // Not every file can; that is no reason to stop.
    if (::fdatasync(fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS) return {};
    return fmt::format("{}: can't be made durable: {}", path.string(), std::strerror(errno));
  }

  const std::filesystem::path path;
  const RecordingOptions options;
  const int fd;
  const std::chrono::nanoseconds wall_start = std::chrono::system_clock::now().time_since_epoch();
  const MonoTime mono_start = std::chrono::steady_clock::now();

  mutable std::mutex mutex;
  std::condition_variable changed, all_written;
  Bytes filling;
  std::deque<Bytes> waiting;
  std::vector<Bytes> spare;
  std::size_t waiting_bytes = 0;
  RecordingStatus status;
  bool failed = false;  // the disk refused
  bool closing = false;
  bool written = false;  // everything, after closing

  std::uint64_t written_bytes = 0;  // the writing thread's

  std::mutex join_mutex;
  std::thread writer, syncer;
};

Recording::Recording(std::unique_ptr<State> state) : state_(std::move(state)) {}

Recording::~Recording() { close(); }

Result<std::shared_ptr<Recording>> Recording::start(const std::filesystem::path& path,
                                                    RecordingOptions options) {
  // Pictures of a patient: for this user and group alone. No earlier recording is lost to a typo.
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  std::error_code failure;
  if (fd < 0 && errno == EEXIST && std::filesystem::is_other(path, failure))
    fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);  // a pipe or a device
  else if (fd < 0 && errno == EEXIST)
    return error(ErrorCode::kConflict, "{}: is there already, and is not overwritten",
                 path.string());
  if (fd < 0)
    return error(errno == ENOSPC ? ErrorCode::kNoSpace : ErrorCode::kIo, "{}: can't be made: {}",
                 path.string(), std::strerror(errno));
  auto state = std::make_unique<State>(path, std::move(options), fd);
  state->filling = state->take_spare();
  append_file_head(state->filling, state->options.program, kUsbmonLink);
  state->status.bytes = state->filling.size();
  state->writer = std::thread([raw = state.get()] { raw->run(); });
  state->syncer = std::thread([raw = state.get()] { raw->run_sync(); });
  return std::shared_ptr<Recording>(new Recording(std::move(state)));
}

void Recording::write(UsbmonRecord record, std::span<const std::uint8_t> data,
                      std::string_view comment) {
  record.captured_bytes = static_cast<std::uint32_t>(data.size());
  const auto head = encode(record);
  const std::size_t more = kBlockBytes + head.size() + data.size() + comment.size();
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (!s.status.problem.empty() || s.closing) return;
  if (s.status.bytes + more > s.options.max_file_bytes) {
    s.end(fmt::format("{}: it reached its limit of {} MiB", s.path.string(),
                      s.options.max_file_bytes >> 20));
    return;
  }
  if (!s.room_for(more, s.options.memory_bytes)) {
    s.end(fmt::format("{}: the disk is too slow: {} MiB wait for it", s.path.string(),
                      s.waiting_bytes >> 20));
    return;
  }
  s.add([&](Bytes& out) { append_packet(out, record.since_1970, head, data, comment); }, more);
  ++s.status.records;
}

void Recording::note(std::string_view text) {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (!s.add([&](Bytes& out) { append_note(out, s.now(), text); }, text.size()) &&
      s.status.problem.empty())
    s.status.problem = fmt::format("{}: a note came too late", s.path.string());
}

std::chrono::nanoseconds Recording::since_1970(MonoTime time) const {
  return state_->wall_start + (time - state_->mono_start);
}

void Recording::close() {
  State& s = *state_;
  {
    const std::lock_guard lock(s.mutex);
    s.closing = true;
    s.changed.notify_one();
  }
  const std::lock_guard lock(s.join_mutex);
  if (s.writer.joinable()) s.writer.join();
  if (s.syncer.joinable()) s.syncer.join();
}

RecordingStatus Recording::status() const {
  const std::lock_guard lock(state_->mutex);
  return state_->status;
}

const std::filesystem::path& Recording::path() const { return state_->path; }

}  // namespace cusp::recording
