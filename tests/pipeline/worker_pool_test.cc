#include "pipeline/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>

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
