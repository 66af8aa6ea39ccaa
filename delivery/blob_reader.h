// Reads a file of the outbox or the CAS piece by piece. Tells a file that is lost from a disk that
// can't be read just now. Threads: one at a time. Errors: kCorrupt (gone, or shorter than it was),
// kIo (anything that may pass: too many open files, no memory, a cable).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "core/result.h"

namespace cusp::delivery {

class BlobReader {
 public:
  // Opened by the first read.
  explicit BlobReader(std::filesystem::path path);
  ~BlobReader();
  BlobReader(const BlobReader&) = delete;
  BlobReader& operator=(const BlobReader&) = delete;

  // All of them.
  Result<void> read(std::uint64_t offset, std::span<std::uint8_t> bytes);

 private:
  const std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace cusp::delivery
