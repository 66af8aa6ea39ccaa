#include "core/flush_stats.h"

#include <atomic>

namespace cusp {
namespace {

std::atomic<std::uint64_t> flushes{0};
std::atomic<std::int64_t> waited_ns{0};

}  // namespace

FlushStats flush_stats() { return {flushes, std::chrono::nanoseconds(waited_ns)}; }

FlushTimer::FlushTimer() : begin_(std::chrono::steady_clock::now()) {}

FlushTimer::~FlushTimer() {
  const auto waited = std::chrono::steady_clock::now() - begin_;
  ++flushes;
  waited_ns += std::chrono::duration_cast<std::chrono::nanoseconds>(waited).count();
}

}  // namespace cusp
