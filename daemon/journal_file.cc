#include "daemon/journal_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>

#include "core/file_system.h"

namespace cusp::daemon {
namespace {

// A minute of scanning.
constexpr std::size_t kQueue = 512;
constexpr std::chrono::seconds kFlushEvery{1};

}  // namespace

Result<std::unique_ptr<JournalFile>> JournalFile::create(const std::filesystem::path& path,
                                                         const JournalBegin& begin) {
  const std::vector<std::uint8_t> head = journal_head(begin);
  CUSP_TRY(PosixFileSystem().write_synced(path, head));
  return go_on(path, head.size());
}

Result<std::unique_ptr<JournalFile>> JournalFile::go_on(const std::filesystem::path& path,
                                                        std::uint64_t whole_bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file < 0 || ::ftruncate(file, static_cast<off_t>(whole_bytes)) != 0) {
    const int cause = errno;
    if (file >= 0) ::close(file);
    return error(ErrorCode::kIo, "scan journal {}: it can't be gone on with: {}", path.string(),
                 std::generic_category().message(cause));
  }
  return std::unique_ptr<JournalFile>(new JournalFile(path, file));
}

JournalFile::JournalFile(std::filesystem::path path, int file)
    : path_(std::move(path)),
      file_(file),
      queue_(kQueue, WhenFull::kBlock),
      thread_([this] { run(); }) {}

JournalFile::~JournalFile() {
  queue_.close();
  thread_.join();
  ::close(file_);
}

void JournalFile::append(ScanRecord record) { queue_.push(std::move(record)); }

std::string JournalFile::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

void JournalFile::run() {
  auto flushed_at = std::chrono::steady_clock::now();
  bool dirty = false;
  const auto flush = [&] {
    if (dirty && ::fdatasync(file_) != 0) give_up(errno);
    dirty = false;
    flushed_at = std::chrono::steady_clock::now();
  };
  for (;;) {
    const auto record = dirty ? queue_.pop_for(kFlushEvery) : queue_.pop();
    if (!record && !dirty) return;
    if (record && problem().empty()) dirty = write_all(journal_bytes(*record)) || dirty;
    if (!record || std::chrono::steady_clock::now() - flushed_at >= kFlushEvery) flush();
  }
}

bool JournalFile::write_all(const std::vector<std::uint8_t>& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written = ::write(file_, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      give_up(errno);
      return done > 0;
    }
    done += static_cast<std::size_t>(written);
  }
  return true;
}

void JournalFile::give_up(int cause) {
  const std::lock_guard lock(mutex_);
  if (!problem_.empty()) return;
  problem_ = fmt::format("scan journal {}: {}: the scan goes on, but would not survive a crash",
                         path_.string(), std::generic_category().message(cause));
}

Result<Journal> read_journal_file(const std::filesystem::path& path) {
  CUSP_ASSIGN(const auto bytes, PosixFileSystem().read(path));
  auto journal = read_journal(bytes);
  if (!journal.ok())
    return error(journal.error().code, "{}: {}", path.string(), journal.error().message);
  return journal;
}

}  // namespace cusp::daemon
