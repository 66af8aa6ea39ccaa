// Worker: one thread that does jobs in the order given. Its destructor lets what is queued come to
// its end, so a model that is being made when the station stops is not lost. Threads: post() from
// any thread.
#pragma once

#include <functional>
#include <thread>

#include "core/bounded_queue.h"

namespace cusp::daemon {

class Worker {
 public:
  Worker() : thread_([this] { run(); }) {}
  ~Worker() {
    jobs_.close();
    thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void post(std::function<void()> job) { jobs_.push(std::move(job)); }

 private:
  void run() {
    while (auto job = jobs_.pop()) (*job)();
  }

  // More than the stages of all tickets that an operator can have open at once.
  BoundedQueue<std::function<void()>> jobs_{1024, WhenFull::kBlock};
  std::thread thread_;
};

}  // namespace cusp::daemon
