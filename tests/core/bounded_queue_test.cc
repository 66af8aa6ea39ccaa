#include "core/bounded_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

namespace cusp {
namespace {

using namespace std::chrono_literals;

TEST(BoundedQueue, keeps_the_newest_and_counts_what_it_dropped) {
  BoundedQueue<int> queue(2, WhenFull::kDropOldest);
  for (int i = 1; i <= 5; ++i) EXPECT_TRUE(queue.push(i));
  EXPECT_EQ(queue.pop(), 4);
  EXPECT_EQ(queue.pop(), 5);
  const QueueCounts counts = queue.counts();
  EXPECT_EQ(counts.pushed, 5u);
  EXPECT_EQ(counts.popped, 2u);
  EXPECT_EQ(counts.dropped, 3u);
  EXPECT_EQ(counts.depth, 0u);
}

TEST(BoundedQueue, blocks_the_producer_and_loses_nothing) {
  BoundedQueue<int> queue(3, WhenFull::kBlock);
  std::jthread producer([&] {
    for (int i = 0; i < 1000; ++i) queue.push(i);
    queue.close();
  });
  int expected = 0;
  while (const std::optional<int> value = queue.pop()) EXPECT_EQ(*value, expected++);
  EXPECT_EQ(expected, 1000);
  EXPECT_EQ(queue.counts().dropped, 0u);
}

TEST(BoundedQueue, close_wakes_waiting_consumers_and_refuses_new_values) {
  BoundedQueue<int> queue(1, WhenFull::kBlock);
  std::atomic<int> woken{0};
  {
    std::jthread first([&] { woken += queue.pop() == std::nullopt; });
    std::jthread second([&] { woken += queue.pop() == std::nullopt; });
    queue.close();
  }
  EXPECT_EQ(woken, 2);
  EXPECT_FALSE(queue.push(1));
  EXPECT_EQ(queue.counts().pushed, 0u);
}

TEST(BoundedQueue, what_was_queued_before_close_can_still_be_taken) {
  BoundedQueue<int> queue(4, WhenFull::kBlock);
  queue.push(1);
  queue.push(2);
  queue.close();
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(BoundedQueue, close_frees_a_blocked_producer) {
  BoundedQueue<int> queue(1, WhenFull::kBlock);
  queue.push(1);
  bool accepted = true;
  {
    std::jthread producer([&] { accepted = queue.push(2); });
    queue.close();
  }
  EXPECT_FALSE(accepted);
}

TEST(BoundedQueue, clear_counts_as_dropped_and_frees_a_blocked_producer) {
  BoundedQueue<int> queue(1, WhenFull::kBlock);
  queue.push(1);
  {
    std::jthread producer([&] { queue.push(2); });
    queue.clear();
    while (queue.counts().pushed < 2) std::this_thread::yield();
  }
  EXPECT_EQ(queue.counts().dropped, 1u);
  EXPECT_EQ(queue.pop(), 2);
}

TEST(BoundedQueue, gives_up_waiting_when_asked_to) {
  BoundedQueue<std::unique_ptr<int>> queue(1, WhenFull::kBlock);
  EXPECT_EQ(queue.pop_for(1ms), std::nullopt);
  queue.push(std::make_unique<int>(3));
  EXPECT_EQ(**queue.pop_for(1ms), 3);
}

TEST(BoundedQueueDeathTest, must_hold_something) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(BoundedQueue<int>(0, WhenFull::kBlock), "at least one");
}

}  // namespace
}  // namespace cusp
