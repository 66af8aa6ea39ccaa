#include "core/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/flush_stats.h"

namespace cusp {
namespace {

namespace fs = std::filesystem;

Error system_error(const char* verb, const fs::path& path, int number) {
  const ErrorCode code = number == ENOENT                       ? ErrorCode::kNotFound
                         : number == ENOSPC || number == EDQUOT ? ErrorCode::kNoSpace
                         : number == EACCES || number == EPERM || number == EROFS
                             ? ErrorCode::kPermission
                             : ErrorCode::kIo;
  return error(code, "can't {} {}: {}", verb, path.string(),
               std::generic_category().message(number));
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return number_; }
  [[nodiscard]] bool open() const { return number_ >= 0; }

 private:
  int number_;
};

Result<void> sync_folder(const fs::path& folder) {
  const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.open()) return system_error("open folder", folder, errno);
  const FlushTimer timer;
  if (::fsync(fd.get()) != 0) return system_error("flush folder", folder, errno);
  return {};
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

Result<void> write_all(const Descriptor& fd, const fs::path& path,
                       std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd.get(), bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return system_error("write", path, errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Result<void> PosixFileSystem::write_synced(const fs::path& path,
                                           std::span<const std::uint8_t> bytes) {
  static std::atomic<unsigned> counter{0};
  fs::path temporary = path;
  temporary += fmt::format(".{}-{}.tmp", ::getpid(), counter++);

  const auto write_temporary = [&]() -> Result<void> {
    const Descriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
    if (!fd.open()) return system_error("create", temporary, errno);
    CUSP_TRY(write_all(fd, temporary, bytes));
    const FlushTimer timer;
    if (::fsync(fd.get()) != 0) return system_error("flush", temporary, errno);
    return {};
  };
  Result<void> done = write_temporary();
  if (done.ok()) done = rename_synced(temporary, path);
  if (!done.ok()) ::unlink(temporary.c_str());
  return done;
}

Result<std::vector<std::uint8_t>> PosixFileSystem::read(const fs::path& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.open()) return system_error("open", path, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_error("look at", path, errno);
  if (!S_ISREG(info.st_mode))
    return error(ErrorCode::kInvalidArgument, "{} is not a regular file", path.string());
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(info.st_size));
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = ::read(fd.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0) {
      if (errno == EINTR) continue;
      return system_error("read", path, errno);
    }
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

Result<void> PosixFileSystem::rename_synced(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return system_error("move", from, errno);
  CUSP_TRY(sync_folder(folder_of(to)));
  if (folder_of(from) != folder_of(to)) CUSP_TRY(sync_folder(folder_of(from)));
  return {};
}

Result<void> PosixFileSystem::remove(const fs::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_error("remove", path, errno);
  return {};
}

Result<std::vector<std::string>> PosixFileSystem::list(const fs::path& folder) {
  std::error_code failed;
  std::vector<std::string> names;
  fs::directory_iterator entry(folder, failed);
  for (; !failed && entry != fs::directory_iterator(); entry.increment(failed)) {
    std::error_code unreadable;
    if (entry->is_regular_file(unreadable)) names.push_back(entry->path().filename().string());
  }
  if (failed) return system_error("list", folder, failed.value());
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> PosixFileSystem::make_folder(const fs::path& folder) {
  // Each new level is flushed into its parent, or a power cut takes the whole branch away.
  std::vector<fs::path> missing;
  for (fs::path level = folder.lexically_normal(); !level.empty(); level = level.parent_path()) {
    std::error_code failed;
    if (fs::exists(level, failed)) break;
    missing.push_back(level);
    if (level == level.parent_path()) break;
  }
  for (auto level = missing.rbegin(); level != missing.rend(); ++level) {
    if (level->filename().empty()) continue;
    if (::mkdir(level->c_str(), 0750) != 0 && errno != EEXIST)
      return system_error("make folder", *level, errno);
    CUSP_TRY(sync_folder(folder_of(*level)));
  }
  std::error_code failed;
  if (!fs::is_directory(folder, failed))
    return error(ErrorCode::kIo, "{} is in the way: it is not a folder", folder.string());
  return {};
}

Result<std::uint64_t> PosixFileSystem::free_bytes(const fs::path& folder) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0)
    return system_error("ask for the free space of", folder, errno);
  return std::uint64_t{info.f_bavail} * info.f_frsize;
}

}  // namespace cusp
