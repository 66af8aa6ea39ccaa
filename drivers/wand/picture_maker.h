// PictureMaker: makes the pictures of the line from the frames of a wand, and counts what is
// missing between them by the wand's own frame numbers.
//
// A fringe frame is a picture; red, green and blue that follow each other without a gap are one
// colour picture, with green's time. Threads: one. Errors: a frame that can't be used answers no
// picture and is counted; too many of them are an error.
#pragma once

#include <optional>

#include "drivers/uvc/frame_assembler.h"
#include "drivers/wand/protocol.h"

namespace cusp::wand {

class PictureMaker {
 public:
  PictureMaker(int width_px, int height_px, int patterns);

  // A capture begins: what came before is no reference.
  void begin();

  struct Taken {
    std::optional<RawFrame> picture;
    std::uint32_t faults = 0;
  };
  // kProtocol: 30 frames in a row can't be used; it says what is wrong with the last one.
  Result<Taken> take(uvc::AssembledFrame&& frame);

  [[nodiscard]] std::uint64_t lost() const { return lost_; }
  [[nodiscard]] std::uint64_t without_metadata() const { return without_metadata_; }

 private:
  struct Last {
    std::uint32_t number = 0;     // the wand's
    std::uint64_t assembled = 0;  // the assembler's
  };
  [[nodiscard]] Result<FrameMetadata> read_metadata(const uvc::AssembledFrame& frame) const;
  bool count(const FrameMetadata& metadata, std::uint64_t assembled);
  std::optional<RawFrame> add_colour(RawFrame&& frame, const FrameMetadata& metadata, bool follows);
  void drop_colours();

  const int width_px_;
  const int height_px_;
  const int patterns_;
  std::optional<Last> last_;
  std::vector<RawFrame> colours_;  // red, or red and green
  std::uint64_t next_sequence_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t without_metadata_ = 0;
  int unusable_in_a_row_ = 0;
};

}  // namespace cusp::wand
