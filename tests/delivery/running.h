// A store's gate and a station's link, each on its thread, that a test can stop and start again on
// the same folders.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <thread>

#include "delivery/station_link.h"
#include "delivery/store_gate.h"
#include "tests/fakes/faulty_file_system.h"
#include "tests/fakes/memory_delivery_store.h"

namespace cusp::delivery {

// Thrown by a store on the gate's thread: the gate dies where it stands.
struct GateDies {};

// Waits until it is so; a test that waits in vain fails after some minutes.
template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 200'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

class RunningGate {
 public:
  RunningGate(StoreGateOptions options, DeliveryStore& store, FileSystem& files) {
    auto gate = StoreGate::bind(std::move(options), store, files, clock_);
    EXPECT_TRUE(gate.ok()) << gate.error().message;
    gate_ = std::move(*gate);
    thread_ = std::jthread([this](std::stop_token stop) {
      try {
        gate_->run(stop);
      } catch (const GateDies&) {
        died_ = true;
      }
    });
  }
  ~RunningGate() {
    thread_.request_stop();
    thread_.join();
  }
  StoreGate* operator->() { return gate_.get(); }
  [[nodiscard]] bool died() const { return died_; }

 private:
  SystemClock clock_;
  std::unique_ptr<StoreGate> gate_;
  std::atomic<bool> died_{false};
  std::jthread thread_;
};

class RunningLink {
 public:
  RunningLink(StationLinkOptions options, Outbox& outbox, Worklist& worklist)
      : link_(std::move(options), outbox, worklist, clock_),
        thread_([this](std::stop_token stop) { link_.run(stop); }) {}
  ~RunningLink() {
    thread_.request_stop();
    thread_.join();
  }
  StationLink* operator->() { return &link_; }

 private:
  SystemClock clock_;
  StationLink link_;
  std::jthread thread_;
};

}  // namespace cusp::delivery
