#include "pipeline/worker_pool.h"

#include <algorithm>
#include <chrono>

#include "core/check.h"

namespace cusp {
namespace {

// Waking a thread takes as long as many a loop.
constexpr std::chrono::microseconds kLookAbout{20};

// Leaves the core to its other thread for a moment.
void rest() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Until `is_so`, but not for long.
template <typename IsSo>
void look_about(IsSo is_so) {
  const auto end = std::chrono::steady_clock::now() + kLookAbout;
  while (!is_so() && std::chrono::steady_clock::now() < end) rest();
}

}  // namespace

WorkerPool::WorkerPool(int threads) {
  CUSP_CHECK(threads >= 1, "a pool counts its caller: at least one thread");
  for (int i = 1; i < threads; ++i) threads_.emplace_back([this] { serve(); });
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_ready_.notify_all();
}

void WorkerPool::for_chunks(std::size_t count, std::size_t grain,
                            const std::function<void(std::size_t, std::size_t)>& work) {
  CUSP_CHECK(grain > 0, "a chunk holds at least one index");
  if (count == 0) return;
  std::unique_lock lock(mutex_);
  CUSP_CHECK(work_ == nullptr, "one loop at a time");
  work_ = &work;
  count_ = count;
  grain_ = grain;
  next_ = 0;
  is_open_ = count > grain;
  if (count > grain && asleep_ > 0) work_ready_.notify_all();
  take_chunks(lock);
  if (running_ != 0) {
    lock.unlock();
    look_about([&] { return running_ == 0; });
    lock.lock();
  }
  work_done_.wait(lock, [&] { return running_ == 0; });
  work_ = nullptr;
}

void WorkerPool::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    lock.unlock();
    look_about([&] { return is_open_.load(); });
    lock.lock();
    ++asleep_;
    work_ready_.wait(lock, [&] { return stop_ || (work_ != nullptr && next_ < count_); });
    --asleep_;
    if (stop_) return;
    take_chunks(lock);
    if (running_ == 0) work_done_.notify_all();
  }
}

void WorkerPool::take_chunks(std::unique_lock<std::mutex>& lock) {
  while (next_ < count_) {
    const std::size_t begin = next_;
    const std::size_t end = std::min(begin + grain_, count_);
    next_ = end;
    if (end == count_) is_open_ = false;
    ++running_;
    lock.unlock();
    (*work_)(begin, end);
    lock.lock();
    --running_;
  }
}

}  // namespace cusp
