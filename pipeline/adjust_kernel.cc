#include "pipeline/adjust_kernel.h"

namespace cusp {

namespace anywhere {
namespace {
#include "pipeline/adjust_kernel_impl.h"
}  // namespace
}  // namespace anywhere

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx2")
namespace avx2 {
namespace {
#include "pipeline/adjust_kernel_impl.h"
}  // namespace
}  // namespace avx2
#pragma GCC pop_options
#endif

PairSummer baseline_pair_summer() { return anywhere::sum_pair; }

PairSummer pair_summer() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return avx2::sum_pair;
#endif
  return anywhere::sum_pair;
}

}  // namespace cusp
