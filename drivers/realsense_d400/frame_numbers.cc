#include "drivers/realsense_d400/frame_numbers.h"

#include <algorithm>

namespace cusp::realsense_d400 {
namespace {

// A count that leaps farther, or back, has begun anew.
constexpr std::uint32_t kLargestGap = 1000;

}  // namespace

std::uint64_t FrameNumbers::number(std::uint64_t seen, std::optional<std::uint32_t> device) {
  const std::uint64_t saw = seen + 1 - seen_;  // this frame and the broken ones before it
  std::uint64_t sent = saw;
  if (device && device_) {
    const std::uint32_t counted = *device - *device_;  // over its wrap
    if (counted <= kLargestGap) sent = std::max<std::uint64_t>(sent, counted);
  }
  lost_ += sent - saw;
  next_ += sent;
  seen_ = seen + 1;
  device_ = device;
  return next_ - 1;
}

}  // namespace cusp::realsense_d400
