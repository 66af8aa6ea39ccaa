#include "delivery/part_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "core/flush_stats.h"

namespace cusp::delivery {
namespace {

Error part_error(std::string_view verb, const std::filesystem::path& path) {
  const int number = errno;
  return error(number == ENOSPC || number == EDQUOT ? ErrorCode::kNoSpace : ErrorCode::kIo,
               "can't {} {}: {}", verb, path.string(), std::generic_category().message(number));
}

// One that was finished but not moved away before the process ended.
bool make_writable(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return false;
  const bool done = ::fchmod(descriptor, 0600) == 0;
  ::close(descriptor);
  return done;
}

}  // namespace

PartFile::PartFile(std::filesystem::path path, int descriptor)
    : path_(std::move(path)), descriptor_(descriptor) {}
PartFile::PartFile(PartFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      hash_(std::move(other.hash_)),
      offset_(other.offset_),
      durable_(other.durable_) {}
PartFile& PartFile::operator=(PartFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(hash_, other.hash_);
  std::swap(offset_, other.offset_);
  std::swap(durable_, other.durable_);
  return *this;
}
PartFile::~PartFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<PartFile> PartFile::open(const std::filesystem::path& path) {
  constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
  int descriptor = ::open(path.c_str(), kFlags, 0600);
  if (descriptor < 0 && errno == EACCES && make_writable(path))
    descriptor = ::open(path.c_str(), kFlags, 0600);
  if (descriptor < 0) return part_error("open", path);
  PartFile part(path, descriptor);
  CUSP_TRY(part.hash_what_is_there());
  CUSP_TRY(part.flush());
  return part;
}

Result<void> PartFile::hash_what_is_there() {
  std::vector<std::uint8_t> buffer(1 << 20);
  while (true) {
    const ssize_t got =
        ::pread(descriptor_, buffer.data(), buffer.size(), static_cast<off_t>(offset_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return part_error("read", path_);
    if (got == 0) return {};
    hash_.update(std::span(buffer).first(static_cast<std::size_t>(got)));
    offset_ += static_cast<std::uint64_t>(got);
  }
}

Result<void> PartFile::append(std::span<const std::uint8_t> bytes) {
  std::span<const std::uint8_t> rest = bytes;
  std::uint64_t at = offset_;
  while (!rest.empty()) {
    const ssize_t written = ::pwrite(descriptor_, rest.data(), rest.size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return part_error("write", path_);
    rest = rest.subspan(static_cast<std::size_t>(written));
    at += static_cast<std::uint64_t>(written);
  }
  hash_.update(bytes);
  offset_ = at;
  if (offset_ - durable_ >= kFlushBytes) return flush();
  return {};
}

Result<void> PartFile::flush() {
  const FlushTimer timer;
  if (::fdatasync(descriptor_) != 0) return part_error("flush", path_);
  durable_ = offset_;
  return {};
}

Result<std::string> PartFile::finish() {
  const FlushTimer timer;
  if (::fchmod(descriptor_, 0400) != 0 || ::fsync(descriptor_) != 0)
    return part_error("flush", path_);
  durable_ = offset_;
  return hash_.finish_hex();
}

}  // namespace cusp::delivery
