// FrameAssembler: puts the frames of a stream together again from its chunks, bulk or isochronous.
//
// A stream is a row of payloads: a header of 2 to 255 bytes, then a part of a frame. A bulk payload
// ends with a short transfer or when it has the negotiated size; an isochronous packet is a payload
// of its own. A frame ends with the EOF bit or when the FID bit changes (UVC 1.5 sections 2.4.3.2.2
// and 2.4.3.3). Empty packets and payloads without pixels are legal and mean nothing. A frame with
// an error bit, a damaged packet, a broken header, or too few or too many bytes is broken: it is
// counted, once, by the first of its reasons, and never given on.
// Threads: one. Errors: none; what is broken shows in the counts.
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
  bool still = false;                      // the device marked it as a still picture
  // What stood in a payload header behind the standard fields: frame metadata of the device's own.
  // The longest of the frame's payloads.
  std::vector<std::uint8_t> metadata;
  std::vector<std::uint8_t> bytes;
};

// How the bytes of a whole frame are counted.
enum class FrameSize : std::uint8_t {
  kExact,   // always the same
  kAtMost,  // any number up to the limit
  kJpeg,    // the same, and it begins with a JPEG's marker
};

struct BrokenFrames {
  std::uint64_t on_bus = 0, header = 0, size = 0, by_device = 0;

  [[nodiscard]] std::uint64_t total() const { return on_bus + header + size + by_device; }
  BrokenFrames& operator+=(const BrokenFrames& more) {
    on_bus += more.on_bus;
    header += more.header;
    size += more.size;
    by_device += more.by_device;
    return *this;
  }
};

class FrameAssembler {
 public:
  using Sink = std::function<void(AssembledFrame&&)>;

  // max_payload_bytes: the header included.
  FrameAssembler(std::size_t frame_bytes, std::size_t max_payload_bytes, Sink sink,
                 FrameSize size = FrameSize::kExact);

  // From now on payloads with the still picture bit have sizes of their own.
  void expect_stills(std::size_t frame_bytes, std::size_t max_payload_bytes, FrameSize size);

  void feed(const StreamChunk& chunk);
  // The stream was interrupted: a frame that is half done is broken, and any frame id may follow.
  void interrupt();
  // The stream was stopped on purpose: a frame that is half done never was.
  void stop();

  [[nodiscard]] std::uint64_t begun() const { return next_sequence_; }  // frames, broken or not
  [[nodiscard]] std::uint64_t broken() const { return broken_.total(); }
  [[nodiscard]] const BrokenFrames& broken_by_reason() const { return broken_; }
  [[nodiscard]] std::uint64_t broken_in_a_row() const { return broken_in_a_row_; }

 private:
  // Which number of BrokenFrames a frame adds to.
  using Reason = std::uint64_t BrokenFrames::*;
  struct Limit {
    std::size_t frame_bytes = 0;
    std::size_t payload_bytes = 0;
    FrameSize size = FrameSize::kExact;
  };

  // What tells two neighbouring frames apart.
  struct FrameId {
    bool bit = false;
    bool still = false;
    bool operator==(const FrameId&) const = default;
  };

  std::size_t take_header(std::span<const std::uint8_t> bytes);
  void read_header();
  void begin_part();
  void begin_frame();
  void take_pixels(std::span<const std::uint8_t> bytes);
  void end_payload();
  void end_frame();
  void count_unseen();
  void spoil(Reason why);
  void spoil_nameless(Reason why);
  void clear_payload();
  [[nodiscard]] std::size_t payload_limit() const;
  [[nodiscard]] const Limit& limit() const {
    return stills_ && id_ && id_->still ? *stills_ : frames_;
  }
  [[nodiscard]] bool whole() const;

  Limit frames_;
  std::optional<Limit> stills_;
  Sink sink_;
  MonoTime arrival_{};

  std::vector<std::uint8_t> header_;  // of the current payload, as far as it came
  std::size_t payload_bytes_ = 0;     // of the current payload so far
  bool header_complete_ = false;
  bool header_sane_ = false;  // it has the fields that its flags promise
  bool part_begun_ = false;   // the payload's first pixels came

  bool open_ = false;               // a frame has begun
  Reason reason_ = nullptr;         // why the open frame is broken; null: it is not
  Reason doubt_ = nullptr;          // what went wrong since the last frame ended
  std::optional<FrameId> id_;       // of the open frame; none: no header of it could be read
  std::optional<FrameId> last_id_;  // of the frame that ended last
  std::optional<std::uint32_t> pts_ticks_;
  std::vector<std::uint8_t> metadata_;
  std::vector<std::uint8_t> bytes_;

  std::uint64_t next_sequence_ = 0;
  BrokenFrames broken_;
  std::uint64_t broken_in_a_row_ = 0;
};

}  // namespace cusp::uvc
