// Private to delivery: wakes a thread that polls a socket (eventfd). signal() from any thread.
#pragma once

namespace cusp::delivery {

class WakeFd {
 public:
  WakeFd();
  ~WakeFd();
  WakeFd(const WakeFd&) = delete;
  WakeFd& operator=(const WakeFd&) = delete;

  [[nodiscard]] int descriptor() const { return descriptor_; }
  void signal();
  // True: it was signalled since the last time.
  bool take();

 private:
  int descriptor_;
};

}  // namespace cusp::delivery
