// MappedFile: a file of the cache folder, in memory. Bytes are written in place; whoever makes one
// gives it its name when it is whole (keep), so that no other run sees half of it. Threads: none
// of its own. Errors: kNoSpace, kIo.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>

#include "core/result.h"

namespace cusp::bench {

class MappedFile {
 public:
  static Result<std::unique_ptr<MappedFile>> open(const std::filesystem::path& path);
  // New, of that size, under a name of this process's own beside `path`; its folder is made.
  static Result<std::unique_ptr<MappedFile>> create(const std::filesystem::path& path,
                                                    std::size_t size);
  // In memory alone.
  static std::unique_ptr<MappedFile> in_memory(std::size_t size);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // Of a created one, once.
  Result<void> keep();

  [[nodiscard]] std::byte* bytes() { return bytes_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  MappedFile() = default;
  static Result<std::unique_ptr<MappedFile>> map(const std::filesystem::path& path,
                                                 std::size_t new_size);

  std::filesystem::path part_, path_;  // of a created one
  std::byte* bytes_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace cusp::bench
