#include "pipeline/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

namespace cusp {
namespace {

TEST(WorkerPool, TouchesEveryIndexOnceWhateverTheThreads) {
  for (const int threads : {1, 2, 5}) {
    WorkerPool pool(threads);
    for (const std::size_t count :
         {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{1000}}) {
      std::vector<std::atomic<int>> touched(count);
      pool.for_chunks(count, 7, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) ++touched[i];
      });
      for (const auto& times : touched) EXPECT_EQ(times.load(), 1);
    }
  }
}

// Threads are awake, about to sleep, or asleep when the next loop comes or the pool ends.
TEST(WorkerPool, MissesNoLoopHoweverLongThePauseBeforeIt) {
  for (int pause_us = 0; pause_us < 60; ++pause_us) {
    WorkerPool pool(3);
    for (int loop = 0; loop < 20; ++loop) {
      const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(pause_us);
      while (std::chrono::steady_clock::now() < end) {
      }
      std::atomic<int> touched = 0;
      pool.for_chunks(9, loop % 2 == 0 ? 1 : 9, [&](std::size_t begin, std::size_t end_of) {
        touched += static_cast<int>(end_of - begin);
      });
      ASSERT_EQ(touched, 9);
    }
  }
}

TEST(WorkerPool, SumsInTheOrderOfTheChunks) {
  const auto sum_with = [](int threads) {
    WorkerPool pool(threads);
    return sum_chunks(pool, 100000, 64, 0.0F, [](std::size_t begin, std::size_t end) {
      float sum = 0;
      for (std::size_t i = begin; i < end; ++i) sum += 1.0F / static_cast<float>(i + 1);
      return sum;
    });
  };
  const float alone = sum_with(1);
  for (int k = 0; k < 20; ++k) EXPECT_EQ(sum_with(4), alone);
}

}  // namespace
}  // namespace cusp
