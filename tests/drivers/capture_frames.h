// What a test's device captures: `count` frames, or fewer when the capture ended; `result` is its
// end's.
#pragma once

#include <thread>
#include <utility>
#include <vector>

#include "drivers/driver.h"

namespace cusp {

inline std::vector<RawFrame> capture_frames(Device& device, std::size_t count,
                                            Result<void>& result) {
  std::vector<RawFrame> frames;
  BoundedQueue<RawFrame> queue(4, WhenFull::kBlock);
  std::jthread thread([&](const std::stop_token& stop) {
    result = device.capture(queue, stop);
    queue.close();
  });
  while (frames.size() < count) {
    auto frame = queue.pop();
    if (!frame) break;
    frames.push_back(std::move(*frame));
  }
  thread.request_stop();
  queue.close();
  thread.join();
  return frames;
}

}  // namespace cusp
