// ColourPairing: puts the colour picture that was taken nearest in time beside each depth frame.
//
// A picture may come after its depth frame; a frame therefore waits for the first picture that is
// not older than it, or for the next frame, one frame period at most. When no picture has come for
// some frames, frames do not wait for any. Pictures that are farther than one period away belong to
// no frame, and each belongs to one frame at most. Times are the device's, which are one clock for
// both cameras, or else those of arrival. Threads: one.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>

#include "core/frame.h"

namespace cusp::realsense_d400 {

// When something was taken.
struct Moment {
  std::optional<std::uint32_t> ticks;  // of the device's clock; they wrap
  MonoTime arrival{};
};

class ColourPairing {
 public:
  // `give` takes each depth frame in order. clock_hz: of the ticks; 0: they mean nothing.
  ColourPairing(std::chrono::nanoseconds period, std::uint32_t clock_hz,
                std::function<void(RawFrame&&)> give)
      : period_(period), clock_hz_(clock_hz), give_(std::move(give)) {}

  void depth(RawFrame&& frame, const Moment& moment);
  void colour(ColourPicture&& picture, const Moment& moment);
  // Nothing more comes.
  void flush();

 private:
  struct Picture {
    ColourPicture picture;
    Moment moment;
  };
  [[nodiscard]] std::chrono::nanoseconds from_to(const Moment& from, const Moment& to) const;
  void give_waiting();

  std::chrono::nanoseconds period_;
  std::uint32_t clock_hz_;
  std::function<void(RawFrame&&)> give_;
  std::deque<Picture> pictures_;
  std::optional<RawFrame> waiting_;
  Moment waiting_moment_;
  int frames_without_picture_ = 0;
};

}  // namespace cusp::realsense_d400
