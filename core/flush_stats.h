// How often this process waited for a disk to flush, and how long in all. Threads: any.
#pragma once

#include <chrono>
#include <cstdint>

namespace cusp {

struct FlushStats {
  std::uint64_t flushes = 0;
  std::chrono::nanoseconds waited{};
};
FlushStats flush_stats();

// Counts what happens while it lives as one flush.
class FlushTimer {
 public:
  FlushTimer();
  ~FlushTimer();
  FlushTimer(const FlushTimer&) = delete;
  FlushTimer& operator=(const FlushTimer&) = delete;

 private:
  const std::chrono::steady_clock::time_point begin_;
};

}  // namespace cusp
