// ReservingFileSystem: holds disk space back in a file of its own, so that what was begun can be
// saved although the disk fills up meanwhile.
//
// A write that would leave less than a margin (databases beside it grow too) gives back of the
// reserve first. Nobody else can have taken what is held back: the blocks are allocated. After a
// crash the file is still there and counts. Threads: all verbs from any thread.
#pragma once

#include <mutex>

#include "core/file_system.h"

namespace cusp {

class ReservingFileSystem final : public FileSystem {
 public:
  // Stays free, beyond what is being written.
  static constexpr std::uint64_t kMarginBytes = 16 << 20;

  // The reserve lies beside what it is for: on the same disk.
  ReservingFileSystem(FileSystem& real, std::filesystem::path reserve_file);

  // Fills the reserve up to so many bytes. kNoSpace: the disk does not have them; what was held
  // before is held still.
  Result<void> reserve(std::uint64_t bytes);
  [[nodiscard]] std::uint64_t reserved() const;

  Result<void> write_synced(const std::filesystem::path& path,
                            std::span<const std::uint8_t> bytes) override;
  Result<std::vector<std::uint8_t>> read(const std::filesystem::path& path) override;
  Result<void> rename_synced(const std::filesystem::path& from,
                             const std::filesystem::path& to) override;
  Result<void> remove(const std::filesystem::path& path) override;
  Result<std::vector<std::string>> list(const std::filesystem::path& folder) override;
  Result<void> make_folder(const std::filesystem::path& folder) override;
  // With what is held back: it is there for whoever asks here.
  Result<std::uint64_t> free_bytes(const std::filesystem::path& folder) override;

 private:
  Result<void> make_room(std::uint64_t bytes);

  FileSystem& real_;
  const std::filesystem::path file_;
  mutable std::mutex mutex_;
};

}  // namespace cusp
