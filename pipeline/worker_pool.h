// WorkerPool: splits a loop over a few threads of its own.
//
// Chunks have a fixed size, whatever the number of threads; a loop whose chunks write only their
// own results gives the same bits with 1 thread and with 8. That is why sums are kept a chunk each
// and added in order (sum_chunks). No OpenMP: its spin barriers stall for seconds when another
// process wants the cores; here a thread looks about for some microseconds before it sleeps, as the
// next loop is often near. Threads: one loop at a time, from one calling thread, which works as
// well.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace cusp {

class WorkerPool {
 public:
  // threads counts the caller: 1 starts none.
  explicit WorkerPool(int threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Calls work(begin, end) for [0, count) in chunks of `grain`; returns when all are done. `work`
  // must not throw.
  void for_chunks(std::size_t count, std::size_t grain,
                  const std::function<void(std::size_t begin, std::size_t end)>& work);

 private:
  void serve();
  // Takes chunks until none is left; the lock is held on entry and on return.
  void take_chunks(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable work_ready_;
  std::condition_variable work_done_;
  const std::function<void(std::size_t, std::size_t)>* work_ = nullptr;
  std::size_t count_ = 0;
  std::size_t grain_ = 1;
  std::size_t next_ = 0;  // first index that nobody has taken
  // Written with the lock held, and looked at without it before a thread goes to sleep.
  std::atomic<std::size_t> running_ = 0;  // chunks being worked on
  std::atomic<bool> is_open_ = false;     // there are chunks that nobody has taken
  std::size_t asleep_ = 0;                // threads
  bool stop_ = false;
  std::vector<std::jthread> threads_;
};

// Sum of chunk(begin, end) over all chunks, added in their order.
template <typename T, typename Chunk>
T sum_chunks(WorkerPool& pool, std::size_t count, std::size_t grain, const T& zero, Chunk chunk) {
  std::vector<T> parts((count + grain - 1) / grain, zero);
  pool.for_chunks(count, grain, [&](std::size_t begin, std::size_t end) {
    parts[begin / grain] = chunk(begin, end);
  });
  T sum = zero;
  for (const T& part : parts) sum += part;
  return sum;
}

}  // namespace cusp
