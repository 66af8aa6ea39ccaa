#include "delivery/blob_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace cusp::delivery {

BlobReader::BlobReader(std::filesystem::path path) : path_(std::move(path)) {}

BlobReader::~BlobReader() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> BlobReader::read(std::uint64_t offset, std::span<std::uint8_t> bytes) {
  const auto failed = [this](int number) {
    return error(number == ENOENT ? ErrorCode::kCorrupt : ErrorCode::kIo, "can't read {}: {}",
                 path_.string(), std::generic_category().message(number));
  };
  if (descriptor_ < 0) descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) return failed(errno);
  while (!bytes.empty()) {
    const ssize_t got =
        ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(errno);
    if (got == 0) return error(ErrorCode::kCorrupt, "{} is shorter than it was", path_.string());
    offset += static_cast<std::uint64_t>(got);
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

}  // namespace cusp::delivery
