// Every fuzz target's seeds, whole, cut off and with bytes changed. What the fuzzer found once is a
// test of its own where the fault was.
#include <gtest/gtest.h>

#include <random>

#include "tests/fuzz/targets.h"

namespace cusp::fuzz {
namespace {

constexpr std::size_t kCuts = 100, kChanges = 1000;

class Fuzz : public testing::TestWithParam<const Target*> {};

TEST_P(Fuzz, SeedsBrokenInManyWaysAreReadOrRefused) {
  const Target& target = *GetParam();
  const auto seeds = target.seeds();
  ASSERT_FALSE(seeds.empty());
  target.run({});
  std::mt19937 random(20'261'122);
  for (const Bytes& seed : seeds) {
    ASSERT_FALSE(seed.empty());
    target.run(seed);
    for (std::size_t i = 0; i < kCuts; ++i)
      target.run(std::span(seed).first(random() % seed.size()));
    for (std::size_t i = 0; i < kChanges / seeds.size(); ++i) {
      Bytes broken = seed;
      for (std::size_t changes = 1 + random() % 8; changes > 0; --changes)
        broken[random() % broken.size()] = static_cast<std::uint8_t>(random());
      target.run(broken);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Fuzz, testing::ValuesIn(kTargets),
                         [](const auto& target) { return std::string(target.param->name); });

}  // namespace
}  // namespace cusp::fuzz
