#include "tools/bench/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/check.h"

namespace cusp::bench {
namespace {

Error told_by_system(const std::filesystem::path& path) {
  const int number = errno;
  return error(number == ENOSPC ? ErrorCode::kNoSpace : ErrorCode::kIo, "{}: {}", path.string(),
               std::strerror(number));
}

}  // namespace

Result<std::unique_ptr<MappedFile>> MappedFile::map(const std::filesystem::path& path,
                                                    std::size_t new_size) {
  const bool is_new = new_size > 0;
  const int descriptor = ::open(path.c_str(), is_new ? O_RDWR | O_CREAT | O_TRUNC : O_RDONLY, 0644);
  if (descriptor < 0) return told_by_system(path);
  auto file = std::unique_ptr<MappedFile>(new MappedFile);
  struct stat status {};
  // Room is taken at once: a full disk would else be a signal while it is written.
  int failure = is_new ? posix_fallocate(descriptor, 0, static_cast<off_t>(new_size)) : 0;
  if (failure == 0 && fstat(descriptor, &status) != 0) failure = errno;
  if (failure == 0) {
    file->size_ = static_cast<std::size_t>(status.st_size);
    void* const at = mmap(nullptr, file->size_, is_new ? PROT_READ | PROT_WRITE : PROT_READ,
                          MAP_SHARED, descriptor, 0);
    if (at == MAP_FAILED)
      failure = errno;
    else
      file->bytes_ = static_cast<std::byte*>(at);
  }
  ::close(descriptor);
  errno = failure;
  if (failure != 0) return told_by_system(path);
  return file;
}

Result<std::unique_ptr<MappedFile>> MappedFile::open(const std::filesystem::path& path) {
  return map(path, 0);
}

Result<std::unique_ptr<MappedFile>> MappedFile::create(const std::filesystem::path& path,
                                                       std::size_t size) {
  CUSP_CHECK(size > 0, "a file with something in it");
  std::error_code problem;
  std::filesystem::create_directories(path.parent_path(), problem);
  const std::filesystem::path part = path.string() + fmt::format(".{}", getpid());
  CUSP_ASSIGN(auto file, map(part, size));
  file->part_ = part;
  file->path_ = path;
  return file;
}

std::unique_ptr<MappedFile> MappedFile::in_memory(std::size_t size) {
  auto file = std::unique_ptr<MappedFile>(new MappedFile);
  void* const at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CUSP_CHECK(at != MAP_FAILED, "memory for the frames");
  file->bytes_ = static_cast<std::byte*>(at);
  file->size_ = size;
  return file;
}

Result<void> MappedFile::keep() {
  CUSP_CHECK(!part_.empty(), "a created file, once");
  std::error_code problem;
  std::filesystem::rename(part_, path_, problem);
  if (problem) return error(ErrorCode::kIo, "{}: {}", path_.string(), problem.message());
  part_.clear();
  return {};
}

MappedFile::~MappedFile() {
  if (bytes_ != nullptr) munmap(bytes_, size_);
  std::error_code ignored;
  if (!part_.empty()) std::filesystem::remove(part_, ignored);
}

}  // namespace cusp::bench
