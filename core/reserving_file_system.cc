#include "core/reserving_file_system.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace cusp {
namespace {

namespace fs = std::filesystem;

std::uint64_t size_of(const fs::path& file) {
  std::error_code missing;
  const auto size = fs::file_size(file, missing);
  return missing ? 0 : size;
}

// Blocks, not a hole: posix_fallocate allocates them on every file system.
int allocate(const fs::path& file, std::uint64_t bytes) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return errno;
  const auto before = size_of(file);
  int failed = ::posix_fallocate(descriptor, 0, static_cast<off_t>(bytes));
  if (failed == 0 && ::fsync(descriptor) != 0) failed = errno;
  if (failed != 0 && ::ftruncate(descriptor, static_cast<off_t>(before)) != 0) failed = errno;
  ::close(descriptor);
  return failed;
}

}  // namespace

ReservingFileSystem::ReservingFileSystem(FileSystem& real, fs::path reserve_file)
    : real_(real), file_(std::move(reserve_file)) {}

Result<void> ReservingFileSystem::reserve(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t held = size_of(file_);
  if (held >= bytes) return {};
  CUSP_ASSIGN(const std::uint64_t free, real_.free_bytes(file_.parent_path()));
  const int failed = free < bytes - held ? ENOSPC : allocate(file_, bytes);
  if (failed == 0) return {};
  return error(failed == ENOSPC || failed == EDQUOT ? ErrorCode::kNoSpace : ErrorCode::kIo,
               "{}: {} MiB can't be held back, {} MiB are free: {}", file_.parent_path().string(),
               bytes >> 20, (free + held) >> 20, std::generic_category().message(failed));
}

std::uint64_t ReservingFileSystem::reserved() const {
  const std::lock_guard lock(mutex_);
  return size_of(file_);
}

Result<void> ReservingFileSystem::make_room(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t held = size_of(file_);
  if (held == 0) return {};
  CUSP_ASSIGN(const std::uint64_t free, real_.free_bytes(file_.parent_path()));
  if (free >= bytes + kMarginBytes) return {};
  const std::uint64_t given = std::min(held, bytes + kMarginBytes - free);
  std::error_code failed;
  fs::resize_file(file_, held - given, failed);
  if (failed)
    return error(ErrorCode::kIo, "can't give back of {}: {}", file_.string(), failed.message());
  return {};
}

Result<void> ReservingFileSystem::write_synced(const fs::path& path,
                                               std::span<const std::uint8_t> bytes) {
  CUSP_TRY(make_room(bytes.size()));
  return real_.write_synced(path, bytes);
}

Result<std::vector<std::uint8_t>> ReservingFileSystem::read(const fs::path& path) {
  return real_.read(path);
}

Result<void> ReservingFileSystem::rename_synced(const fs::path& from, const fs::path& to) {
  return real_.rename_synced(from, to);
}

Result<void> ReservingFileSystem::remove(const fs::path& path) { return real_.remove(path); }

Result<std::vector<std::string>> ReservingFileSystem::list(const fs::path& folder) {
  return real_.list(folder);
}

Result<void> ReservingFileSystem::make_folder(const fs::path& folder) {
  CUSP_TRY(make_room(0));
  return real_.make_folder(folder);
}

Result<std::uint64_t> ReservingFileSystem::free_bytes(const fs::path& folder) {
  CUSP_ASSIGN(const std::uint64_t free, real_.free_bytes(folder));
  return free + reserved();
}

}  // namespace cusp
