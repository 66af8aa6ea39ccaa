// Cuts a frame into the payloads of a video stream, as a camera does.
//
// A payload is a header (frame id, end of frame, still image bit, the frame's time stamp, the clock
// when it left) and a part of the frame: UVC 1.5 sections 2.4.3.2.2 and 2.4.3.3. Metadata stands
// behind the standard header of the first payload. Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "drivers/emulation/uvc_function.h"

namespace cusp {

struct MadeFrame {
  EmulatedFrame content;
  std::uint64_t index = 0;
  std::uint32_t pts_ticks = 0;
  bool still = false;
};

class PayloadWriter {
 public:
  static constexpr std::size_t kStandardHeaderBytes = 12;

  explicit PayloadWriter(std::uint32_t clock_hz) : clock_hz_(clock_hz) {}

  // Whether a frame is on its way.
  [[nodiscard]] bool busy() const { return frame_.has_value(); }
  void begin(MadeFrame frame);
  // The host stopped in the middle of it.
  void drop() { frame_.reset(); }

  // Fills one bulk transfer, or one isochronous packet when data has room for a payload; answers
  // its size. When busy() has turned false the frame is out and content() may be taken.
  std::size_t fill(std::span<std::uint8_t> data, std::size_t max_payload_bytes,
                   std::uint32_t now_ticks);
  [[nodiscard]] const MadeFrame& frame() const { return *frame_; }
  EmulatedFrame take_content() { return std::move(content_); }

 private:
  void begin_payload(std::size_t max_payload_bytes, std::uint32_t now_ticks);

  const std::uint32_t clock_hz_;
  bool frame_id_ = false;
  std::optional<MadeFrame> frame_;
  EmulatedFrame content_;  // of the frame that went out last
  std::size_t pixels_sent_ = 0;
  bool first_payload_ = true;

  bool in_payload_ = false;
  std::vector<std::uint8_t> header_;
  std::size_t header_sent_ = 0;
  std::size_t part_left_ = 0;    // pixels of the payload that are still to come
  bool must_end_short_ = false;  // the payload's end must show as a short transfer
  bool zero_length_due_ = false;
};

}  // namespace cusp
