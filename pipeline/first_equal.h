// first_equal: of each item the first one that equals it, in linear time.
// Items are dealt out by their hash into parts whose tables stay in a core's cache; the parts are
// worked on side by side and the answer does not depend on it. Threads: uses the pool.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pipeline/worker_pool.h"

namespace cusp {

// Spreads all bits of a value over all bits of the result (the finaliser of MurmurHash3, A.
// Appleby, public domain).
constexpr std::uint64_t mix_bits(std::uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdULL;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 33);
}

// hash(i) -> uint64, well mixed; equal(i, j) for items of one hash.
template <typename Hash, typename Equal>
std::vector<std::uint32_t> first_equal(std::size_t count, const Hash& hash, const Equal& equal,
                                       WorkerPool& pool) {
  constexpr std::size_t kParts = 256;
  constexpr std::size_t kGrain = 32768;
  struct Item {
    std::uint32_t hash;  // its low half; the high bits chose the part
    std::uint32_t index;
  };
  std::vector<std::uint64_t> hashes(count);
  pool.for_chunks(count, kGrain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) hashes[i] = hash(i);
  });
  std::vector<std::size_t> first(kParts + 1, 0);
  for (const std::uint64_t h : hashes) ++first[(h >> 56) + 1];
  for (std::size_t p = 0; p < kParts; ++p) first[p + 1] += first[p];
  std::vector<Item> items(count);
  std::vector<std::size_t> next(first.begin(), first.end() - 1);
  for (std::size_t i = 0; i < count; ++i)
    items[next[hashes[i] >> 56]++] = {static_cast<std::uint32_t>(hashes[i]),
                                      static_cast<std::uint32_t>(i)};

  std::vector<std::uint32_t> result(count);
  pool.for_chunks(kParts, 1, [&](std::size_t part, std::size_t) {
    const std::size_t size = first[part + 1] - first[part];
    const std::size_t slots = std::bit_ceil(2 * size + 1);
    std::vector<std::size_t> table(slots, count);
    for (std::size_t k = first[part]; k < first[part + 1]; ++k) {
      const Item& item = items[k];
      std::size_t slot = item.hash & (slots - 1);
      while (table[slot] != count &&
             !(items[table[slot]].hash == item.hash && equal(items[table[slot]].index, item.index)))
        slot = (slot + 1) & (slots - 1);
      if (table[slot] == count) table[slot] = k;
      result[item.index] = items[table[slot]].index;
    }
  });
  return result;
}

}  // namespace cusp
