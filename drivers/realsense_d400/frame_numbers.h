// FrameNumbers: the sequence numbers of a scan's frames, and how many frames never came.
//
// The host counts the frames that it saw begin, whole or broken; newer firmware counts in each
// frame's metadata what it sent. What the device counted beyond what the host saw was lost. Without
// the device's count nothing is guessed. Threads: one.
#pragma once

#include <cstdint>
#include <optional>

namespace cusp::realsense_d400 {

class FrameNumbers {
 public:
  explicit FrameNumbers(std::uint64_t first = 0) : next_(first) {}

  // The device's count may begin anew.
  void device_restarted() { device_.reset(); }
  // The number of a whole frame. `seen` counts from 0 what the host saw begin.
  std::uint64_t number(std::uint64_t seen, std::optional<std::uint32_t> device);

  [[nodiscard]] std::uint64_t next() const { return next_; }
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  std::uint64_t next_;
  std::uint64_t seen_ = 0;  // frames so far
  std::optional<std::uint32_t> device_;
  std::uint64_t lost_ = 0;
};

}  // namespace cusp::realsense_d400
