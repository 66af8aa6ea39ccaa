#include "delivery/wake_fd.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "core/check.h"

namespace cusp::delivery {

WakeFd::WakeFd() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CUSP_CHECK(descriptor_ >= 0, "the system has no file descriptor left");
}
WakeFd::~WakeFd() { ::close(descriptor_); }

void WakeFd::signal() {
  const std::uint64_t one = 1;
  // It fails only when it is signalled as often as it can count.
  static_cast<void>(::write(descriptor_, &one, sizeof one) == sizeof one);
}

bool WakeFd::take() {
  std::uint64_t count = 0;
  return ::read(descriptor_, &count, sizeof count) == sizeof count;
}

}  // namespace cusp::delivery
