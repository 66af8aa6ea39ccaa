// Recording: a capture file while it is written.
//
// Whoever records only copies into memory; a thread of the file's own writes to the disk, so that
// no capture waits for it. When the disk is too slow for that memory, full, or the file's limit is
// reached, the recording ends with a note in the file and a sentence in its status, and everything
// else goes on. What was written is made durable every second, so that a file that breaks off
// (power loss) lacks its last few seconds at most.
//
// What Cusp adds to the format are comments: "cusp.opening ..." at the first record of each opening
// of a device, "cusp.error CODE: sentence" at a transfer that failed, and notes of the caller's.
// Threads: every verb from any thread. Errors: of start(), kIo, kNoSpace and kConflict (the file is
// there already); later ones are in status().
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "drivers/recording/usbmon_record.h"

namespace cusp::recording {

struct RecordingOptions {
  std::string program;  // and its version, for the file's head
  std::uint64_t max_file_bytes = ~std::uint64_t{0};
  // The recording ends rather than leave less than this on the disk.
  std::uint64_t min_free_bytes = 0;
  std::size_t memory_bytes = std::size_t{64} << 20;  // that may wait for the disk
};

struct RecordingStatus {
  std::uint64_t bytes = 0;  // recorded so far, on the disk or on the way to it
  std::uint64_t records = 0;
  std::string problem;  // why the recording ended early; empty: it did not
};

class Recording {
 public:
  static Result<std::shared_ptr<Recording>> start(const std::filesystem::path& path,
                                                  RecordingOptions options);
  ~Recording();  // as close()
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  // Nothing once the recording has ended. captured_bytes is filled in.
  void write(UsbmonRecord record, std::span<const std::uint8_t> data,
             std::string_view comment = {});
  // Notes are taken until close(), also when the recording ended early.
  void note(std::string_view text);
  // Time of day of a moment, steady for one file however the clock is set meanwhile.
  [[nodiscard]] std::chrono::nanoseconds since_1970(MonoTime time) const;

  // Writes what is in memory and closes the file. Idempotent.
  void close();
  [[nodiscard]] RecordingStatus status() const;
  [[nodiscard]] const std::filesystem::path& path() const;

 private:
  struct State;
  explicit Recording(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Names in comments.
inline constexpr std::string_view kOpeningComment = "cusp.opening";
inline constexpr std::string_view kErrorComment = "cusp.error ";
inline constexpr std::string_view kResetNote = "cusp.reset ";
inline constexpr std::string_view kEndedNote = "cusp.recording_ended ";

}  // namespace cusp::recording
