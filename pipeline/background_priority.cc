#include "pipeline/background_priority.h"

#include <sys/resource.h>
#include <unistd.h>

namespace cusp {
namespace {

constexpr int kLowest = 19;

}  // namespace

int this_thread() { return gettid(); }

void lower_priority(int thread) { setpriority(PRIO_PROCESS, static_cast<id_t>(thread), kLowest); }

void raise_priority(int thread) {
  setpriority(PRIO_PROCESS, static_cast<id_t>(thread), getpriority(PRIO_PROCESS, 0));
}

}  // namespace cusp
