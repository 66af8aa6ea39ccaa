#include "core/heap.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <memory>
#include <vector>

namespace cusp {
namespace {

std::size_t resident_bytes() {
  std::size_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(Heap, FreedMemoryIsKeptUntilItIsGivenBack) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer has an allocator of its own";
#endif
  constexpr std::size_t kBlock = std::size_t{1} << 20, kBlocks = 64;
  keep_freed_memory();
  const std::size_t before = resident_bytes();
  {
    std::vector<std::vector<char>> blocks(kBlocks);
    for (auto& block : blocks) block.assign(kBlock, 1);
  }
  EXPECT_GT(resident_bytes(), before + kBlock * kBlocks * 3 / 4);
  give_freed_memory_back();
  EXPECT_LT(resident_bytes(), before + kBlock * kBlocks / 4);
}

}  // namespace
}  // namespace cusp
