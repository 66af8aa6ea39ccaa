// Clock: the two kinds of time, so that tests can hold them still.
// mono() never goes back and measures spans; wall() is UTC for people and records, and is never
// used for order. Threads: all calls from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>

namespace cusp {

using MonoTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual MonoTime mono() const = 0;
  [[nodiscard]] virtual WallTime wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] MonoTime mono() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] WallTime wall() const override { return std::chrono::system_clock::now(); }
};

// A clock that moves only when told to.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime start = WallTime{}) : wall_start_(start) {}
  [[nodiscard]] MonoTime mono() const override { return MonoTime{passed_.load()}; }
  [[nodiscard]] WallTime wall() const override {
    return wall_start_ + std::chrono::duration_cast<WallTime::duration>(passed_.load());
  }
  void advance(std::chrono::nanoseconds span) { passed_ = passed_.load() + span; }

 private:
  WallTime wall_start_;
  std::atomic<std::chrono::nanoseconds> passed_{std::chrono::nanoseconds{0}};
};

// RFC 3339 in UTC with milliseconds: 2026-01-31T09:15:00.250Z
std::string to_rfc3339(WallTime time);
// Of that form alone; nothing: it is another.
std::optional<WallTime> from_rfc3339(const std::string& text);

}  // namespace cusp
