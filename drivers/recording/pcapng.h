// Capture files: pcapng is written and read, the older pcap is read.
//
// A file is a row of blocks; a packet block holds one captured packet, and any block may hold a
// comment. Both byte orders and any time resolution are read. The reader never holds more than one
// block's head and comments, whatever the file claims; a file that breaks off in the middle of a
// block (power loss, full disk) is read up to there, and ending() says so.
// Formats: "PCAP Next Generation Capture File Format", draft-ietf-opsawg-pcapng; "PCAP Capture File
// Format", draft-ietf-opsawg-pcap. Threads: one at a time. Errors: kNotFound, kIo, kUnsupported (no
// capture file, compressed), kCorrupt (a block's lengths contradict each other).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace cusp::recording {

using Bytes = std::vector<std::uint8_t>;

// --- writing: blocks of our byte order, one interface, nanoseconds ---

// The blocks that a file begins with.
void append_file_head(Bytes& out, std::string_view program, std::uint16_t link_type);
// A packet whose bytes come in two parts. An empty comment is left out.
void append_packet(Bytes& out, std::chrono::nanoseconds since_1970,
                   std::span<const std::uint8_t> head, std::span<const std::uint8_t> data,
                   std::string_view comment);
// A comment that belongs to no packet, in an interface statistics block.
void append_note(Bytes& out, std::chrono::nanoseconds since_1970, std::string_view comment);
// The longest comment that is written; the rest is cut off.
inline constexpr std::size_t kMaxCommentBytes = 32 * 1024;

// --- reading ---

struct CaptureBlock {
  std::uint64_t number = 0;  // of the packet, from 1, as Wireshark shows it; 0: a note
  std::uint16_t link_type = 0;
  bool big_endian = false;                             // the machine that captured it
  std::optional<std::chrono::nanoseconds> since_1970;  // simple packets have no time
  std::uint32_t captured_bytes = 0;
  std::vector<std::string> comments;

  [[nodiscard]] bool is_note() const { return number == 0; }
};

class CaptureReader {
 public:
  static Result<CaptureReader> open(const std::filesystem::path& path);
  ~CaptureReader();
  CaptureReader(CaptureReader&&) noexcept;
  CaptureReader& operator=(CaptureReader&&) noexcept;

  // The next packet or note; none at the end.
  Result<std::optional<CaptureBlock>> next();
  // Bytes of the packet that next() gave last, from `at` on; `at` and the size lie within
  // captured_bytes.
  Result<void> read(std::size_t at, std::span<std::uint8_t> bytes);
  // After next() gave none: empty, or a sentence about the file's broken end.
  [[nodiscard]] const std::string& ending() const;
  [[nodiscard]] const std::string& name() const;

 private:
  struct State;
  explicit CaptureReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cusp::recording
