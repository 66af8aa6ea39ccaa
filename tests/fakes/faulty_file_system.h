// A file system that fails, or only pretends, from outside: the n-th call answers an error, or
// answers ok and does nothing (a disk that lies). Everything else goes to the real one.
#pragma once

#include <optional>

#include "core/file_system.h"

namespace cusp::fakes {

enum class Fault { kFails, kForgets };

class FaultyFileSystem final : public FileSystem {
 public:
  // The n-th call from now on (1 is the next) that changes something.
  void break_call(int n, Fault fault, ErrorCode code = ErrorCode::kIo) {
    calls_ = 0;
    broken_call_ = n;
    fault_ = fault;
    code_ = code;
  }
  void mend() { broken_call_ = 0; }
  // Did the broken call come?
  [[nodiscard]] bool struck() const { return broken_call_ != 0 && calls_ >= broken_call_; }
  void set_free_bytes(std::optional<std::uint64_t> bytes) { free_bytes_ = bytes; }

  Result<void> write_synced(const std::filesystem::path& path,
                            std::span<const std::uint8_t> bytes) override {
    return guarded(path, [&] { return real_.write_synced(path, bytes); });
  }
  Result<void> rename_synced(const std::filesystem::path& from,
                             const std::filesystem::path& to) override {
    return guarded(from, [&] { return real_.rename_synced(from, to); });
  }
  Result<void> remove(const std::filesystem::path& path) override {
    return guarded(path, [&] { return real_.remove(path); });
  }
  Result<void> make_folder(const std::filesystem::path& folder) override {
    return guarded(folder, [&] { return real_.make_folder(folder); });
  }
  Result<std::vector<std::uint8_t>> read(const std::filesystem::path& path) override {
    return real_.read(path);
  }
  Result<std::vector<std::string>> list(const std::filesystem::path& folder) override {
    return real_.list(folder);
  }
  Result<std::uint64_t> free_bytes(const std::filesystem::path& folder) override {
    if (free_bytes_) return *free_bytes_;
    return real_.free_bytes(folder);
  }

 private:
  template <typename Call>
  Result<void> guarded(const std::filesystem::path& path, Call call) {
    if (++calls_ != broken_call_) return call();
    if (fault_ == Fault::kForgets) return {};
    return error(code_, "can't write {}: broken on purpose", path.string());
  }

  PosixFileSystem real_;
  int calls_ = 0;
  int broken_call_ = 0;
  Fault fault_ = Fault::kFails;
  ErrorCode code_ = ErrorCode::kIo;
  std::optional<std::uint64_t> free_bytes_;
};

}  // namespace cusp::fakes
