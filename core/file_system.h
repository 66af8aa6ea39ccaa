// FileSystem: the few verbs that durable storage needs, so that tests can fail or forget any of
// them.
//
// Durability rule of every write: bytes and then the folder entry are flushed (fsync) before ok is
// answered. A failed fsync is final: the caller must treat the file as lost, never retry the flush
// (PostgreSQL's fsync lesson of 2018).
// Paths in errors are complete, so that a person can act on them. Threads: all calls from any
// thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"

namespace cusp {

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Creates or replaces the file: temporary name, write, fsync, rename, fsync of the folder.
  virtual Result<void> write_synced(const std::filesystem::path& path,
                                    std::span<const std::uint8_t> bytes) = 0;
  virtual Result<std::vector<std::uint8_t>> read(const std::filesystem::path& path) = 0;
  // Moves a file whose bytes are already flushed; both folders are flushed.
  virtual Result<void> rename_synced(const std::filesystem::path& from,
                                     const std::filesystem::path& to) = 0;
  // A file that is already gone is fine.
  virtual Result<void> remove(const std::filesystem::path& path) = 0;
  // Names of the regular files in a folder, sorted.
  virtual Result<std::vector<std::string>> list(const std::filesystem::path& folder) = 0;
  // With parents; existing is fine.
  virtual Result<void> make_folder(const std::filesystem::path& folder) = 0;
  virtual Result<std::uint64_t> free_bytes(const std::filesystem::path& folder) = 0;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<void> write_synced(const std::filesystem::path& path,
                            std::span<const std::uint8_t> bytes) override;
  Result<std::vector<std::uint8_t>> read(const std::filesystem::path& path) override;
  Result<void> rename_synced(const std::filesystem::path& from,
                             const std::filesystem::path& to) override;
  Result<void> remove(const std::filesystem::path& path) override;
  Result<std::vector<std::string>> list(const std::filesystem::path& folder) override;
  Result<void> make_folder(const std::filesystem::path& folder) override;
  Result<std::uint64_t> free_bytes(const std::filesystem::path& folder) override;
};

}  // namespace cusp
