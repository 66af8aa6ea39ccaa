// Private to delivery: a file that is still arriving at the store. It survives a restart: open()
// hashes what is there and goes on behind it, also in a file that was finished. Threads: one at a
// time. Errors: kNoSpace, kIo. After any error of a write or flush the file is given up (discard):
// a flush that is tried again may lie.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "delivery/digest.h"

namespace cusp::delivery {

class PartFile {
 public:
  // Flushed every so many bytes; the store says how far (durable_offset).
  static constexpr std::uint64_t kFlushBytes = 8 << 20;

  static Result<PartFile> open(const std::filesystem::path& path);
  PartFile(PartFile&& other) noexcept;
  PartFile& operator=(PartFile&& other) noexcept;
  ~PartFile();

  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  [[nodiscard]] std::uint64_t durable_offset() const { return durable_; }
  Result<void> append(std::span<const std::uint8_t> bytes);
  // Flushes, makes the file read-only and answers its SHA-256.
  Result<std::string> finish();

 private:
  PartFile(std::filesystem::path path, int descriptor);
  Result<void> flush();
  Result<void> hash_what_is_there();

  std::filesystem::path path_;
  int descriptor_ = -1;
  Sha256 hash_;
  std::uint64_t offset_ = 0;
  std::uint64_t durable_ = 0;
};

}  // namespace cusp::delivery
