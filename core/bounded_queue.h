// BoundedQueue<T>: hands values from one thread to another, never holds more than its capacity, and
// counts everything that it had to drop.
//
// Policy when full: kDropOldest keeps the newest (live frames), kBlock makes the producer wait
// (nothing may be lost). close() wakes everyone; what is queued can still be popped. Threads: any
// number of producers and consumers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "core/check.h"

namespace cusp {

enum class WhenFull { kDropOldest, kBlock };

struct QueueCounts {
  std::uint64_t pushed = 0;  // accepted, dropped later or not
  std::uint64_t popped = 0;
  std::uint64_t dropped = 0;  // accepted, then thrown away for a newer one
  std::size_t depth = 0;
};

template <typename T>
class BoundedQueue {
 public:
  BoundedQueue(std::size_t capacity, WhenFull when_full)
      : capacity_(capacity), when_full_(when_full) {
    CUSP_CHECK(capacity > 0, "a queue must hold at least one value");
  }
  BoundedQueue(const BoundedQueue&) = delete;
  BoundedQueue& operator=(const BoundedQueue&) = delete;

  // False once the queue is closed: the value was not taken.
  bool push(T value) {
    std::unique_lock lock(mutex_);
    if (when_full_ == WhenFull::kBlock)
      not_full_.wait(lock, [&] { return closed_ || values_.size() < capacity_; });
    if (closed_) return false;
    if (values_.size() == capacity_) {
      values_.pop_front();
      ++counts_.dropped;
    }
    values_.push_back(std::move(value));
    ++counts_.pushed;
    not_empty_.notify_one();
    return true;
  }

  // Waits for a value; empty only when the queue is closed and drained.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    not_empty_.wait(lock, [&] { return closed_ || !values_.empty(); });
    return take();
  }

  // As pop(), but gives up after the span.
  std::optional<T> pop_for(std::chrono::milliseconds span) {
    std::unique_lock lock(mutex_);
    not_empty_.wait_for(lock, span, [&] { return closed_ || !values_.empty(); });
    return take();
  }

  // Throws away what is queued and counts it as dropped.
  void clear() {
    const std::lock_guard lock(mutex_);
    counts_.dropped += values_.size();
    values_.clear();
    not_full_.notify_all();
  }

  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    not_empty_.notify_all();
    not_full_.notify_all();
  }

  [[nodiscard]] bool closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
  }

  [[nodiscard]] QueueCounts counts() const {
    const std::lock_guard lock(mutex_);
    QueueCounts counts = counts_;
    counts.depth = values_.size();
    return counts;
  }

 private:
  std::optional<T> take() {
    std::optional<T> value;
    if (values_.empty()) return value;
    value.emplace(std::move(values_.front()));
    values_.pop_front();
    ++counts_.popped;
    not_full_.notify_one();
    return value;
  }

  const std::size_t capacity_;
  const WhenFull when_full_;
  mutable std::mutex mutex_;
  std::condition_variable not_empty_;
  std::condition_variable not_full_;
  std::deque<T> values_;
  QueueCounts counts_;
  bool closed_ = false;
};

}  // namespace cusp
