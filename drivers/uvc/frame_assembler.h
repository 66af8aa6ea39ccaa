// FrameAssembler: puts the frames of a fixed size together again from the chunks of a bulk stream.
//
// A stream is a row of payloads: a header of 2 to 255 bytes, then a part of a frame. A payload ends
// with a short transfer or when it has the negotiated size; a frame ends with the EOF bit or when
// the FID bit changes (UVC 1.5 sections 2.4.3.2.2 and 2.4.3.3). A frame with an error bit, a broken
// header, or too few or too many bytes is broken: it is counted and never given on. Threads: one.
// Errors: none; what is broken shows in the counts.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "drivers/driver.h"

namespace cusp::uvc {

struct AssembledFrame {
  std::uint64_t sequence = 0;              // counts every frame that was begun, the broken ones too
  std::optional<std::uint32_t> pts_ticks;  // of the device's clock
  MonoTime arrival{};                      // of the chunk that completed it
  std::vector<std::uint8_t> bytes;
};

class FrameAssembler {
 public:
  using Sink = std::function<void(AssembledFrame&&)>;

  // frame_bytes: exactly this many make a frame. max_payload_bytes: the header included.
  FrameAssembler(std::size_t frame_bytes, std::size_t max_payload_bytes, Sink sink);

  void feed(const StreamChunk& chunk);
  // The stream was interrupted: a frame that is half done is broken, and any frame id may follow.
  void interrupt();

  [[nodiscard]] std::uint64_t begun() const { return next_sequence_; }  // frames, broken or not
  [[nodiscard]] std::uint64_t broken() const { return broken_; }
  [[nodiscard]] std::uint64_t broken_in_a_row() const { return broken_in_a_row_; }

 private:
  std::size_t take_header(std::span<const std::uint8_t> bytes);
  void begin_part();
  void begin_frame();
  void take_pixels(std::span<const std::uint8_t> bytes);
  void end_payload();
  void end_frame();

  const std::size_t frame_bytes_;
  const std::size_t max_payload_bytes_;
  const Sink sink_;
  MonoTime arrival_{};

  std::vector<std::uint8_t> header_;  // of the current payload, as far as it came
  std::size_t payload_bytes_ = 0;     // of the current payload so far
  bool header_complete_ = false;
  bool part_begun_ = false;  // the payload's first pixels came

  bool open_ = false;             // a frame has begun
  bool intact_ = false;           // nothing was wrong with it so far
  std::optional<bool> frame_id_;  // of the open frame, or of the one that ended last
  std::optional<std::uint32_t> pts_ticks_;
  std::vector<std::uint8_t> bytes_;

  std::uint64_t next_sequence_ = 0;
  std::uint64_t broken_ = 0;
  std::uint64_t broken_in_a_row_ = 0;
};

}  // namespace cusp::uvc
