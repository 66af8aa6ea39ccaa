// FrameMaker: makes the frames of a scan out of what UVC put together: numbers them, reads their
// metadata and puts the colour pictures beside them.
//
// Threads: one.
#pragma once

#include <functional>
#include <optional>

#include "core/frame.h"
#include "drivers/realsense_d400/colour_pairing.h"
#include "drivers/realsense_d400/frame_numbers.h"
#include "drivers/uvc/video_capture.h"

namespace cusp::realsense_d400 {

class FrameMaker {
 public:
  using Give = std::function<void(RawFrame&&)>;

  // `colour` may be null: depth alone. Both streams outlive the maker. The first frame has the
  // number `first`.
  FrameMaker(const uvc::AgreedStream& depth, const uvc::AgreedStream* colour, std::uint64_t first,
             Give give);

  void depth(uvc::AssembledFrame&& frame, std::optional<double> temperature_c);
  void colour(uvc::AssembledFrame&& frame);
  void device_restarted() { numbers_.device_restarted(); }
  void flush() { pairing_.flush(); }

  [[nodiscard]] const FrameNumbers& numbers() const { return numbers_; }

 private:
  const uvc::AgreedStream& depth_;
  const uvc::AgreedStream* colour_;
  Give give_;
  FrameNumbers numbers_;
  ColourPairing pairing_;
  std::optional<uvc::DeviceClock> depth_clock_, colour_clock_;  // none: the device states no rate
};

}  // namespace cusp::realsense_d400
